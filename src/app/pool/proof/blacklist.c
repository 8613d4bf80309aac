#include "proof/blacklist.h"

#include "base/memory.h"
#include "crypto/hash.h"

#include <stdio.h>

enum { KEY_SIZE = 128 };

struct blacklist {
    map *entries; /* "owner:name" → itself */
};

blacklist *blacklist_new(const uint8_t seed[MAP_SEED_SIZE], error *err) {
    blacklist *all = memory_allocate_zeroed(1, sizeof *all);
    map *entries = map_new(seed);
    if (all == NULL || entries == NULL) {
        memory_free(all);
        map_free(entries);
        error_memory(err);
        return NULL;
    }
    all->entries = entries;
    return all;
}

void blacklist_free(blacklist *all) {
    if (all != NULL) {
        map_free(all->entries);
        memory_free(all);
    }
}

static bool is_hexadecimal(slice value, size_t bytes) {
    uint8_t decoded[STORE_MACHINE_SIZE];
    return value.length == 2 * bytes && hex_decode(value, decoded, bytes);
}

bool blacklist_is_valid(slice kind, slice value) {
    if (slice_equal_text(kind, "worker")) {
        return is_hexadecimal(value, STORE_WORKER_ID_SIZE);
    }
    if (slice_equal_text(kind, "machine")) {
        return is_hexadecimal(value, STORE_MACHINE_SIZE);
    }
    return slice_equal_text(kind, "owner") && store_display_name_is_valid(value);
}

static slice key_of(slice kind, slice value, char key[KEY_SIZE]) {
    int length = snprintf(key, KEY_SIZE, "%.*s:%.*s", SLICE_FORMAT(kind), SLICE_FORMAT(value));
    return length < 0 || length >= KEY_SIZE ? (slice){0} : slice_of(key, (size_t)length);
}

bool blacklist_put(blacklist *all, slice kind, slice value, error *err) {
    char key[KEY_SIZE];
    slice name = key_of(kind, value, key);
    if (name.length == 0) {
        return error_set(err, ERROR_INVALID, "too long to be on the blacklist");
    }
    return map_put(all->entries, name, all) || error_memory(err);
}

void blacklist_drop(blacklist *all, slice kind, slice value) {
    char key[KEY_SIZE];
    (void)map_remove(all->entries, key_of(kind, value, key));
}

bool blacklist_has(const blacklist *all, slice kind, slice value) {
    char key[KEY_SIZE];
    slice name = key_of(kind, value, key);
    return name.length > 0 && map_get(all->entries, name) != NULL;
}

bool blacklist_covers(const proof *f, const fleet_worker *worker, const uint8_t machine[STORE_MACHINE_SIZE]) {
    char hex[2 * STORE_MACHINE_SIZE + 1] = "";
    static const uint8_t none[STORE_MACHINE_SIZE];
    if (machine != NULL && memcmp(machine, none, sizeof none) != 0) {
        hex_encode(slice_of(machine, STORE_MACHINE_SIZE), hex);
    }
    return blacklist_has(f->blacklist, SLICE_LITERAL("worker"), slice_of_text(worker->id_hex)) ||
           blacklist_has(f->blacklist, SLICE_LITERAL("owner"), slice_of_text(worker->owner)) ||
           (hex[0] != '\0' && blacklist_has(f->blacklist, SLICE_LITERAL("machine"), slice_of_text(hex)));
}

static bool is_named(const fleet_worker *worker, slice kind, slice value) {
    char hex[2 * STORE_MACHINE_SIZE + 1] = "";
    if (slice_equal_text(kind, "owner")) {
        return slice_equal_text(value, worker->owner);
    }
    if (slice_equal_text(kind, "worker")) {
        return slice_equal_text(value, worker->id_hex);
    }
    hex_encode(slice_of(worker->machine, sizeof worker->machine), hex);
    return worker->has_machine && slice_equal_text(value, hex);
}

size_t blacklist_count(const proof *f, slice kind, slice value) {
    const fleet_worker *worker = NULL;
    size_t count = 0;
    for (size_t i = 0; (worker = fleet_next(f->pool->fleet, &i)) != NULL;) {
        count += worker->revoked_ms == 0 && is_named(worker, kind, value);
    }
    return count;
}

void blacklist_enforce(proof *f) {
    fleet_worker *worker = NULL;
    for (size_t i = 0; (worker = fleet_next(f->pool->fleet, &i)) != NULL;) {
        if (worker->session != NULL &&
            blacklist_covers(f, worker, worker->has_machine ? worker->machine : NULL)) {
            session_revoke(
                worker,
                "on the pool's blacklist; once the admin has taken it off, start this worker again: no new "
                "enrolment is needed");
        }
    }
}
