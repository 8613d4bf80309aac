#include "log_keys.h"

#include <stdio.h>

#define LOG_PREFIX "cellule/"

bool log_keys_pool(const note_key *named, uint8_t pool_id[HASH_SIZE]) {
    slice name = slice_of_text(named->name);
    slice prefix = SLICE_LITERAL(LOG_PREFIX);
    return named->kind == NOTE_ED25519 && slice_starts_with(name, prefix) &&
           hex_decode(slice_after(name, prefix.length), pool_id, HASH_SIZE);
}

void log_keys_of_one(log_keys *k, const note_key *named) {
    k->current = *named;
    k->has_chain = false;
}

void log_keys_of_pool(log_keys *k, const succession *chain) {
    char id[HASH_HEX_SIZE];
    hex_encode(slice_of(chain->pool_id, sizeof chain->pool_id), id);
    k->current = (note_key){.kind = NOTE_ED25519};
    snprintf(k->current.name, sizeof k->current.name, LOG_PREFIX "%s", id);
    memcpy(k->current.public_key, succession_current(chain), SIGN_PUBLIC_SIZE);
    k->has_chain = true;
    k->chain = *chain;
}

size_t log_keys_count(const log_keys *k) {
    return k->has_chain ? k->chain.count + 1 : 1;
}

/* Key `number` of the pool, from 0. */
static note_key key_of(const log_keys *k, size_t number) {
    note_key key = k->current;
    memcpy(key.public_key, number == 0 ? k->chain.first_key : k->chain.steps[number - 1].key,
           SIGN_PUBLIC_SIZE);
    return key;
}

static bool is_same(const note_key *a, const note_key *b) {
    return a->kind == b->kind && strcmp(a->name, b->name) == 0 &&
           memcmp(a->public_key, b->public_key, SIGN_PUBLIC_SIZE) == 0;
}

bool log_keys_have(const log_keys *k, const note_key *named, bool former) {
    bool found = is_same(&k->current, named);
    for (size_t i = 0; former && k->has_chain && !found && i < k->chain.count; i++) {
        const note_key key = key_of(k, i);
        found = is_same(&key, named);
    }
    return found;
}

/* By a key that has been replaced. ERROR_NOT_FOUND if no such key signed it. */
static bool verify_former(const log_keys *k, const note *n, error *err) {
    uint64_t ignored = 0;
    for (size_t i = k->has_chain ? k->chain.count : 0; i > 0; i--) {
        const note_key key = key_of(k, i - 1);
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
