#include "half.h"

enum { LARGEST_EXPONENT = 14 };

/* `value` is below 2^16 - 16. */
static uint16_t half_of_float(float value) {
    uint32_t bits = bits_of_float(value);
    uint32_t sign = bits >> 16 & 0x8000U;
    uint32_t size = bits & 0x7fffffffU;
    if (size < 113U << 23) {
        /* Beside 0.5 a float has steps of 2^-24, as the smallest halves have. */
        float rounded = float_of_bits(size) + 0.5f;
        return (uint16_t)(sign | (bits_of_float(rounded) - bits_of_float(0.5f)));
    }
    uint32_t rounded = size + 0xfffU + (size >> 13 & 1U);
    return (uint16_t)(sign | (rounded - (112U << 23)) >> 13);
}

static double power_of_two(int exponent) {
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool halves_of_floats(uint16_t *halves, const float *numbers, size_t count) {
    uint32_t largest = 0; /* sizes as bits: they stand in the order of the numbers, those not finite on top */
    for (size_t i = 0; i < count; i++) {
        uint32_t size = bits_of_float(numbers[i]) & 0x7fffffffU;
        largest = size > largest ? size : largest;
    }
    if (largest == 0 || largest >= 0x7f800000U) {
        return false;
    }
    /* As a double every float has all its bits. */
    double wide = float_of_bits(largest);
    uint64_t bits = 0;
    memcpy(&bits, &wide, sizeof bits);
    double scale = power_of_two(LARGEST_EXPONENT - ((int)(bits >> 52) - 1023));
    for (size_t i = 0; i < count; i++) {
        halves[i] = half_of_float((float)(numbers[i] * scale));
    }
    return true;
}
