/* golden_kernels FORM [odd]: the hashes of engine/golden.h, one a line. `golden_kernels forms` names the
 * forms that this build has and this processor runs. With `odd`, the caller's environment rounds upwards and
 * flushes subnormal numbers to zero before the arithmetic is entered. Needs no library, so that it is built
 * for any machine from a few files. */
#include "engine/golden.h"

#include <fenv.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool set_odd_environment(void) {
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040U);
#elif defined(__aarch64__)
    /* Flush to zero, of halves too; alternative halves; default NaN. */
    const uint64_t flags = UINT64_C(1) << 19 | UINT64_C(1) << 24 | UINT64_C(1) << 25 | UINT64_C(1) << 26;
    __asm__ volatile("msr fpcr, %0" : : "r"(flags));
#endif
    return fesetround(FE_UPWARD) == 0;
}

static int print_forms(void) {
    const char *names[GOLDEN_FORMS_MAX];
    size_t count = golden_forms(names);
    for (size_t i = 0; i < count; i++) {
        puts(names[i]);
    }
    return 0;
}

int main(int argc, char **argv) {
    golden_operation operations[GOLDEN_OPERATIONS_MAX];
    if (argc == 2 && strcmp(argv[1], "forms") == 0) {
        return print_forms();
    }
    void *memory = malloc(golden_memory());
    bool ready = memory != NULL && argc >= 2 && (argc == 2 || set_odd_environment());
    size_t count = ready ? golden_run(argv[1], memory, operations) : 0;
    for (size_t i = 0; i < count; i++) {
        const golden_operation *o = &operations[i];
        printf("%s%s%s %016" PRIx64 "\n", o->name, o->type == NULL ? "" : " ", o->type == NULL ? "" : o->type,
               o->hash);
    }
    free(memory);
    if (count == 0) {
        fputs("usage: golden_kernels forms | FORM [odd]\n", stderr);
        return 2;
    }
    return 0;
}
