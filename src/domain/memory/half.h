#ifndef MEMORY_HALF_H
#define MEMORY_HALF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Numbers of half precision (IEEE 754 binary16), without infinities and NaN. */

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

/* Exact. */
static inline float float_of_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000U) << 16;
    uint32_t size = (uint32_t)(half & 0x7fffU) << 13;
    float tiny = float_of_bits(size + (113U << 23)) - 0x1p-14f;
    uint32_t bits = size < 1U << 23 ? bits_of_float(tiny) : size + (112U << 23);
    return float_of_bits(sign | bits);
}

/* Of a vector its direction: multiplied by the power of two that brings the largest number to [2^14, 2^15),
 * where numbers of a 2^28th of it still have all their bits, and rounded to nearest, ties to even. So halves
 * that were made of halves are the same again. False: all are 0, or one isn't finite; nothing is written. */
bool halves_of_floats(uint16_t *halves, const float *numbers, size_t count);

#endif
