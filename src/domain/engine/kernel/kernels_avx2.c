#include "arithmetic/arithmetic.h"
#include "kernels.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

/* Lanes are output rows, positions or the 16 of the README, never parts of one sum, so each result takes the
 * roundings of the plain form in the same order. */
#define AVX2 __attribute__((target("avx2,fma,f16c")))

AVX2 static bool quantise_block(int8_t *numbers, float *scale, const float *x) {
    __m256 v[4];
    __m256 largest = _mm256_setzero_ps();
    __m256 wild = _mm256_setzero_ps();
    const __m256 magnitude = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    for (size_t i = 0; i < 4; i++) {
        v[i] = _mm256_loadu_ps(x + 8 * i);
        __m256 size = _mm256_and_ps(v[i], magnitude);
        wild = _mm256_or_ps(wild, _mm256_cmp_ps(size, _mm256_set1_ps(FLT_MAX), _CMP_NLE_UQ));
        largest = _mm256_max_ps(largest, size);
    }
    if (_mm256_movemask_ps(wild) != 0) {
        return false;
    }
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    m = _mm_max_ss(m, _mm_movehdup_ps(m));
    float most = _mm_cvtss_f32(m);
    if (most < 0x1p-100f) {
        *scale = 0;
        memset(numbers, 0, Q8_BLOCK);
        return true;
    }
    *scale = most / 127.0f;
    const __m256 inverse = _mm256_set1_ps(127.0f / most);
    __m256i whole[4];
    for (size_t i = 0; i < 4; i++) {
        whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
    }
    __m256i low = _mm256_packs_epi32(whole[0], whole[1]);
    __m256i high = _mm256_packs_epi32(whole[2], whole[3]);
    __m256i bytes = _mm256_packs_epi16(low, high);
    bytes = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256((__m256i *)(void *)numbers, bytes);
    return true;
}

AVX2 static bool quantise(quantised *q, const float *x, size_t count) {
    for (size_t block = 0; block < count / Q8_BLOCK; block++) {
        if (!quantise_block(q->numbers + block * Q8_BLOCK, &q->scales[block], x + block * Q8_BLOCK)) {
            return false;
        }
    }
    return true;
}

/* Eight partial sums of 32 products. |w|·(x with w's sign) never saturates, as |x| is at most 127. */
AVX2 static inline __m256i dot_block(const uint8_t *weights, __m256i x) {
    __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)weights);
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* Lane r: the sum of v[r]. */
AVX2 static inline __m256i sum_each(const __m256i v[8]) {
    __m256i low = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    __m256i high = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                            _mm256_permute2x128_si256(low, high, 0x31));
}

AVX2 static void multiply_q8_tile(float *y, const uint8_t *rows, size_t tile, size_t blocks,
                                  const quantised *x) {
    /* A tile of fewer than 8 rows reads its last row again in the lanes that are left over. */
    const uint8_t *row[8];
    for (size_t r = 0; r < 8; r++) {
        row[r] = rows + (r < tile ? r : tile - 1) * blocks * Q8_BLOCK_SIZE;
    }
    __m256 sums = _mm256_setzero_ps();
    for (size_t block = 0; block < blocks; block++) {
        __m256i numbers = _mm256_loadu_si256((const __m256i *)(const void *)(x->numbers + block * Q8_BLOCK));
        __m256i dots[8];
        uint16_t halves[8];
        size_t offset = block * Q8_BLOCK_SIZE;
        for (size_t r = 0; r < 8; r++) {
            memcpy(&halves[r], row[r] + offset, sizeof halves[r]);
            dots[r] = dot_block(row[r] + offset + 2, numbers);
        }
        __m256 scales = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)halves));
        scales = _mm256_mul_ps(scales, _mm256_set1_ps(x->scales[block]));
        sums = _mm256_fmadd_ps(scales, _mm256_cvtepi32_ps(sum_each(dots)), sums);
    }
    float results[8];
    _mm256_storeu_ps(results, sums);
    memcpy(y, results, tile * sizeof *y);
}

AVX2 static void multiply_q8(float *y, const uint8_t *rows, size_t row_count, size_t columns,
                             const quantised *x) {
    size_t blocks = columns / Q8_BLOCK;
    for (size_t row = 0; row < row_count; row += 8) {
        size_t tile = row_count - row < 8 ? row_count - row : 8;
        multiply_q8_tile(y + row, rows + row * blocks * Q8_BLOCK_SIZE, tile, blocks, x);
    }
}

AVX2 static inline __m256 load_halves(const void *halves) {
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)halves));
}

AVX2 static void multiply_f16(float *y, const uint8_t *rows, size_t row_count, size_t columns,
                              const float *x) {
    for (size_t row = 0; row < row_count; row++) {
        const uint8_t *weights = rows + row * columns * 2;
        __m256 low = _mm256_setzero_ps();
        __m256 high = _mm256_setzero_ps();
        size_t i = 0;
        for (; i + 16 <= columns; i += 16) {
            low = _mm256_fmadd_ps(load_halves(weights + 2 * i), _mm256_loadu_ps(x + i), low);
            high = _mm256_fmadd_ps(load_halves(weights + 2 * i + 16), _mm256_loadu_ps(x + i + 8), high);
        }
        float lanes[16];
        _mm256_storeu_ps(lanes, low);
        _mm256_storeu_ps(lanes + 8, high);
        for (; i < columns; i++) {
            lanes[i % 16] = fmaf(float_of_half(load_u16(weights + 2 * i)), x[i], lanes[i % 16]);
        }
        y[row] = tree16(lanes);
    }
}

AVX2 static void multiply_f32(float *y, const uint8_t *rows, size_t row_count, size_t columns,
                              const float *x) {
    for (size_t row = 0; row < row_count; row++) {
        const uint8_t *weights = rows + row * columns * 4;
        __m256 low = _mm256_setzero_ps();
        __m256 high = _mm256_setzero_ps();
        size_t i = 0;
        for (; i + 16 <= columns; i += 16) {
            __m256 first =
                _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(const void *)(weights + 4 * i)));
            __m256 second = _mm256_castsi256_ps(
                _mm256_loadu_si256((const __m256i *)(const void *)(weights + 4 * i + 32)));
            low = _mm256_fmadd_ps(first, _mm256_loadu_ps(x + i), low);
            high = _mm256_fmadd_ps(second, _mm256_loadu_ps(x + i + 8), high);
        }
        float lanes[16];
        _mm256_storeu_ps(lanes, low);
        _mm256_storeu_ps(lanes + 8, high);
        for (; i < columns; i++) {
            lanes[i % 16] = fmaf(load_f32(weights + 4 * i), x[i], lanes[i % 16]);
        }
        y[row] = tree16(lanes);
    }
}

AVX2 static float sum_of_squares(const float *x, size_t count) {
    __m256 low = _mm256_setzero_ps();
    __m256 high = _mm256_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        __m256 first = _mm256_loadu_ps(x + i);
        __m256 second = _mm256_loadu_ps(x + i + 8);
        low = _mm256_fmadd_ps(first, first, low);
        high = _mm256_fmadd_ps(second, second, high);
    }
    float lanes[16];
    _mm256_storeu_ps(lanes, low);
    _mm256_storeu_ps(lanes + 8, high);
    for (; i < count; i++) {
        lanes[i % 16] = fmaf(x[i], x[i], lanes[i % 16]);
    }
    return tree16(lanes);
}

AVX2 static inline __m256 exponential8(__m256 x) {
    x = _mm256_max_ps(x, _mm256_set1_ps(-87.0f)); /* the second operand for NaN */
    x = _mm256_min_ps(x, _mm256_set1_ps(88.0f));
    const __m256 shift = _mm256_set1_ps(0x1.8p23f);
    __m256 n = _mm256_mul_ps(x, _mm256_set1_ps(0x1.715476p0f));
    n = _mm256_sub_ps(_mm256_add_ps(n, shift), shift);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.62e4p-1f), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.7f7d1cp-20f), r);
    __m256 p = _mm256_set1_ps(0x1.6850e4p-10f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.123bccp-7f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.555b98p-5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.55548ep-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0x1.fffff8p-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    __m256i power = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_mul_ps(p, _mm256_castsi256_ps(power));
}

AVX2 static void exponentials(float *x, size_t count) {
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        _mm256_storeu_ps(x + i, exponential8(_mm256_loadu_ps(x + i)));
    }
    if (i < count) {
        float rest[8] = {0};
        memcpy(rest, x + i, (count - i) * sizeof *x);
        _mm256_storeu_ps(rest, exponential8(_mm256_loadu_ps(rest)));
        memcpy(x + i, rest, (count - i) * sizeof *x);
    }
}

AVX2 static void score(float s[CHUNK], const float *query, const uint16_t *keys, size_t head_size) {
    __m256 sums[CHUNK / 8];
    for (size_t t = 0; t < CHUNK / 8; t++) {
        sums[t] = _mm256_setzero_ps();
    }
    for (size_t d = 0; d < head_size; d++) {
        __m256 q = _mm256_set1_ps(query[d]);
        for (size_t t = 0; t < CHUNK / 8; t++) {
            sums[t] = _mm256_fmadd_ps(q, load_halves(keys + d * CHUNK + 8 * t), sums[t]);
        }
    }
    for (size_t t = 0; t < CHUNK / 8; t++) {
        _mm256_storeu_ps(s + 8 * t, sums[t]);
    }
}

AVX2 static void weigh(float *total, const float *weights, const uint16_t *values, size_t count,
                       size_t head_size) {
    size_t d = 0;
    for (; d + 8 <= head_size; d += 8) {
        __m256 sum = _mm256_setzero_ps();
        for (size_t t = 0; t < count; t++) {
            sum = _mm256_fmadd_ps(_mm256_set1_ps(weights[t]), load_halves(values + t * head_size + d), sum);
        }
        _mm256_storeu_ps(total + d, _mm256_add_ps(_mm256_loadu_ps(total + d), sum));
    }
    for (; d < head_size; d++) {
        float sum = 0;
        for (size_t t = 0; t < count; t++) {
            sum = fmaf(weights[t], float_of_half(values[t * head_size + d]), sum);
        }
        total[d] += sum;
    }
}

static bool processor_has_f16c(void) {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & (1U << 29)) != 0;
}

const kernels *kernels_avx2(void) {
    static const kernels avx2 = {.name = "avx2",
                                 .quantise = quantise,
                                 .multiply_q8 = multiply_q8,
                                 .multiply_f16 = multiply_f16,
                                 .multiply_f32 = multiply_f32,
                                 .sum_of_squares = sum_of_squares,
                                 .exponentials = exponentials,
                                 .score = score,
                                 .weigh = weigh};
    bool usable = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && processor_has_f16c();
    return usable ? &avx2 : NULL;
}

#else

const kernels *kernels_avx2(void) {
    return NULL;
}

#endif
