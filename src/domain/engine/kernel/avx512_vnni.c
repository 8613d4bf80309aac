#include <immintrin.h>

/* By hand, since compilers copy the accumulator around the intrinsic (gcc 12 loses a third of the speed so).
 */
static inline __attribute__((always_inline)) __m512i dot_full(__m512i acc, __m512i w, __m512i x) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(acc) : "v"(w), "v"(x));
    return acc;
}

static inline __attribute__((always_inline)) __m512i dot_small(__m512i acc, __m512i w, __m512i x) {
    return dot_full(acc, w, x);
}

#include "kernel/avx512_body.h"

const kernels *kernels_avx512_vnni(void) {
    static const kernels form = {.name = "avx512-vnni", AVX512_KERNELS};
    return kernels_avx512() != NULL && __builtin_cpu_supports("avx512vnni") ? &form : NULL;
}
