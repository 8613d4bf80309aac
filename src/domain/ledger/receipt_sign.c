#include "codec/envelope.h"
#include "ledger/receipt.h"
#include "succession_internal.h"

enum { POOL_MESSAGE_LIMIT = 1024 };

/* Three answers: the id belongs to the key, it does not, memory is out. Only the first is true. */
static bool check_worker_id(const receipt *r, const uint8_t key[SIGN_PUBLIC_SIZE], error *err) {
    uint8_t id[RECEIPT_WORKER_SIZE];
    return receipt_worker_id(key, id, err) &&
           (hash_equal(id, r->worker_id, sizeof id) ||
            error_set(err, ERROR_CORRUPT, "the worker named in the receipt is not the one that signed it"));
}

static bool check_pool_id(const receipt *r, const uint8_t key[SIGN_PUBLIC_SIZE], const succession *keys,
                          error *err) {
    uint8_t id[HASH_SIZE];
    if (keys == NULL ? !receipt_pool_id(key, id, err) : !succession_covers(keys, key, r->finished_ms, err)) {
        return false;
    }
    return hash_equal(keys == NULL ? id : keys->pool_id, r->pool_id, sizeof id) ||
           error_set(err, ERROR_CORRUPT, "the pool named in the receipt is not the one that signed it");
}

bool receipt_sign_worker(signed_receipt *s, const sign_key *worker, error *err) {
    buffer encoded = buffer_make(RECEIPT_ENCODED_LIMIT);
    bool good = check_worker_id(&s->fields, sign_key_public(worker), err) &&
                receipt_encode(&s->fields, &encoded, err) &&
                sign_bytes(worker, buffer_slice(&encoded), s->worker_signature, err);
    slice bytes = buffer_slice(&encoded);
    if (good && bytes.data != NULL) {
        s->length = bytes.length;
        memcpy(s->bytes, bytes.data, bytes.length);
        memcpy(s->worker_key, sign_key_public(worker), SIGN_PUBLIC_SIZE);
    }
    buffer_free(&encoded);
    return good;
}

bool receipt_verify_worker(signed_receipt *s, error *err) {
    if (s->length > sizeof s->bytes) {
        return error_set(err, ERROR_CORRUPT, "this receipt is too long");
    }
    slice bytes = slice_of(s->bytes, s->length);
    if (!receipt_decode(bytes, &s->fields, err) || !check_worker_id(&s->fields, s->worker_key, err)) {
        return false;
    }
    return sign_verify(s->worker_key, bytes, s->worker_signature) ||
           error_set(err, ERROR_CORRUPT, "the worker's signature does not match the receipt");
}

/* What the pool signs: the receipt and the worker's signature over it. */
static bool make_pool_message(const signed_receipt *s, buffer *out, error *err) {
    envelope_begin(out, "cellule receipt pool v1");
    envelope_add(out, slice_of(s->bytes, s->length));
    envelope_add(out, slice_of(s->worker_signature, sizeof s->worker_signature));
    return !buffer_failed(out) || error_memory(err);
}

bool receipt_countersign(signed_receipt *s, const sign_key *pool, const succession *keys, error *err) {
    buffer message = buffer_make(POOL_MESSAGE_LIMIT);
    bool good = receipt_verify_worker(s, err) &&
                check_pool_id(&s->fields, sign_key_public(pool), keys, err) &&
                make_pool_message(s, &message, err) &&
                sign_bytes(pool, buffer_slice(&message), s->pool_signature, err);
    if (good) {
        memcpy(s->pool_key, sign_key_public(pool), SIGN_PUBLIC_SIZE);
    }
    buffer_free(&message);
    return good;
}

bool receipt_verify(signed_receipt *s, const uint8_t pool_id[HASH_SIZE], const succession *keys, error *err) {
    if (!receipt_verify_worker(s, err)) {
        return false;
    }
    if (!hash_equal(s->fields.pool_id, pool_id, HASH_SIZE)) {
        return error_set(err, ERROR_CORRUPT, "this receipt is from another pool than the one expected");
    }
    buffer message = buffer_make(POOL_MESSAGE_LIMIT);
    bool good = make_pool_message(s, &message, err) &&
                (sign_verify(s->pool_key, buffer_slice(&message), s->pool_signature) ||
                 error_set(err, ERROR_CORRUPT, "the pool's signature does not match the receipt"));
    buffer_free(&message);
    return good && (keys == NULL ? succession_check_first(s->pool_key, pool_id, err)
                                 : check_pool_id(&s->fields, s->pool_key, keys, err));
}
