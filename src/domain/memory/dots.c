#include "dots.h"

size_t dots_forms(const dots_form *forms[DOTS_FORMS_MAX]) {
    const dots_form *all[] = {
#if defined(__x86_64__)
        dots_avx512(),
        dots_avx2(),
#elif defined(__aarch64__)
        dots_neon(),
#endif
        dots_plain()
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] != NULL) {
            forms[count++] = all[i];
        }
    }
    return count;
}
