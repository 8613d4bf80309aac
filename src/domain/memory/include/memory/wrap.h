#ifndef MEMORY_WRAP_H
#define MEMORY_WRAP_H

#include "memory/record.h"

/* A user's data key, sealed under a token of his: who has one of the tokens has the key, and nobody else. The
 * token's key is PBKDF2-HMAC-SHA-256 (RFC 8018) of its text; how that is made stands beside each wrap, so
 * that it can rise. Making and opening take a quarter of a second of processor: never on a loop. Any thread.
 */
enum {
    WRAP_SALT_SIZE = 16,
    WRAP_COST = 600000,     /* iterations of what is made now (OWASP, 2023) */
    WRAP_COST_MIN = 600000, /* what is less strong isn't opened */
    WRAP_COST_MAX = 10000000,
    WRAP_SIZE_MAX = 512
};

/* "pbkdf2-sha256" */
extern const char wrap_kind[];

typedef struct wrap_owner {
    uint64_t user_id;
    uint64_t key_id;              /* of the token */
    uint8_t salt[WRAP_SALT_SIZE]; /* the user's */
} wrap_owner;

/* Appends the wrap. */
MUST_CHECK bool wrap_seal(slice token, const wrap_owner *owner, uint32_t cost, uint64_t unix_ms,
                          const uint8_t data_key[RECORD_KEY_SIZE], buffer *wrapped, error *err);
/* ERROR_DENIED: the token isn't the one, or the wrap was changed. ERROR_UNSUPPORTED: a kind or cost that
 * isn't known. `data_key`: secret memory of the caller's; zeros on failure. */
MUST_CHECK bool wrap_open(slice token, const wrap_owner *owner, slice kind, uint64_t cost, slice wrapped,
                          uint8_t data_key[RECORD_KEY_SIZE], error *err);

#endif
