#include "coder_internal.h"

#include <math.h>

void coder_refuse(const coder *c) {
    if (c->in != NULL) {
        c->in->failed = true;
    }
}

void coder_bytes(coder *c, uint8_t *bytes, size_t length) {
    if (c->out != NULL) {
        envelope_add(c->out, slice_of(bytes, length));
    } else {
        envelope_read_exact(c->in, bytes, length);
    }
}

void coder_u32(coder *c, uint32_t *value) {
    if (c->out != NULL) {
        envelope_add_u32(c->out, *value);
    } else {
        *value = envelope_read_u32(c->in);
    }
}

void coder_u64(coder *c, uint64_t *value) {
    if (c->out != NULL) {
        envelope_add_u64(c->out, *value);
    } else {
        *value = envelope_read_u64(c->in);
    }
}

void coder_bool(coder *c, bool *value) {
    uint32_t number = *value ? 1 : 0;
    coder_u32(c, &number);
    if (number > 1) {
        coder_refuse(c);
    }
    *value = number == 1;
}

void coder_float(coder *c, float *value) {
    uint32_t bits = 0;
    memcpy(&bits, value, sizeof bits);
    coder_u32(c, &bits);
    memcpy(value, &bits, sizeof bits);
}

void coder_profile(coder *c, char profile[RECEIPT_PROFILE_LIMIT + 1]) {
    if (c->out != NULL) {
        envelope_add_text(c->out, profile);
        return;
    }
    slice text = envelope_read(c->in);
    memset(profile, 0, RECEIPT_PROFILE_LIMIT + 1);
    if (text.length > 0 && text.length <= RECEIPT_PROFILE_LIMIT) {
        memcpy(profile, text.data, text.length);
    }
    if (strlen(profile) != text.length) {
        coder_refuse(c); /* too long, or with a zero inside */
    }
}

bool coder_profile_is_good(const char profile[RECEIPT_PROFILE_LIMIT + 1]) {
    size_t length = strnlen(profile, RECEIPT_PROFILE_LIMIT + 1);
    for (size_t i = 0; i < length; i++) {
        if (profile[i] <= ' ' || profile[i] > '~') {
            return false;
        }
    }
    return length > 0 && length <= RECEIPT_PROFILE_LIMIT;
}

bool coder_temperature_is_good(float temperature) {
    return isfinite(temperature) && temperature >= 0;
}

bool coder_top_p_is_good(float top_p) {
    return isfinite(top_p) && top_p >= 0 && top_p <= 1;
}

bool coder_floats_are_same(float a, float b) {
    uint32_t bits[2];
    memcpy(&bits[0], &a, sizeof a);
    memcpy(&bits[1], &b, sizeof b);
    return bits[0] == bits[1];
}
