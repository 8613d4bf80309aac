#include "crypto/share.h"

#include "crypto/secret.h"
#include "os/random.h"
#include "share_internal.h"

enum { POLYNOMIAL = 0x11b, INVERSE_EXPONENT = 254 };

uint8_t share_multiply(uint8_t a, uint8_t b) {
    unsigned left = a;
    unsigned product = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
        product ^= left & (0U - ((unsigned)b >> bit & 1U));
        left = (left << 1U) ^ (POLYNOMIAL & (0U - (left >> 7U & 1U)));
    }
    return (uint8_t)product;
}

/* a^254, for the group has 255 elements. */
uint8_t share_invert(uint8_t a) {
    uint8_t power = 1;
    for (unsigned i = 0; i < INVERSE_EXPONENT; i++) {
        power = share_multiply(power, a);
    }
    return power;
}

uint8_t share_evaluate(const uint8_t *coefficients, unsigned count, uint8_t x) {
    uint8_t value = 0;
    for (unsigned i = count; i > 0; i--) {
        value = (uint8_t)(share_multiply(value, x) ^ coefficients[i - 1]);
    }
    return value;
}

bool share_split(slice secret, unsigned needed, unsigned count, uint8_t *shares, error *err) {
    uint8_t coefficients[SHARE_COUNT_MAX];
    if (needed < 2 || needed > count || count > SHARE_COUNT_MAX || secret.length == 0 ||
        secret.length > SHARE_SECRET_MAX) {
        return error_set(err, ERROR_INVALID,
                         "a secret of 1 to %d bytes has up to %d shares, of which 2 or more are needed",
                         (int)SHARE_SECRET_MAX, (int)SHARE_COUNT_MAX);
    }
    for (size_t i = 0; i < secret.length; i++) {
        if (!random_bytes(coefficients + 1, needed - 1, err)) {
            secret_wipe(coefficients, sizeof coefficients);
            secret_wipe(shares, count * secret.length);
            return false;
        }
        coefficients[0] = secret.data[i];
        for (unsigned at = 0; at < count; at++) {
            shares[at * secret.length + i] = share_evaluate(coefficients, needed, (uint8_t)(at + 1));
        }
    }
    secret_wipe(coefficients, sizeof coefficients);
    return true;
}

static bool check_points(const uint8_t *points, unsigned count, error *err) {
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < i; j++) {
            if (points[i] == points[j]) {
                return error_set(err, ERROR_INVALID, "a share comes twice; bring another person's");
            }
        }
        if (points[i] == 0) {
            return error_set(err, ERROR_INVALID, "a share's point isn't 0");
        }
    }
    return true;
}

/* What the share of points[i] counts for at 0: the product of p / (p - points[i]) over the other points p. */
static uint8_t weigh(const uint8_t *points, unsigned count, unsigned i) {
    uint8_t weight = 1;
    for (unsigned j = 0; j < count; j++) {
        if (j != i) {
            uint8_t difference = (uint8_t)(points[j] ^ points[i]);
            weight = share_multiply(weight, share_multiply(points[j], share_invert(difference)));
        }
    }
    return weight;
}

bool share_join(const uint8_t *points, const uint8_t *shares, unsigned count, uint8_t *secret, size_t length,
                error *err) {
    memset(secret, 0, length);
    if (!check_points(points, count, err)) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        uint8_t weight = weigh(points, count, i);
        for (size_t at = 0; at < length; at++) {
            secret[at] ^= share_multiply(shares[i * length + at], weight);
        }
    }
    return true;
}
