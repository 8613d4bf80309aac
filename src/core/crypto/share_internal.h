#ifndef CRYPTO_SHARE_INTERNAL_H
#define CRYPTO_SHARE_INTERNAL_H

#include <stdint.h>

/* Arithmetic in GF(2^8), modulo x^8 + x^4 + x^3 + x + 1, in a time that tells nothing. */
uint8_t share_multiply(uint8_t a, uint8_t b);
/* Of 0: 0. */
uint8_t share_invert(uint8_t a);
/* coefficients[0] + coefficients[1]·x + … */
uint8_t share_evaluate(const uint8_t *coefficients, unsigned count, uint8_t x);

#endif
