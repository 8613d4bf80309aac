#include "verify/honeytoken.h"

#include "codec/envelope.h"
#include "crypto/hash.h"

enum {
    DIGITS = 32,
    VERSION_PLACE = 12, /* the digit that says 4 */
    VARIANT_PLACE = 16, /* the one that says 8, 9, a or b */
    GAP_MAX = 8,
    ENVELOPE_LIMIT = 256
};

static bool begins_group(size_t digit) {
    return digit == 8 || digit == 12 || digit == 16 || digit == 20;
}

static void write_marker(const char digits[DIGITS], char marker[HONEYTOKEN_LENGTH + 1]) {
    size_t at = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        if (begins_group(i)) {
            marker[at++] = '-';
        }
        marker[at++] = digits[i];
    }
    marker[at] = '\0';
}

bool honeytoken_make(const uint8_t secret[HONEYTOKEN_SECRET_SIZE],
                     const uint8_t worker[HONEYTOKEN_WORKER_SIZE], uint64_t number,
                     char marker[HONEYTOKEN_LENGTH + 1], error *err) {
    memset(marker, 0, HONEYTOKEN_LENGTH + 1);
    buffer bytes = buffer_make(ENVELOPE_LIMIT);
    envelope_begin(&bytes, "cellule honeytoken v1");
    envelope_add(&bytes, slice_of(worker, HONEYTOKEN_WORKER_SIZE));
    envelope_add_u64(&bytes, number);
    uint8_t mac[HASH_SIZE] = {0};
    bool good = buffer_failed(&bytes)
                    ? error_memory(err)
                    : hash_hmac(slice_of(secret, HONEYTOKEN_SECRET_SIZE), buffer_slice(&bytes), mac, err);
    buffer_free(&bytes);
    if (!good) {
        return false;
    }
    mac[6] = (uint8_t)((mac[6] & 0x0f) | 0x40);
    mac[8] = (uint8_t)((mac[8] & 0x3f) | 0x80);
    char digits[DIGITS + 1];
    hex_encode(slice_of(mac, DIGITS / 2), digits);
    write_marker(digits, marker);
    return true;
}

static bool is_letter_or_digit(uint8_t c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* In lower case; 0 for anything else. */
static char hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') {
        return (char)c;
    }
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? (char)lower : 0;
}

static bool fits(char digit, size_t place) {
    return digit != 0 && (place != VERSION_PLACE || digit == '4') &&
           (place != VARIANT_PLACE || digit == '8' || digit == '9' || digit == 'a' || digit == 'b');
}

/* The 32 digits that begin at `start`, if they do. */
static bool read_run(slice text, size_t start, char digits[DIGITS]) {
    size_t at = start;
    for (size_t place = 0; place < DIGITS; place++) {
        for (size_t gap = 0; place > 0 && gap < GAP_MAX && at < text.length; gap++) {
            if (is_letter_or_digit(text.data[at])) {
                break;
            }
            at++;
        }
        digits[place] = at < text.length ? hex_digit(text.data[at]) : 0;
        if (!fits(digits[place], place)) {
            return false;
        }
        at++;
    }
    return true;
}

bool honeytoken_find(slice text, size_t *position, char marker[HONEYTOKEN_LENGTH + 1]) {
    marker[0] = '\0';
    for (size_t start = *position; start < text.length; start++) {
        char digits[DIGITS];
        if (read_run(text, start, digits)) {
            write_marker(digits, marker);
            *position = start + 1;
            return true;
        }
    }
    *position = text.length;
    return false;
}
