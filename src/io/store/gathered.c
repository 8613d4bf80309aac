#include "gathered.h"

#include "base/map.h"
#include "base/memory.h"
#include "os/random.h"

/* ROW_MAX bounds how long one write may hold up others. */
enum { ROW_MAX = 4096, WRITE_INTERVAL_MS = 30000 };

struct gathered {
    const gathered_kind *kind;
    uint8_t seed[MAP_SEED_SIZE];
    map *by_worker; /* to the places in `rows` */
    size_t count;
    uint64_t written_ms;
    uint8_t *rows;
};

gathered *gathered_new(const gathered_kind *kind, error *err) {
    gathered *g = memory_allocate_zeroed(1, sizeof *g);
    if (g == NULL) {
        error_memory(err);
        return NULL;
    }
    g->kind = kind;
    bool made = random_bytes(g->seed, sizeof g->seed, err);
    if (made) {
        g->by_worker = map_new(g->seed);
        g->rows = memory_allocate_zeroed(ROW_MAX, kind->row_size);
        made = (g->by_worker != NULL && g->rows != NULL) || error_memory(err);
    }
    if (!made) {
        gathered_free(g);
        return NULL;
    }
    return g;
}

void gathered_free(gathered *g) {
    if (g != NULL) {
        map_free(g->by_worker);
        memory_free(g->rows);
        memory_free(g);
    }
}

typedef struct write_gathered {
    request base;
    const gathered_kind *kind;
    slice rows;
} write_gathered;

static bool write_gathered_run(request *base, database *d, error *err) {
    const write_gathered *r = (const write_gathered *)base;
    for (size_t at = 0; at < r->rows.length; at += r->kind->row_size) {
        if (!r->kind->write_row(d, r->rows.data + at, err)) {
            return false;
        }
    }
    return true;
}

static void write_gathered_answer(request *base, const error *failure) {
    (void)base;
    (void)failure; /* logged with its transaction; the next row of the worker brings later values */
}

static const operation write_gathered_operation = {DATABASE_WRITE | OPERATION_BLIND, write_gathered_run,
                                                   write_gathered_answer};

bool gathered_write(store *s, gathered *g, error *err) {
    if (g->count == 0) {
        return true;
    }
    write_gathered *r = request_new(&write_gathered_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->kind = g->kind;
    r->rows = request_copy(&r->base, slice_of(g->rows, g->count * g->kind->row_size));
    map *empty = map_new(g->seed);
    if (empty == NULL) {
        request_free(&r->base);
        return error_memory(err);
    }
    if (!request_submit(s, &r->base, err)) {
        map_free(empty);
        return false;
    }
    map_free(g->by_worker);
    g->by_worker = empty;
    g->count = 0;
    return true;
}

static uint8_t *last_row(const gathered *g) {
    return g->rows + (g->count - 1) * g->kind->row_size;
}

/* The last row takes the place that becomes free; putting a key that is there needs no memory. */
void gathered_drop(gathered *g, const uint8_t worker_id[STORE_WORKER_ID_SIZE]) {
    uint8_t *row = map_remove(g->by_worker, slice_of(worker_id, STORE_WORKER_ID_SIZE));
    if (row == NULL) {
        return;
    }
    uint8_t *last = last_row(g);
    if (row != last && map_put(g->by_worker, slice_of(last, STORE_WORKER_ID_SIZE), row)) {
        memcpy(row, last, g->kind->row_size);
    }
    g->count--;
}

bool gathered_put(store *s, gathered *g, const void *row, uint64_t now_ms, error *err) {
    if (now_ms > INT64_MAX) {
        return error_set(err, ERROR_INVALID, "the date is out of range");
    }
    /* A clock set back counts as an interval that has passed. */
    bool due = now_ms < g->written_ms || now_ms - g->written_ms >= WRITE_INTERVAL_MS;
    if (due || g->count == ROW_MAX) {
        if (!gathered_write(s, g, err)) {
            return false;
        }
        g->written_ms = now_ms;
    }
    slice worker_id = slice_of(row, STORE_WORKER_ID_SIZE);
    uint8_t *place = map_get(g->by_worker, worker_id);
    if (place == NULL) {
        place = g->rows + g->count * g->kind->row_size;
        if (!map_put(g->by_worker, worker_id, place)) {
            return error_memory(err);
        }
        g->count++;
    }
    memcpy(place, row, g->kind->row_size);
    return true;
}
