#ifndef ENGINE_ARITHMETIC_H
#define ENGINE_ARITHMETIC_H

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The scalar operations of the canonical arithmetic (README.md gives each rounding). fmaf and sqrtf are exact
 * by IEEE 754; nothing else is taken from the mathematics library. All expect the environment that
 * arithmetic_enter sets. */

static inline float float_of_bits(uint32_t bits) {
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of_float(float value) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline bool is_finite(float value) {
    return (bits_of_float(value) & 0x7f800000U) != 0x7f800000U;
}

/* To the nearest whole number, halves to even, for |x| < 2^22. */
static inline float round_even(float x) {
    const float shift = 0x1.8p23f;
    return (x + shift) - shift;
}

static inline uint16_t load_u16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static inline float load_f32(const uint8_t *bytes) {
    float value = 0; /* little-endian hosts only, as engine_open checks */
    memcpy(&value, bytes, sizeof value);
    return value;
}

/* Exact; a NaN stays one. */
static inline float float_of_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000U) << 16;
    uint32_t exponent = (half >> 10) & 0x1fU;
    uint32_t fraction = half & 0x3ffU;
    if (exponent == 0) {
        float tiny = (float)fraction * 0x1p-24f;
        return float_of_bits(sign | bits_of_float(tiny));
    }
    uint32_t wide = exponent == 31 ? 255 : exponent + 112;
    return float_of_bits(sign | wide << 23 | fraction << 13);
}

/* Nearest, ties to even; too large gives infinity. */
uint16_t half_of_float(float value);

/* a[i]+a[i+8], then +4, +2, +1. */
static inline float tree16(float lanes[16]) {
    for (size_t step = 8; step > 0; step /= 2) {
        for (size_t i = 0; i < step; i++) {
            lanes[i] += lanes[i + step];
        }
    }
    return lanes[0];
}

static inline float exponential(float x) {
    x = x > -87.0f ? x : -87.0f; /* also for NaN */
    x = x < 88.0f ? x : 88.0f;
    float n = round_even(x * 0x1.715476p0f);
    float r = fmaf(n, -0x1.62e4p-1f, x);
    r = fmaf(n, -0x1.7f7d1cp-20f, r);
    float p = 0x1.6850e4p-10f;
    p = fmaf(p, r, 0x1.123bccp-7f);
    p = fmaf(p, r, 0x1.555b98p-5f);
    p = fmaf(p, r, 0x1.55548ep-3f);
    p = fmaf(p, r, 0x1.fffff8p-2f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return p * float_of_bits((uint32_t)((int32_t)n + 127) << 23);
}

/* The natural logarithm of a positive normal number, within 2^-51 of the larger of 1 and the result. */
double logarithm(double x);

/* The pairs' turning speeds, base^(-2i/size) for i < size/2. `base` is above 0. */
void rope_frequencies(double *frequencies, size_t size, float base);
/* cos and sin of position·frequency, rounded to f32. `position` is below 2^20. */
void rope_turns(float *cosines, float *sines, const double *frequencies, size_t pairs, uint32_t position);

/* Sets round-to-nearest-even without flushing to zero, whatever the caller had; arithmetic_leave gives the
 * caller's setting back. */
typedef struct arithmetic_state arithmetic_state;
struct arithmetic_state {
    _Alignas(16) unsigned char environment[64];
};
bool arithmetic_enter(arithmetic_state *saved);
void arithmetic_leave(const arithmetic_state *saved);

#endif
