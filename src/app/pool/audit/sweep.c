#include "audit_internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/clock.h"

#include <stdio.h>

/* Between two pages the loop does other things; after a failure of the database it tries again. */
enum { PAUSE_MS = 1, RETRY_MS = 1000 };

struct audit_sweep {
    audit *audit;
    uint64_t size; /* what was signed when the log was loaded */
    uint8_t root[HASH_SIZE];
    merkle_edge edge;
    merkle_edge before;            /* the page that is being read */
    const store_audit_tile *tiles; /* that it fills, as they are stored; while it is taken */
    size_t tile_count;
    error failure; /* of the last page */
    ev_timer timer;
    uint64_t started_ms;
};

static bool changed(uint64_t first, uint64_t last, error *err) {
    char what[96];
    snprintf(what, sizeof what, "entries %llu to %llu are not what they were", (unsigned long long)first,
             (unsigned long long)last);
    return audit_tampered(err, what);
}

static bool compare_tile(void *context, unsigned level, uint64_t index,
                         const uint8_t hashes[MERKLE_TILE_SIZE], error *err) {
    const audit_sweep *s = context;
    for (size_t i = 0; i < s->tile_count; i++) {
        const store_audit_tile *stored = &s->tiles[i];
        if (stored->level == level && stored->index == index && stored->hashes != NULL) {
            return memcmp(stored->hashes, hashes, MERKLE_TILE_SIZE) == 0 ||
                   changed(index << (8 * (level + 1)), ((index + 1) << (8 * (level + 1))) - 1, err);
        }
    }
    return audit_tampered(err, "a part of the log's tree is missing");
}

static size_t page_entries(const audit_sweep *s) {
    uint64_t left = s->size - s->edge.size;
    return left < MERKLE_TILE_WIDTH ? (size_t)left : MERKLE_TILE_WIDTH;
}

static bool take_page(audit_sweep *s, const slice *entries, size_t count, error *err) {
    uint8_t root[HASH_SIZE];
    if (count != page_entries(s)) {
        return audit_tampered(err, "entries are missing");
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t leaf[HASH_SIZE];
        if (!merkle_leaf_hash(entries[i], leaf, err) ||
            !merkle_append(&s->edge, leaf, compare_tile, s, err)) {
            return false;
        }
    }
    if (s->edge.size < s->size) {
        return true;
    }
    return merkle_root(&s->edge, root, err) &&
           (memcmp(root, s->root, sizeof root) == 0 || changed(s->size - count, s->size - 1, err));
}

static void page_read(void *context, const store_audit_tile *tiles, size_t tile_count, const slice *entries,
                      size_t entry_count, const error *failure) {
    audit_sweep *s = context;
    s->failure = failure == NULL ? (error){0} : *failure;
    s->before = s->edge;
    s->tiles = tiles;
    s->tile_count = tile_count;
    if (failure == NULL && !take_page(s, entries, entry_count, &s->failure)) {
        s->edge = s->before;
    }
}

/* The next page, with the tiles that it fills: it begins where one does. */
static bool ask_page(audit_sweep *s, store *from, store_audit_found *found, error *err) {
    store_audit_tile tiles[MERKLE_LEVELS];
    size_t limit = page_entries(s);
    store_audit_read read = {.tiles = tiles, .from = s->edge.size, .limit = limit};
    uint64_t end = s->edge.size + limit;
    for (unsigned level = 0; level < MERKLE_LEVELS && end % ((uint64_t)1 << (8 * (level + 1))) == 0;
         level++) {
        tiles[read.tile_count++] = (store_audit_tile){level, (end >> (8 * (level + 1))) - 1, NULL};
    }
    return store_audit_get(from, &read, found, s, err);
}

bool audit_sweep_now(audit_sweep *s, store *database, error *err) {
    while (s->edge.size < s->size) {
        if (!ask_page(s, database, page_read, err)) {
            return false;
        }
        if (s->failure.code != ERROR_NONE) {
            *err = s->failure;
            return false;
        }
    }
    return true;
}

static void finish(audit_sweep *s) {
    log_info("the entries of the audit log are what was signed", LOG_U64("entries", s->size),
             LOG_U64("ms", clock_monotonic_ms() - s->started_ms));
    s->audit->sweep = NULL;
    audit_sweep_free(s);
}

/* What was changed can't be served with: all that privileged people do would rest on it. */
static void go_on(audit_sweep *s) {
    pool *p = s->audit->pool;
    if (s->failure.code == ERROR_CORRUPT) {
        p->start_failure = s->failure;
        ev_loop_stop(p->loop);
    } else if (s->failure.code != ERROR_NONE) {
        log_warning("the audit log can't be checked now", LOG_CAUSE(&s->failure));
        ev_timer_start(p->loop, &s->timer, RETRY_MS);
    } else if (s->edge.size == s->size) {
        finish(s);
    } else {
        ev_timer_start(p->loop, &s->timer, PAUSE_MS);
    }
}

static void page_read_later(void *context, const store_audit_tile *tiles, size_t tile_count,
                            const slice *entries, size_t entry_count, const error *failure) {
    page_read(context, tiles, tile_count, entries, entry_count, failure);
    go_on(context);
}

static void read_on(void *context) {
    audit_sweep *s = context;
    s->failure = (error){0};
    if (!ask_page(s, s->audit->store, page_read_later, &s->failure)) {
        go_on(s);
    }
}

void audit_sweep_start(audit_sweep *s) {
    ev_loop *loop = s->audit->pool->loop;
    log_info("the audit log is long: its entries are checked while the pool serves",
             LOG_U64("entries", s->size));
    s->started_ms = clock_monotonic_ms();
    ev_timer_start(loop, &s->timer, PAUSE_MS);
}

uint64_t audit_sweep_left(const audit_sweep *s) {
    return s->size - s->edge.size;
}

audit_sweep *audit_sweep_new(audit *a, const checkpoint *signed_one, error *err) {
    audit_sweep *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        error_memory(err);
        return NULL;
    }
    s->audit = a;
    s->size = signed_one->size;
    memcpy(s->root, signed_one->root, sizeof s->root);
    ev_timer_init(&s->timer, read_on, s);
    return s;
}

void audit_sweep_free(audit_sweep *s) {
    if (s != NULL) {
        ev_timer_stop(&s->timer);
        memory_free(s);
    }
}
