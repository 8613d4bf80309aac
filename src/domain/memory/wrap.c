#include "memory/wrap.h"

#include "crypto/hash.h"
#include "crypto/secret.h"

const char wrap_kind[] = "pbkdf2-sha256";

static bool derive(slice token, const wrap_owner *owner, uint64_t cost, uint8_t key[RECORD_KEY_SIZE],
                   error *err) {
    return hash_pbkdf2(token, slice_of(owner->salt, WRAP_SALT_SIZE), cost, key, RECORD_KEY_SIZE, err);
}

/* The id is the token's: eight zeros, then its number. */
static record_place place_of(const wrap_owner *owner) {
    record_place place = {.kind = RECORD_WRAP, .user_id = owner->user_id};
    for (size_t i = 0; i < 8; i++) {
        place.id[8 + i] = (uint8_t)(owner->key_id >> (56 - 8 * i));
    }
    return place;
}

static bool check_cost(uint64_t cost, error *err) {
    if (cost < WRAP_COST_MIN || cost > WRAP_COST_MAX) {
        return error_set(
            err, ERROR_UNSUPPORTED,
            "a data key is wrapped with %llu iterations, and %d to %d are allowed: take a newer cellule",
            (unsigned long long)cost, WRAP_COST_MIN, WRAP_COST_MAX);
    }
    return true;
}

bool wrap_seal(slice token, const wrap_owner *owner, uint32_t cost, uint64_t unix_ms,
               const uint8_t data_key[RECORD_KEY_SIZE], buffer *wrapped, error *err) {
    uint8_t key[RECORD_KEY_SIZE] = {0};
    record_place place = place_of(owner);
    bool good = check_cost(cost, err) && derive(token, owner, cost, key, err) &&
                record_seal(key, &place, unix_ms, slice_of(data_key, RECORD_KEY_SIZE), wrapped, err);
    secret_wipe(key, sizeof key);
    return good;
}

static bool refuse(error *err) {
    return error_set(
        err, ERROR_DENIED,
        "this key doesn't open your memory: use one that does (POST /v1/memory/keys adds others)");
}

static bool open_with(const uint8_t key[RECORD_KEY_SIZE], const wrap_owner *owner, slice wrapped,
                      uint8_t data_key[RECORD_KEY_SIZE], error *err) {
    record_place place = place_of(owner);
    buffer content = buffer_make(WRAP_SIZE_MAX);
    bool good = record_open(key, &place, wrapped, &content, err);
    if (!good && err->code == ERROR_CORRUPT) {
        refuse(err);
    }
    slice opened = buffer_slice(&content);
    if (good && opened.data != NULL && opened.length == RECORD_KEY_SIZE) {
        memcpy(data_key, opened.data, RECORD_KEY_SIZE);
    } else if (good) {
        good = refuse(err);
    }
    buffer_wipe(&content);
    return good;
}

bool wrap_open(slice token, const wrap_owner *owner, slice kind, uint64_t cost, slice wrapped,
               uint8_t data_key[RECORD_KEY_SIZE], error *err) {
    memset(data_key, 0, RECORD_KEY_SIZE);
    if (!slice_equal_text(kind, wrap_kind)) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "a data key is wrapped in a way that isn't known here: take a newer cellule");
    }
    if (!check_cost(cost, err)) {
        return false;
    }
    if (token.length == 0 || wrapped.length > WRAP_SIZE_MAX) {
        return refuse(err);
    }
    uint8_t key[RECORD_KEY_SIZE] = {0};
    bool good = derive(token, owner, cost, key, err) && open_with(key, owner, wrapped, data_key, err);
    secret_wipe(key, sizeof key);
    return good;
}
