#include "log_keys.h"

bool log_keys_pool(const note_key *named, uint8_t pool_id[HASH_SIZE]) {
    return named->kind == NOTE_ED25519 && succession_log_pool(named->name, pool_id);
}

void log_keys_of_one(log_keys *k, const note_key *named) {
    k->current = *named;
    k->has_chain = false;
}

void log_keys_of_pool(log_keys *k, const succession *chain) {
    k->current = succession_log_key(chain, chain->count);
    k->has_chain = true;
    k->chain = *chain;
}

size_t log_keys_count(const log_keys *k) {
    return k->has_chain ? k->chain.count + 1 : 1;
}

static bool is_same(const note_key *a, const note_key *b) {
    return a->kind == b->kind && strcmp(a->name, b->name) == 0 &&
           memcmp(a->public_key, b->public_key, SIGN_PUBLIC_SIZE) == 0;
}

bool log_keys_have(const log_keys *k, const note_key *named, bool former) {
    bool found = is_same(&k->current, named);
    for (size_t i = 0; former && k->has_chain && !found && i < k->chain.count; i++) {
        const note_key key = succession_log_key(&k->chain, i);
        found = is_same(&key, named);
    }
    return found;
}

/* By a key that has been replaced. ERROR_NOT_FOUND if no such key signed it. */
static bool verify_former(const log_keys *k, const note *n, error *err) {
    uint64_t ignored = 0;
    for (size_t i = k->has_chain ? k->chain.count : 0; i > 0; i--) {
        const note_key key = succession_log_key(&k->chain, i - 1);
        if (note_verify(n, &key, &ignored, err)) {
            return true;
        }
        if (err->code != ERROR_NOT_FOUND) {
            return false;
        }
    }
    return error_set(err, ERROR_NOT_FOUND, "none of the pool's keys has signed it, of %zu that are known",
                     log_keys_count(k));
}

bool log_keys_verify_shown(const log_keys *k, const note *n, error *err) {
    uint64_t ignored = 0;
    if (note_verify(n, &k->current, &ignored, err)) {
        return true;
    }
    if (err->code != ERROR_NOT_FOUND || !k->has_chain) {
        return false;
    }
    return verify_former(k, n, err) &&
           error_set(err, ERROR_CORRUPT, "the pool had replaced the key that signed it");
}

bool log_keys_verify_older(const log_keys *k, const note *n, error *err) {
    uint64_t ignored = 0;
    return note_verify(n, &k->current, &ignored, err) ||
           (err->code == ERROR_NOT_FOUND && k->has_chain && verify_former(k, n, err));
}
