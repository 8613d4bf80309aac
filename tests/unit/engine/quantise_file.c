#include "quantise_file.h"

#include <math.h>
#include <stdlib.h>

const gguf_type quantised_types[QUANTISED_TYPES] = {GGUF_F32,  GGUF_F16,  GGUF_BF16, GGUF_Q8_0,
                                                    GGUF_Q4_0, GGUF_Q4_1, GGUF_Q5_0, GGUF_Q5_1,
                                                    GGUF_Q4_K, GGUF_Q5_K, GGUF_Q6_K};

static double half_value(const uint8_t *bytes) {
    int bits = bytes[0] | bytes[1] << 8;
    int exponent = bits >> 10 & 31;
    int fraction = bits & 1023;
    double size = exponent == 31  ? (fraction == 0 ? (double)INFINITY : (double)NAN)
                  : exponent == 0 ? ldexp(fraction, -24)
                                  : ldexp(1024 + fraction, exponent - 25);
    return bits >> 15 == 0 ? size : -size;
}

/* The nearest half, halves of a step to even; gives its value. */
static double put_half(uint8_t *bytes, double value) {
    int exponent = 0;
    double size = fabs(value);
    frexp(size, &exponent);
    int power = exponent < -13 ? -24 : exponent - 11; /* of the last bit */
    unsigned steps = (unsigned)nearbyint(ldexp(size, -power));
    /* A fraction that rounds up to the next power of two carries into the exponent, as it should. */
    unsigned bits = power == -24 ? steps : ((unsigned)(power + 24) << 10) + steps;
    if (bits > 0x7bff) {
        abort(); /* no test writes such weights */
    }
    bits |= value < 0 ? 0x8000U : 0;
    bytes[0] = (uint8_t)bits;
    bytes[1] = (uint8_t)(bits >> 8);
    return half_value(bytes);
}

static unsigned nearest(double value, unsigned most) {
    double n = nearbyint(value);
    return n > most ? most : n < 0 ? 0 : (unsigned)n;
}

typedef struct range {
    double least;
    double largest;
    double extreme; /* the one further from 0 */
} range;

static range find_range(const float *values, size_t count) {
    range r = {(double)values[0], (double)values[0], 0};
    for (size_t i = 0; i < count; i++) {
        r.least = fmin(r.least, (double)values[i]);
        r.largest = fmax(r.largest, (double)values[i]);
    }
    r.extreme = -r.least > r.largest ? r.least : r.largest;
    return r;
}

static void put_nibble(uint8_t *nibbles, uint8_t *fifths, uint32_t i, unsigned n) {
    nibbles[i % 16] |= (uint8_t)((n & 15) << (i < 16 ? 0 : 4));
    if (fifths != NULL) {
        fifths[i / 8] |= (uint8_t)((n >> 4) << i % 8);
    }
}

static void quantise_symmetric(const float *values, uint8_t *block, uint8_t *fifths, uint8_t *nibbles,
                               unsigned most) {
    unsigned zero = (most + 1) / 2;
    double d = put_half(block, find_range(values, 32).extreme / -(double)zero);
    for (uint32_t i = 0; i < 32; i++) {
        put_nibble(nibbles, fifths, i, d == 0 ? zero : nearest((double)values[i] / d + zero, most));
    }
}

static void quantise_with_minimum(const float *values, uint8_t *block, uint8_t *fifths, uint8_t *nibbles,
                                  unsigned most) {
    range r = find_range(values, 32);
    double d = put_half(block, (r.largest - r.least) / most);
    double m = put_half(block + 2, r.least);
    for (uint32_t i = 0; i < 32; i++) {
        put_nibble(nibbles, fifths, i, d == 0 ? 0 : nearest(((double)values[i] - m) / d, most));
    }
}

static void quantise_q8(const float *values, uint8_t *block) {
    double d = put_half(block, fabs(find_range(values, 32).extreme) / 127);
    for (uint32_t i = 0; i < 32; i++) {
        double q = d == 0 ? 0 : nearbyint((double)values[i] / d);
        block[2 + i] = (uint8_t)(int8_t)fmax(-128, fmin(127, q));
    }
}

/* Where the 6-bit scale (`second` 0) or minimum (1) of a sub-block stands: the low bits from `shift` of a
 * byte, and for the later four two bits more at the top of another. */
typedef struct packed_place {
    uint32_t byte;
    uint32_t shift;
    uint32_t top; /* 12: none */
} packed_place;

static packed_place find_packed(uint32_t sub, uint32_t second) {
    return sub < 4 ? (packed_place){sub + 4 * second, 0, 12}
                   : (packed_place){sub + 4, 4 * second, sub - 4 + 4 * second};
}

static void put_packed(uint8_t *scales, uint32_t sub, uint32_t second, unsigned value) {
    packed_place p = find_packed(sub, second);
    scales[p.byte] |= (uint8_t)((p.top == 12 ? value : value & 15) << p.shift);
    if (p.top < 12) {
        scales[p.top] |= (uint8_t)((value >> 4) << 6);
    }
}

static unsigned packed_value(const uint8_t *scales, uint32_t sub, uint32_t second) {
    packed_place p = find_packed(sub, second);
    return p.top == 12 ? scales[p.byte] & 63U
                       : (scales[p.byte] >> p.shift & 15U) | (unsigned)scales[p.top] >> 6 << 4;
}

static void quantise_sub_blocks(const float *values, uint8_t *block, uint8_t *fifths, uint8_t *nibbles,
                                unsigned most) {
    double steps[8];
    double minima[8];
    double largest_step = 0;
    double largest_minimum = 0;
    for (uint32_t s = 0; s < 8; s++) {
        range r = find_range(values + 32 * s, 32);
        minima[s] = fmax(0, -r.least);
        steps[s] = fmax(0, r.largest + minima[s]) / most;
        largest_step = fmax(largest_step, steps[s]);
        largest_minimum = fmax(largest_minimum, minima[s]);
    }
    double d = put_half(block, largest_step / 63);
    double dmin = put_half(block + 2, largest_minimum / 63);
    for (uint32_t s = 0; s < 8; s++) {
        unsigned scale = d == 0 ? 0 : nearest(steps[s] / d, 63);
        unsigned minimum = dmin == 0 ? 0 : nearest(minima[s] / dmin, 63);
        put_packed(block + 4, s, 0, scale);
        put_packed(block + 4, s, 1, minimum);
        for (uint32_t i = 0; i < 32; i++) {
            double x = (double)values[32 * s + i] + dmin * minimum;
            unsigned n = d * scale == 0 ? 0 : nearest(x / (d * scale), most);
            nibbles[32 * (s / 2) + i] |= (uint8_t)((n & 15) << s % 2 * 4);
            if (fifths != NULL) {
                fifths[i] |= (uint8_t)((n >> 4) << s);
            }
        }
    }
}

typedef struct q6_place {
    uint32_t low;
    uint32_t low_shift;
    uint32_t high;
    uint32_t high_shift;
} q6_place;

static q6_place find_q6(uint32_t i) {
    uint32_t half = i >> 7;
    uint32_t quarter = i >> 5 & 3;
    return (q6_place){half << 6 | (i & 63), (quarter >> 1) * 4, 128 + (half << 5 | (i & 31)), quarter * 2};
}

static void quantise_q6(const float *values, uint8_t *block) {
    double steps[16];
    double largest = 0;
    for (uint32_t s = 0; s < 16; s++) {
        steps[s] = find_range(values + 16 * s, 16).extreme / -32;
        largest = fmax(largest, fabs(steps[s]));
    }
    double d = put_half(block + 208, largest / 127);
    for (uint32_t i = 0; i < 256; i++) {
        double scale = d == 0 ? 0 : fmax(-128, fmin(127, nearbyint(steps[i / 16] / d)));
        q6_place p = find_q6(i);
        unsigned n = d * scale == 0 ? 32 : nearest((double)values[i] / (d * scale) + 32, 63);
        block[192 + i / 16] = (uint8_t)(int8_t)scale;
        block[p.low] |= (uint8_t)((n & 15) << p.low_shift);
        block[p.high] |= (uint8_t)((n >> 4) << p.high_shift);
    }
}

static void quantise_bfloat(float value, uint8_t *block) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    bits += 0x7fff + (bits >> 16 & 1); /* finite values only */
    block[0] = (uint8_t)(bits >> 16);
    block[1] = (uint8_t)(bits >> 24);
}

void quantise_block(gguf_type type, const float *values, uint8_t *block) {
    memset(block, 0, gguf_type_bytes(type));
    switch (type) {
    case GGUF_F32:
        memcpy(block, values, 4);
        break;
    case GGUF_F16:
        put_half(block, (double)values[0]);
        break;
    case GGUF_BF16:
        quantise_bfloat(values[0], block);
        break;
    case GGUF_Q4_0:
        quantise_symmetric(values, block, NULL, block + 2, 15);
        break;
    case GGUF_Q4_1:
        quantise_with_minimum(values, block, NULL, block + 4, 15);
        break;
    case GGUF_Q5_0:
        quantise_symmetric(values, block, block + 2, block + 6, 31);
        break;
    case GGUF_Q5_1:
        quantise_with_minimum(values, block, block + 4, block + 8, 31);
        break;
    case GGUF_Q8_0:
        quantise_q8(values, block);
        break;
    case GGUF_Q4_K:
        quantise_sub_blocks(values, block, NULL, block + 16, 15);
        break;
    case GGUF_Q5_K:
        quantise_sub_blocks(values, block, block + 16, block + 48, 31);
        break;
    case GGUF_Q6_K:
        quantise_q6(values, block);
        break;
    }
}

static int nibble_at(const uint8_t *nibbles, const uint8_t *fifths, uint32_t i) {
    int low = nibbles[i % 16] >> (i < 16 ? 0 : 4) & 15;
    return fifths == NULL ? low : low + 16 * (fifths[i / 8] >> i % 8 & 1);
}

static double sub_block_value(const uint8_t *block, const uint8_t *fifths, const uint8_t *nibbles,
                              uint32_t index) {
    uint32_t s = index / 32;
    uint32_t i = index % 32;
    int n = nibbles[32 * (s / 2) + i] >> s % 2 * 4 & 15;
    n += fifths == NULL ? 0 : 16 * (fifths[i] >> s & 1);
    return half_value(block) * packed_value(block + 4, s, 0) * n -
           half_value(block + 2) * packed_value(block + 4, s, 1);
}

static double q6_value(const uint8_t *block, uint32_t index) {
    q6_place p = find_q6(index);
    int n = (block[p.low] >> p.low_shift & 15) + 16 * (block[p.high] >> p.high_shift & 3);
    return half_value(block + 208) * (int8_t)block[192 + index / 16] * (n - 32);
}

static double float_value(const uint8_t *block, gguf_type type) {
    uint8_t bytes[4] = {0};
    float value = 0;
    memcpy(type == GGUF_F32 ? bytes : bytes + 2, block, gguf_type_bytes(type));
    memcpy(&value, bytes, sizeof value);
    return (double)value;
}

double quantised_value(gguf_type type, const uint8_t *block, uint32_t index) {
    switch (type) {
    case GGUF_F32:
    case GGUF_BF16:
        return float_value(block, type);
    case GGUF_F16:
        return half_value(block);
    case GGUF_Q4_0:
        return half_value(block) * (nibble_at(block + 2, NULL, index) - 8);
    case GGUF_Q4_1:
        return half_value(block) * nibble_at(block + 4, NULL, index) + half_value(block + 2);
    case GGUF_Q5_0:
        return half_value(block) * (nibble_at(block + 6, block + 2, index) - 16);
    case GGUF_Q5_1:
        return half_value(block) * nibble_at(block + 8, block + 4, index) + half_value(block + 2);
    case GGUF_Q8_0:
        return half_value(block) * (int8_t)block[2 + index];
    case GGUF_Q4_K:
        return sub_block_value(block, NULL, block + 16, index);
    case GGUF_Q5_K:
        return sub_block_value(block, block + 16, block + 48, index);
    case GGUF_Q6_K:
        return q6_value(block, index);
    }
    abort();
}
