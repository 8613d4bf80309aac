#include <immintrin.h>

static inline __attribute__((always_inline)) __m512i dot_small(__m512i acc, __m512i w, __m512i x) {
    __m512i pairs = _mm512_maddubs_epi16(w, x);
    return _mm512_add_epi32(acc, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
}

/* w - 128 by its size and sign: 128 * 127 twice is still below 2^15, 255 * 127 twice wouldn't be. The start
 * that the caller gave takes 128 off each number, so it is put back here as (w - 128) + 128. */
static inline __attribute__((always_inline)) __m512i dot_full(__m512i acc, __m512i w, __m512i x) {
    const __m512i middle = _mm512_set1_epi8(-128);
    __m512i meant = _mm512_xor_si512(w, middle);
    __m512i signed_x = _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(meant), _mm512_setzero_si512(), x);
    __m512i pairs = _mm512_maddubs_epi16(_mm512_abs_epi8(meant), signed_x);
    __m512i offsets = _mm512_maddubs_epi16(middle, x);
    __m512i both = _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
    return _mm512_add_epi32(acc, _mm512_add_epi32(both, _mm512_madd_epi16(offsets, _mm512_set1_epi16(1))));
}

#include "kernel/avx512_body.h"

#include <cpuid.h>

const kernels *kernels_avx512(void) {
    static const kernels form = {.name = "avx512", AVX512_KERNELS};
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    bool has_halves = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
    return has_halves && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("fma")
               ? &form
               : NULL;
}
