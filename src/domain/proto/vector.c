#include "proto/vector.h"

#include "codec/base64.h"

enum { VALUE_SIZE = 4, FINITE_EXPONENTS = 0xff };

bool proto_vector_append(const float *values, size_t dimension, buffer *out) {
    uint8_t bytes[PROTO_DIMENSION_MAX * VALUE_SIZE];
    if (dimension > PROTO_DIMENSION_MAX) {
        return false;
    }
    for (size_t i = 0; i < dimension; i++) {
        uint32_t bits = 0;
        memcpy(&bits, &values[i], sizeof bits);
        for (size_t k = 0; k < VALUE_SIZE; k++) {
            bytes[i * VALUE_SIZE + k] = (uint8_t)(bits >> (8 * k));
        }
    }
    return base64url_append(out, slice_of(bytes, dimension * VALUE_SIZE));
}

bool proto_vector_read(slice text, float *values, size_t dimension) {
    uint8_t bytes[PROTO_DIMENSION_MAX * VALUE_SIZE];
    if (dimension > PROTO_DIMENSION_MAX || !base64url_decode_exact(text, bytes, dimension * VALUE_SIZE)) {
        return false;
    }
    for (size_t i = 0; i < dimension; i++) {
        uint32_t bits = 0;
        for (size_t k = 0; k < VALUE_SIZE; k++) {
            bits |= (uint32_t)bytes[i * VALUE_SIZE + k] << (8 * k);
        }
        if (((bits >> 23) & FINITE_EXPONENTS) == FINITE_EXPONENTS) {
            return false;
        }
        memcpy(&values[i], &bits, sizeof bits);
    }
    return true;
}
