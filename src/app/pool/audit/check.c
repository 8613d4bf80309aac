#include "audit_internal.h"

#include "base/log.h"

#include <stdio.h>

/* All of the log is computed anew from its entries when it is loaded: the tiles and the root must be those
 * that were stored and signed. */

static const char advice[] =
    "the audit log was changed from outside, or the database is an old copy. Keep both for whoever looks "
    "into "
    "it, then put the newest copies of pool.db and audit.checkpoint back, of one moment";

typedef struct check {
    audit *audit;
    store *database;
    checkpoint kept;
    store_audit_state state;
    uint64_t tiles;
    bool failed;
    error *err;
} check;

static bool tampered(error *err, const char *what) {
    return error_set(err, ERROR_CORRUPT, "%s: %s", what, advice);
}

static void state_read(void *context, const store_audit_state *state, const error *failure) {
    check *c = context;
    audit *a = c->audit;
    c->state = *state;
    buffer_clear(&a->note);
    buffer_append(&a->note, state->note);
    if (failure != NULL) {
        *c->err = *failure;
        c->failed = true;
    } else if (buffer_failed(&a->note)) {
        c->failed = true;
        error_set(c->err, ERROR_CORRUPT, "the audit log's checkpoint is too long: %s", advice);
    }
}

typedef struct tile_check {
    check *check;
    const uint8_t *hashes;
    bool same;
} tile_check;

static void tile_read(void *context, const store_audit_tile *tiles, size_t tile_count, const slice *entries,
                      size_t entry_count, const error *failure) {
    tile_check *t = context;
    (void)entries;
    (void)entry_count;
    if (failure != NULL) {
        *t->check->err = *failure;
        t->check->failed = true;
    } else {
        t->same = tile_count == 1 && tiles[0].hashes != NULL &&
                  memcmp(tiles[0].hashes, t->hashes, MERKLE_TILE_SIZE) == 0;
    }
}

static bool compare_tile(void *context, unsigned level, uint64_t index,
                         const uint8_t hashes[MERKLE_TILE_SIZE], error *err) {
    check *c = context;
    tile_check t = {.check = c, .hashes = hashes};
    store_audit_tile wanted = {level, index, NULL};
    store_audit_read read = {.tiles = &wanted, .tile_count = 1};
    char what[96];
    if (!store_audit_get(c->database, &read, tile_read, &t, err)) {
        return false;
    }
    c->tiles++;
    if (c->failed || t.same) {
        return !c->failed;
    }
    snprintf(what, sizeof what, "entries %llu to %llu are not what they were",
             (unsigned long long)(index << (8 * (level + 1))),
             (unsigned long long)(((index + 1) << (8 * (level + 1))) - 1));
    return tampered(err, what);
}

/* The checkpoint that was kept beside the database must be of a beginning of this log. */
static bool compare_kept(check *c, error *err) {
    uint8_t root[HASH_SIZE];
    if (c->kept.size == 0 || c->audit->durable.size != c->kept.size) {
        return true;
    }
    return merkle_root(&c->audit->durable, root, err) &&
           (memcmp(root, c->kept.root, sizeof root) == 0 ||
            tampered(err, "the log isn't the one that audit.checkpoint was of"));
}

static void page_read(void *context, const slice *entries, size_t count, const error *failure) {
    check *c = context;
    merkle_edge *edge = &c->audit->durable;
    if (failure != NULL) {
        *c->err = *failure;
        c->failed = true;
    } else if (count == 0) {
        c->failed = true;
        tampered(c->err, "entries are missing");
    }
    for (size_t i = 0; !c->failed && i < count; i++) {
        uint8_t leaf[HASH_SIZE];
        c->failed = !merkle_leaf_hash(entries[i], leaf, c->err) ||
                    !merkle_append(edge, leaf, compare_tile, c, c->err) || !compare_kept(c, c->err);
    }
}

static bool check_all(check *c, uint64_t size, error *err) {
    merkle_edge *edge = &c->audit->durable;
    while (edge->size < size) {
        uint64_t left = size - edge->size;
        size_t limit = left < STORE_LIST_MAX ? (size_t)left : STORE_LIST_MAX;
        if (!store_audit_entries(c->database, edge->size, limit, page_read, c, err) || c->failed) {
            return false;
        }
    }
    return true;
}

bool audit_check(audit *a, store *database, error *err) {
    check c = {.audit = a, .database = database, .err = err};
    checkpoint signed_one = {0};
    uint8_t root[HASH_SIZE];
    if (!store_audit_get_state(database, state_read, &c, err) || c.failed ||
        !audit_kept_read(a, &c.kept, err)) {
        return false;
    }
    if (buffer_length(&a->note) > 0 && !audit_note_open(a->pool, buffer_slice(&a->note), &signed_one, err)) {
        return tampered(err, "the log's checkpoint isn't signed by this pool");
    }
    if (signed_one.size < c.kept.size) {
        return tampered(err, "entries that were there are gone");
    }
    if (c.state.size != signed_one.size || c.state.end != signed_one.size) {
        return tampered(err, c.state.end < signed_one.size ? "the last entries are gone"
                                                           : "there are entries that nobody signed");
    }
    if (!check_all(&c, signed_one.size, err)) {
        return false;
    }
    if (signed_one.size > 0 &&
        (!merkle_root(&a->durable, root, err) || memcmp(root, signed_one.root, sizeof root) != 0)) {
        return tampered(err, "entries are not what they were");
    }
    return c.tiles == c.state.tiles || tampered(err, "there are tiles that no entries made");
}
