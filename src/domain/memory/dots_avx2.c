#include "dots.h"

#include <cpuid.h>
#include <immintrin.h>
#include <stdbool.h>

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* So many rows at a time that their additions don't wait for one another. */
enum { ROWS = 4, AHEAD = 8192 };

INLINE float sum_lanes(__m256 low, __m256 high) {
    __m256 eight = _mm256_add_ps(low, high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}

INLINE __m256 load(const uint16_t *halves) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)halves));
}

/* R rows. What is asked for ahead is asked for in the order in which it lies in memory. */
INLINE void dots_of(size_t R, float *products, const uint16_t *rows, size_t width, const float *vector) {
    __m256 low[ROWS];
    __m256 high[ROWS];
    UNROLL for (size_t r = 0; r < R; r++) {
        low[r] = high[r] = _mm256_setzero_ps();
    }
    for (size_t i = 0; i < width; i += DOTS_LANES) {
        UNROLL for (size_t r = 0; r < R; r += 2) {
            _mm_prefetch((const char *)(rows + R * i) + AHEAD + 32 * r, _MM_HINT_T0);
        }
        __m256 x = _mm256_loadu_ps(vector + i);
        __m256 y = _mm256_loadu_ps(vector + i + DOTS_LANES / 2);
        UNROLL for (size_t r = 0; r < R; r++) {
            const uint16_t *at = rows + r * width + i;
            low[r] = _mm256_add_ps(low[r], _mm256_mul_ps(load(at), x));
            high[r] = _mm256_add_ps(high[r], _mm256_mul_ps(load(at + DOTS_LANES / 2), y));
        }
    }
    UNROLL for (size_t r = 0; r < R; r++) {
        products[r] = sum_lanes(low[r], high[r]);
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

const dots_form *dots_avx2(void) {
    static const dots_form form = {"avx2", dots};
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    bool has_halves = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
    return has_halves && __builtin_cpu_supports("avx2") ? &form : NULL;
}
