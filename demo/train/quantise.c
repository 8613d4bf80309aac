#include "quantise.h"

#include <math.h>
#include <string.h>

uint16_t quantise_half(float value) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)((bits >> 16) & 0x8000U);
    float size = fabsf(value);
    if (!(size < 65520.0F)) {
        return (uint16_t)(sign | (isnan(value) ? 0x7e00U : 0x7c00U));
    }
    if (size < 0x1p-14F) { /* subnormal: a count of steps of 2^-24 */
        return (uint16_t)(sign | (uint16_t)lrintf(size * 0x1p24F));
    }
    memcpy(&bits, &size, sizeof bits);
    uint32_t rounded = bits + 0xfffU + ((bits >> 13) & 1U);
    return (uint16_t)(sign | ((rounded - (112U << 23)) >> 13));
}

float quantise_from_half(uint16_t half) {
    uint32_t exponent = (half >> 10) & 0x1fU;
    uint32_t fraction = half & 0x3ffU;
    float size =
        exponent == 0 ? (float)fraction * 0x1p-24F : ldexpf((float)(fraction + 1024U), (int)exponent - 25);
    if (exponent == 31) {
        size = fraction == 0 ? INFINITY : NAN;
    }
    return (half & 0x8000U) != 0 ? -size : size;
}

void quantise_q8(uint8_t *blocks, const float *values, size_t count) {
    for (size_t start = 0; start < count; start += QUANTISE_BLOCK) {
        float most = 0;
        for (size_t i = 0; i < QUANTISE_BLOCK; i++) {
            most = fmaxf(most, fabsf(values[start + i]));
        }
        uint16_t half = quantise_half(most / 127.0F);
        float scale = quantise_from_half(half);
        blocks[0] = (uint8_t)half;
        blocks[1] = (uint8_t)(half >> 8);
        for (size_t i = 0; i < QUANTISE_BLOCK; i++) {
            long steps = scale > 0 ? lrintf(values[start + i] / scale) : 0;
            steps = steps > 127 ? 127 : steps < -127 ? -127 : steps;
            blocks[2 + i] = (uint8_t)(int8_t)steps;
        }
        blocks += QUANTISE_BLOCK_SIZE;
    }
}

void quantise_from_q8(float *values, const uint8_t *blocks, size_t count) {
    for (size_t start = 0; start < count; start += QUANTISE_BLOCK) {
        float scale = quantise_from_half((uint16_t)(blocks[0] | blocks[1] << 8));
        for (size_t i = 0; i < QUANTISE_BLOCK; i++) {
            values[start + i] = scale * (float)(int8_t)blocks[2 + i];
        }
        blocks += QUANTISE_BLOCK_SIZE;
    }
}
