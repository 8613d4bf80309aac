#include "accounts.h"

#include "base/memory.h"

#include <stdio.h>

struct accounts {
    map *by_hash;
};

accounts *accounts_new(const uint8_t seed[MAP_SEED_SIZE], error *err) {
    accounts *all = memory_allocate(sizeof *all);
    map *by_hash = map_new(seed);
    if (all == NULL || by_hash == NULL) {
        memory_free(all);
        map_free(by_hash);
        error_memory(err);
        return NULL;
    }
    all->by_hash = by_hash;
    return all;
}

void accounts_free(accounts *all) {
    if (all == NULL) {
        return;
    }
    void *value = NULL;
    for (size_t i = 0; map_next(all->by_hash, &i, NULL, &value);) {
        memory_free(value);
    }
    map_free(all->by_hash);
    memory_free(all);
}

static slice key_of(const uint8_t token_hash[STORE_HASH_SIZE]) {
    return slice_of(token_hash, STORE_HASH_SIZE);
}

/* The account of this key, made if it isn't there. */
static account *place_of(accounts *all, const uint8_t token_hash[STORE_HASH_SIZE], error *err) {
    account *place = map_get(all->by_hash, key_of(token_hash));
    if (place != NULL) {
        return place;
    }
    place = memory_allocate_zeroed(1, sizeof *place);
    if (place == NULL || !map_put(all->by_hash, key_of(token_hash), place)) {
        memory_free(place);
        error_memory(err);
        return NULL;
    }
    memcpy(place->token_hash, token_hash, STORE_HASH_SIZE);
    return place;
}

bool accounts_reserve(accounts *all, const uint8_t token_hash[STORE_HASH_SIZE], error *err) {
    return place_of(all, token_hash, err) != NULL;
}

bool accounts_add_stored(accounts *all, const store_loaded_key *key, error *err) {
    auth_role role = AUTH_EMPLOYEE;
    if (!auth_role_parse(key->role, &role) || key->user_name.length > STORE_NAME_MAX) {
        return error_set(err, ERROR_CORRUPT,
                         "the database gives the user %.*s a role that doesn't exist: %.*s",
                         SLICE_FORMAT(key->user_name), SLICE_FORMAT(key->role));
    }
    slice mode = key->verify_mode.length == 0 ? SLICE_LITERAL("off") : key->verify_mode;
    if (mode.length >= ACCOUNT_MODE_SIZE) {
        return error_set(err, ERROR_CORRUPT,
                         "the database gives a key of %.*s a mode that doesn't exist: %.*s",
                         SLICE_FORMAT(key->user_name), SLICE_FORMAT(mode));
    }
    account *place = place_of(all, key->token_hash, err);
    if (place == NULL) {
        return false;
    }
    place->key_id = key->key_id;
    place->user_id = key->user_id;
    place->role = role;
    place->expires_ms = key->expires_ms;
    memcpy(place->user_name, key->user_name.data, key->user_name.length);
    snprintf(place->verify_mode, sizeof place->verify_mode, "%.*s", SLICE_FORMAT(mode));
    return true;
}

const account *accounts_find(const accounts *all, const uint8_t token_hash[STORE_HASH_SIZE],
                             uint64_t unix_ms) {
    const account *found = map_get(all->by_hash, key_of(token_hash));
    bool valid =
        found != NULL && found->key_id != 0 && (found->expires_ms == 0 || unix_ms < found->expires_ms);
    return valid ? found : NULL;
}

void accounts_set_mode(accounts *all, const uint8_t token_hash[STORE_HASH_SIZE], slice mode) {
    account *found = map_get(all->by_hash, key_of(token_hash));
    if (found != NULL) {
        snprintf(found->verify_mode, sizeof found->verify_mode, "%.*s", SLICE_FORMAT(mode));
    }
}

void accounts_set_role(accounts *all, uint64_t user_id, auth_role role) {
    void *value = NULL;
    for (size_t i = 0; map_next(all->by_hash, &i, NULL, &value);) {
        account *one = value;
        if (one->user_id == user_id) {
            one->role = role;
        }
    }
}

void accounts_remove_key(accounts *all, const uint8_t token_hash[STORE_HASH_SIZE]) {
    memory_free(map_remove(all->by_hash, key_of(token_hash)));
}

void accounts_remove_user(accounts *all, uint64_t user_id) {
    void *value = NULL;
    for (size_t i = 0; map_next(all->by_hash, &i, NULL, &value);) {
        account *one = value;
        if (one->user_id == user_id) {
            map_remove(all->by_hash, key_of(one->token_hash));
            memory_free(one);
        }
    }
}

const account *accounts_find_key_id(const accounts *all, uint64_t key_id) {
    void *value = NULL;
    for (size_t i = 0; map_next(all->by_hash, &i, NULL, &value);) {
        const account *one = value;
        if (one->key_id == key_id && key_id != 0) {
            return one;
        }
    }
    return NULL;
}

const account *accounts_find_user(const accounts *all, slice user_name) {
    void *value = NULL;
    for (size_t i = 0; map_next(all->by_hash, &i, NULL, &value);) {
        const account *one = value;
        if (one->key_id != 0 && slice_equal_text(user_name, one->user_name)) {
            return one;
        }
    }
    return NULL;
}

size_t accounts_count(const accounts *all) {
    return map_count(all->by_hash);
}
