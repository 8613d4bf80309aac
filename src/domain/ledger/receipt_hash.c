#include "ledger/receipt.h"

#include "codec/envelope.h"

enum { LENGTH_SIZE = 4, STEP = 256 };

/* The hash of an envelope without building it, since prompts are long: each field's length, then the field.
 */
static void add_field(hash *h, slice field) {
    uint8_t length[LENGTH_SIZE];
    for (size_t i = 0; i < LENGTH_SIZE; i++) {
        length[i] = (uint8_t)(field.length >> (24 - 8 * i));
    }
    hash_update(h, slice_of(length, sizeof length));
    hash_update(h, field);
}

static void add_u32(hash *h, uint32_t value) {
    const uint8_t bytes[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                             (uint8_t)value};
    add_field(h, slice_of(bytes, sizeof bytes));
}

static hash *begin(const char *label, error *err) {
    hash *h = hash_new(err);
    if (h != NULL) {
        add_field(h, slice_of_text(label));
    }
    return h;
}

static bool finish(hash *h, uint8_t digest[HASH_SIZE], error *err) {
    bool good = hash_finish(h, digest, err);
    hash_free(h);
    return good;
}

static bool fits(slice field, error *err) {
    return field.length <= UINT32_MAX || error_set(err, ERROR_LIMIT, "a text is too long for a receipt");
}

bool receipt_hash_prompt(const uint8_t salt[RECEIPT_SALT_SIZE], const receipt_message *messages, size_t count,
                         uint8_t digest[HASH_SIZE], error *err) {
    memset(digest, 0, HASH_SIZE);
    for (size_t i = 0; i < count; i++) {
        if (!fits(messages[i].role, err) || !fits(messages[i].content, err)) {
            return false;
        }
    }
    hash *h = begin("cellule prompt v1", err);
    if (h == NULL) {
        return false;
    }
    add_field(h, slice_of(salt, RECEIPT_SALT_SIZE));
    for (size_t i = 0; i < count; i++) {
        add_field(h, messages[i].role);
        add_field(h, messages[i].content);
    }
    return finish(h, digest, err);
}

bool receipt_hash_answer(const uint8_t salt[RECEIPT_SALT_SIZE], slice text, uint8_t digest[HASH_SIZE],
                         error *err) {
    memset(digest, 0, HASH_SIZE);
    hash *h = fits(text, err) ? begin("cellule answer v1", err) : NULL;
    if (h == NULL) {
        return false;
    }
    add_field(h, slice_of(salt, RECEIPT_SALT_SIZE));
    add_field(h, text);
    return finish(h, digest, err);
}

bool receipt_hash_stop(const slice *stops, size_t count, uint8_t digest[HASH_SIZE], error *err) {
    memset(digest, 0, HASH_SIZE);
    for (size_t i = 0; i < count; i++) {
        if (!fits(stops[i], err)) {
            return false;
        }
    }
    hash *h = begin("cellule stop v1", err);
    if (h == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        add_field(h, stops[i]);
    }
    return finish(h, digest, err);
}

bool receipt_hash_tokens(const uint32_t *tokens, size_t count, uint8_t digest[HASH_SIZE], error *err) {
    memset(digest, 0, HASH_SIZE);
    hash *h = hash_new(err);
    if (h == NULL) {
        return false;
    }
    uint8_t bytes[4 * STEP];
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < 4; k++) {
            bytes[filled++] = (uint8_t)(tokens[i] >> (24 - 8 * k));
        }
        if (filled == sizeof bytes || i + 1 == count) {
            hash_update(h, slice_of(bytes, filled));
            filled = 0;
        }
    }
    return finish(h, digest, err);
}

bool receipt_nonce(const uint8_t salt[RECEIPT_SALT_SIZE], uint8_t nonce[HASH_SIZE], error *err) {
    memset(nonce, 0, HASH_SIZE);
    hash *h = begin("cellule nonce v1", err);
    if (h == NULL) {
        return false;
    }
    add_field(h, slice_of(salt, RECEIPT_SALT_SIZE));
    return finish(h, nonce, err);
}

bool receipt_commit(const uint8_t chain[HASH_SIZE], const uint8_t text_hash[HASH_SIZE],
                    uint32_t prompt_tokens, bool stopped, uint8_t commitment[HASH_SIZE], error *err) {
    memset(commitment, 0, HASH_SIZE);
    hash *h = begin("cellule commitment v1", err);
    if (h == NULL) {
        return false;
    }
    add_field(h, slice_of(chain, HASH_SIZE));
    add_field(h, slice_of(text_hash, HASH_SIZE));
    add_u32(h, prompt_tokens);
    add_u32(h, stopped ? RECEIPT_FINISH_STOP : RECEIPT_FINISH_LENGTH);
    return finish(h, commitment, err);
}

bool receipt_commit_text(const uint8_t nonce[HASH_SIZE], const uint8_t text_hash[HASH_SIZE],
                         uint8_t commitment[HASH_SIZE], error *err) {
    memset(commitment, 0, HASH_SIZE);
    hash *h = begin("cellule text commitment v1", err);
    if (h == NULL) {
        return false;
    }
    add_field(h, slice_of(nonce, HASH_SIZE));
    add_field(h, slice_of(text_hash, HASH_SIZE));
    return finish(h, commitment, err);
}

bool receipt_pool_id(const uint8_t public_key[SIGN_PUBLIC_SIZE], uint8_t pool_id[HASH_SIZE], error *err) {
    return hash_sha256(slice_of(public_key, SIGN_PUBLIC_SIZE), pool_id, err);
}

bool receipt_worker_id(const uint8_t public_key[SIGN_PUBLIC_SIZE], uint8_t worker_id[RECEIPT_WORKER_SIZE],
                       error *err) {
    uint8_t digest[HASH_SIZE];
    bool good = hash_sha256(slice_of(public_key, SIGN_PUBLIC_SIZE), digest, err);
    memcpy(worker_id, digest, RECEIPT_WORKER_SIZE);
    return good;
}
