#include "verify/draw.h"

#include "codec/envelope.h"
#include "crypto/hash.h"

enum { DRAW_LIMIT = 256, DRAW_BITS = 53 };

bool verify_draw(const uint8_t secret[VERIFY_SECRET_SIZE], const char *label,
                 const uint8_t job[VERIFY_JOB_SIZE], const uint8_t commitment[VERIFY_COMMITMENT_SIZE],
                 double *draw, error *err) {
    *draw = 0;
    buffer bytes = buffer_make(DRAW_LIMIT);
    envelope_begin(&bytes, label);
    envelope_add(&bytes, slice_of(job, VERIFY_JOB_SIZE));
    envelope_add(&bytes, slice_of(commitment, VERIFY_COMMITMENT_SIZE));
    uint8_t mac[HASH_SIZE] = {0};
    bool good = buffer_failed(&bytes)
                    ? error_memory(err)
                    : hash_hmac(slice_of(secret, VERIFY_SECRET_SIZE), buffer_slice(&bytes), mac, err);
    buffer_free(&bytes);
    if (!good) {
        return false;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof value; i++) {
        value = value << 8 | mac[i];
    }
    *draw = (double)(value >> (64 - DRAW_BITS)) / (double)(UINT64_C(1) << DRAW_BITS);
    return true;
}
