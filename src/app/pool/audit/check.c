#include "audit_internal.h"

/* What is found at once when the log is loaded, however long it is: its end is rebuilt from the tiles and the
 * last entries, and must be what was signed; the checkpoint kept beside the database must be of a beginning
 * of it. */

static const char advice[] =
    "the audit log was changed from outside, or the database is an old copy. Keep both for whoever looks "
    "into it, then put the newest copies of pool.db and audit.checkpoint back, of one moment";

typedef struct check {
    audit *audit;
    store *database;
    checkpoint kept;
    bool kept_by_both; /* the key before too */
    bool by_former;    /* the database's last note */
    checkpoint signed_one;
    store_audit_state state;
    bool edge_read;
    bool failed;
    error *err;
    uint8_t *hashes; /* where what is read goes */
    size_t wanted;
} check;

bool audit_tampered(error *err, const char *what) {
    return error_set(err, ERROR_CORRUPT, "%s: %s", what, advice);
}

static void fail(check *c, const error *failure) {
    *c->err = *failure;
    c->failed = true;
}

static void refuse(check *c, const char *what) {
    audit_tampered(c->err, what);
    c->failed = true;
}

static void state_read(void *context, const store_audit_state *state, const error *failure) {
    check *c = context;
    buffer *text = &c->audit->note;
    c->state = *state;
    buffer_clear(text);
    buffer_append(text, state->note);
    if (failure != NULL) {
        fail(c, failure);
    } else if (state->note.length > AUDIT_NOTE_MAX) {
        refuse(c, "the log's checkpoint is too long");
    } else if (buffer_failed(text)) {
        error_memory(c->err);
        c->failed = true;
    }
}

static void tile_read(void *context, const store_audit_tile *tiles, size_t tile_count, const slice *entries,
                      size_t entry_count, const error *failure) {
    check *c = context;
    (void)entries;
    (void)entry_count;
    if (failure != NULL) {
        fail(c, failure);
    } else if (tile_count != 1 || tiles[0].hashes == NULL) {
        refuse(c, "a part of the log's tree is missing");
    } else {
        memcpy(c->hashes, tiles[0].hashes, MERKLE_TILE_SIZE);
    }
}

static void leaves_read(void *context, const slice *entries, size_t count, const error *failure) {
    check *c = context;
    if (failure != NULL) {
        fail(c, failure);
    } else if (count != c->wanted) {
        refuse(c, "entries are missing");
    }
    for (size_t i = 0; !c->failed && i < count; i++) {
        c->failed = !merkle_leaf_hash(entries[i], c->hashes + i * HASH_SIZE, c->err);
    }
}

/* Full tiles are in the database; of the others level 0 is the last entries, the rest is made from them. */
static bool read_tile(void *context, unsigned level, uint64_t index, size_t count, uint8_t *hashes,
                      error *err) {
    check *c = context;
    store_audit_tile wanted = {level, index, NULL};
    store_audit_read read = {.tiles = &wanted, .tile_count = 1};
    c->hashes = hashes;
    c->wanted = count;
    if (count == MERKLE_TILE_WIDTH) {
        return store_audit_get(c->database, &read, tile_read, c, err) && !c->failed;
    }
    if (c->edge_read) {
        memcpy(hashes, c->audit->durable.tiles[level], count * HASH_SIZE);
        return true;
    }
    return store_audit_entries(c->database, index * MERKLE_TILE_WIDTH, count, leaves_read, c, err) &&
           !c->failed;
}

static uint64_t full_tiles(uint64_t size) {
    uint64_t count = 0;
    for (unsigned level = 1; level <= MERKLE_LEVELS; level++) {
        count += size >> (8 * level);
    }
    return count;
}

static bool compare_state(const check *c, error *err) {
    uint64_t size = c->signed_one.size;
    if (size < c->kept.size) {
        return audit_tampered(err, "entries that were there are gone");
    }
    if (c->state.end < size) {
        return audit_tampered(err, "the last entries are gone");
    }
    if (c->state.size != size || c->state.end != size) {
        return audit_tampered(err, "there are entries that nobody signed");
    }
    return c->state.tiles == full_tiles(size) ||
           audit_tampered(err, "the log's tree has more parts, or fewer, than its entries make");
}

static bool read_edge(check *c, error *err) {
    uint8_t root[HASH_SIZE];
    merkle_edge *edge = &c->audit->durable;
    if (!merkle_read_edge(edge, c->signed_one.size, read_tile, c, err) || !merkle_root(edge, root, err)) {
        return false;
    }
    c->edge_read = true;
    return c->signed_one.size == 0 || memcmp(root, c->signed_one.root, sizeof root) == 0 ||
           audit_tampered(err, "entries are not what they were");
}

static bool compare_kept(check *c, error *err) {
    merkle_proof proof;
    const checkpoint *kept = &c->kept;
    const checkpoint *now = &c->signed_one;
    if (kept->size == 0) {
        return true;
    }
    if (!merkle_prove_consistency(kept->size, now->size, read_tile, c, &proof, err)) {
        return false;
    }
    return merkle_verify_consistency(kept->size, kept->root, now->size, now->root, &proof, err) ||
           (err->code == ERROR_CORRUPT &&
            audit_tampered(err, "the log isn't the one that audit.checkpoint was of"));
}

static bool sweep(audit *a, store *database, const checkpoint *signed_one, uint64_t at_once, error *err) {
    if (signed_one->size == 0) {
        return true;
    }
    a->sweep = audit_sweep_new(a, signed_one, err);
    if (a->sweep == NULL || signed_one->size > at_once) {
        return a->sweep != NULL;
    }
    bool whole = audit_sweep_now(a->sweep, database, err);
    audit_sweep_free(a->sweep);
    a->sweep = NULL;
    return whole;
}

/* Where the pool's key was exchanged and a crash came before the next batch, the last note is by the key
 * before. That one may have been exchanged because it was stolen: so what it signed holds only where it goes
 * on from the checkpoint beside the database, and that one is still the one of the exchange, which both keys
 * have signed: later there is a last note by the new key. */
static bool open_signed(check *c, error *err) {
    const audit *a = c->audit;
    slice last = buffer_slice(&a->note);
    if (last.length == 0 || audit_note_open(a->pool, last, &c->signed_one, err)) {
        return true;
    }
    if (err->code == ERROR_CORRUPT && c->kept_by_both) {
        *err = (error){0};
        c->by_former = audit_note_open_former(a->pool, last, &c->signed_one, err);
        if (c->by_former) {
            return true;
        }
    }
    return err->code == ERROR_CORRUPT &&
           audit_tampered(err, "the log's checkpoint isn't signed by this pool");
}

bool audit_check(audit *a, store *database, uint64_t at_once, error *err) {
    check c = {.audit = a, .database = database, .err = err};
    if (!store_audit_get_state(database, state_read, &c, err) || c.failed ||
        !audit_kept_read(a, &c.kept, &c.kept_by_both, err)) {
        return false;
    }
    bool good = open_signed(&c, err) && compare_state(&c, err) && read_edge(&c, err) &&
                compare_kept(&c, err) && sweep(a, database, &c.signed_one, at_once, err);
    if (good && c.by_former) {
        a->kept_size =
            a->durable.size; /* the one by both stays until the next batch: nothing by the old key */
    }
    return good;
}
