#include "accounts.h"

#include "base/memory.h"
#include "crypto/hash.h"

#include <stdio.h>

/* Open-addressed, with linear probing: a key's place is found by its hash's first bytes, which nobody chooses
 * (SHA-256 of 32 random bytes drawn here). `slot_count` is a power of two; a quarter at least is free. */
struct accounts {
    account **slots;
    size_t slot_count;
    size_t count;
};

enum { SMALLEST_SLOTS = 64 };

accounts *accounts_new(error *err) {
    accounts *all = memory_allocate_zeroed(1, sizeof *all);
    account **slots = memory_allocate_zeroed(SMALLEST_SLOTS, sizeof *slots);
    if (all == NULL || slots == NULL) {
        memory_free(all);
        memory_free(slots);
        error_memory(err);
        return NULL;
    }
    *all = (accounts){.slots = slots, .slot_count = SMALLEST_SLOTS};
    return all;
}

void accounts_free(accounts *all) {
    if (all == NULL) {
        return;
    }
    for (size_t i = 0; i < all->slot_count; i++) {
        memory_free(all->slots[i]);
    }
    memory_free(all->slots);
    memory_free(all);
}

static size_t home_of(const uint8_t token_hash[STORE_HASH_SIZE], size_t slot_count) {
    uint64_t first = 0;
    memcpy(&first, token_hash, sizeof first);
    return (size_t)first & (slot_count - 1);
}

/* Where this key's account is, or would be. */
static size_t find_slot(const accounts *all, const uint8_t token_hash[STORE_HASH_SIZE]) {
    size_t slot = home_of(token_hash, all->slot_count);
    while (all->slots[slot] != NULL &&
           !hash_equal(all->slots[slot]->token_hash, token_hash, STORE_HASH_SIZE)) {
        slot = (slot + 1) & (all->slot_count - 1);
    }
    return slot;
}

static bool make_room(accounts *all) {
    if (all->count < all->slot_count / 4 * 3) {
        return true;
    }
    accounts larger = {.slot_count = 2 * all->slot_count, .count = all->count};
    larger.slots = memory_allocate_zeroed(larger.slot_count, sizeof *larger.slots);
    if (larger.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < all->slot_count; i++) {
        if (all->slots[i] != NULL) {
            larger.slots[find_slot(&larger, all->slots[i]->token_hash)] = all->slots[i];
        }
    }
    memory_free(all->slots);
    *all = larger;
    return true;
}

/* The account of this key, made if it isn't there. */
static account *place_of(accounts *all, const uint8_t token_hash[STORE_HASH_SIZE], error *err) {
    account *place = all->slots[find_slot(all, token_hash)];
    if (place != NULL) {
        return place;
    }
    place = make_room(all) ? memory_allocate_zeroed(1, sizeof *place) : NULL;
    if (place == NULL) {
        error_memory(err);
        return NULL;
    }
    memcpy(place->token_hash, token_hash, STORE_HASH_SIZE);
    all->slots[find_slot(all, token_hash)] = place;
    all->count++;
    return place;
}

/* Those behind it that were pushed on by it move up, so that no search ends at the gap. */
static void remove_at(accounts *all, size_t gap) {
    size_t mask = all->slot_count - 1;
    memory_free(all->slots[gap]);
    for (size_t i = (gap + 1) & mask; all->slots[i] != NULL; i = (i + 1) & mask) {
        size_t home = home_of(all->slots[i]->token_hash, all->slot_count);
        if (((i - home) & mask) >= ((i - gap) & mask)) {
            all->slots[gap] = all->slots[i];
            gap = i;
        }
    }
    all->slots[gap] = NULL;
    all->count--;
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
    place->made_with = key->made_with;
    place->role = role;
    place->expires_ms = key->expires_ms;
    memcpy(place->user_name, key->user_name.data, key->user_name.length);
    snprintf(place->verify_mode, sizeof place->verify_mode, "%.*s", SLICE_FORMAT(mode));
    return true;
}

const account *accounts_find(const accounts *all, const uint8_t token_hash[STORE_HASH_SIZE],
                             uint64_t unix_ms) {
    const account *found = all->slots[find_slot(all, token_hash)];
    bool valid =
        found != NULL && found->key_id != 0 && (found->expires_ms == 0 || unix_ms < found->expires_ms);
    return valid ? found : NULL;
}

void accounts_set_mode(accounts *all, const uint8_t token_hash[STORE_HASH_SIZE], slice mode) {
    account *found = all->slots[find_slot(all, token_hash)];
    if (found != NULL) {
        snprintf(found->verify_mode, sizeof found->verify_mode, "%.*s", SLICE_FORMAT(mode));
    }
}

void accounts_set_role(accounts *all, uint64_t user_id, auth_role role) {
    for (size_t i = 0; i < all->slot_count; i++) {
        if (all->slots[i] != NULL && all->slots[i]->user_id == user_id) {
            all->slots[i]->role = role;
        }
    }
}

void accounts_remove_key(accounts *all, const uint8_t token_hash[STORE_HASH_SIZE]) {
    size_t slot = find_slot(all, token_hash);
    if (all->slots[slot] != NULL) {
        remove_at(all, slot);
    }
}

void accounts_remove_user(accounts *all, uint64_t user_id) {
    for (size_t i = 0; i < all->slot_count; i++) {
        while (all->slots[i] != NULL && all->slots[i]->user_id == user_id) {
            remove_at(all, i); /* another may have moved up */
        }
    }
}

void accounts_remove_all_but(accounts *all, const uint8_t *token_hash) {
    for (size_t i = 0; i < all->slot_count; i++) {
        while (all->slots[i] != NULL && all->slots[i]->key_id != 0 &&
               (token_hash == NULL || memcmp(all->slots[i]->token_hash, token_hash, STORE_HASH_SIZE) != 0)) {
            remove_at(all, i); /* another may have moved up */
        }
    }
}

const account *accounts_find_key_id(const accounts *all, uint64_t key_id) {
    for (size_t i = 0; i < all->slot_count; i++) {
        const account *one = all->slots[i];
        if (one != NULL && one->key_id == key_id && key_id != 0) {
            return one;
        }
    }
    return NULL;
}

const account *accounts_find_made_with(const accounts *all, uint64_t key_id, uint64_t kept) {
    for (size_t i = 0; i < all->slot_count; i++) {
        const account *one = all->slots[i];
        if (one != NULL && one->made_with == key_id && key_id != 0 && one->key_id != kept) {
            return one;
        }
    }
    return NULL;
}

const account *accounts_find_user(const accounts *all, slice user_name) {
    for (size_t i = 0; i < all->slot_count; i++) {
        const account *one = all->slots[i];
        if (one != NULL && one->key_id != 0 && slice_equal_text(user_name, one->user_name)) {
            return one;
        }
    }
    return NULL;
}

size_t accounts_count(const accounts *all) {
    return all->count;
}
