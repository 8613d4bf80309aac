#include "dots.h"

#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* So many rows at a time that their additions don't wait for one another. */
enum { ROWS = 4, AHEAD = 8192 };

INLINE float sum_lanes(__m512 lanes) {
    __m256 upper = _mm512_extractf32x8_ps(lanes, 1);
    __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(lanes), upper);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

/* R rows. What is asked for ahead is asked for in the order in which it lies in memory. */
INLINE void dots_of(size_t R, float *products, const uint16_t *rows, size_t width, const float *vector) {
    __m512 lanes[ROWS];
    UNROLL for (size_t r = 0; r < R; r++) {
        lanes[r] = _mm512_setzero_ps();
    }
    for (size_t i = 0; i < width; i += DOTS_LANES) {
        __m512 x = _mm512_loadu_ps(vector + i);
        UNROLL for (size_t r = 0; r < R; r += 2) {
            _mm_prefetch((const char *)(rows + R * i) + AHEAD + 32 * r, _MM_HINT_T0);
        }
        UNROLL for (size_t r = 0; r < R; r++) {
            const uint16_t *at = rows + r * width + i;
            __m512 kept = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)at));
            lanes[r] = _mm512_add_ps(lanes[r], _mm512_mul_ps(kept, x));
        }
    }
    UNROLL for (size_t r = 0; r < R; r++) {
        products[r] = sum_lanes(lanes[r]);
    }
}

static void dots(float *products, const uint16_t *rows, size_t count, size_t width, const float *vector) {
    size_t r = 0;
    for (; r + ROWS <= count; r += ROWS) {
        dots_of(ROWS, products + r, rows + r * width, width, vector);
    }
    for (; r < count; r++) {
        dots_of(1, products + r, rows + r * width, width, vector);
    }
}

const dots_form *dots_avx512(void) {
    static const dots_form form = {"avx512", dots};
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") ? &form : NULL;
}
