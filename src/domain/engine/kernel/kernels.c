#include "kernel/kernels.h"

#include "kernel/forms.h"

#include <string.h>

size_t kernels_available(const kernels *forms[KERNELS_MAX]) {
    const kernels *all[] = {
#if defined(__x86_64__)
        kernels_avx512_vnni(),
        kernels_avx512(),
        kernels_avx2(),
#elif defined(__aarch64__)
        kernels_neon(),
#endif
        kernels_plain()
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (all[i] != NULL) {
            forms[count++] = all[i];
        }
    }
    return count;
}

const kernels *kernels_best(void) {
    const kernels *forms[KERNELS_MAX];
    (void)kernels_available(forms);
    return forms[0];
}

const kernels *kernels_find(const char *name) {
    const kernels *forms[KERNELS_MAX];
    size_t count = kernels_available(forms);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(forms[i]->name, name) == 0) {
            return forms[i];
        }
    }
    return NULL;
}
