#include "worker_notes.h"

#include "request.h"

#include "base/map.h"
#include "base/memory.h"
#include "os/random.h"

/* NOTE_MAX bounds how long one write may hold up others. */
enum { NOTE_MAX = 4096, WRITE_INTERVAL_MS = 30000 };

typedef struct note {
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t seen_ms;
} note;

struct worker_notes {
    uint8_t seed[MAP_SEED_SIZE];
    map *by_worker; /* to the places in `notes` */
    size_t count;
    uint64_t written_ms;
    note notes[NOTE_MAX];
};

worker_notes *worker_notes_new(error *err) {
    worker_notes *notes = memory_allocate_zeroed(1, sizeof *notes);
    if (notes == NULL) {
        error_memory(err);
        return NULL;
    }
    bool made = random_bytes(notes->seed, sizeof notes->seed, err);
    if (made) {
        notes->by_worker = map_new(notes->seed);
        made = notes->by_worker != NULL || error_memory(err);
    }
    if (!made) {
        worker_notes_free(notes);
        return NULL;
    }
    return notes;
}

void worker_notes_free(worker_notes *notes) {
    if (notes != NULL) {
        map_free(notes->by_worker);
        memory_free(notes);
    }
}

typedef struct workers_seen {
    request base;
    const note *notes;
    size_t count;
} workers_seen;

static bool workers_seen_run(request *base, database *d, error *err) {
    const workers_seen *r = (const workers_seen *)base;
    for (size_t i = 0; i < r->count; i++) {
        query q;
        query_start(&q, d, "UPDATE workers SET last_seen_ms = ?1 WHERE id = ?2 AND last_seen_ms < ?1");
        query_u64(&q, r->notes[i].seen_ms);
        query_bytes(&q, r->notes[i].worker_id, STORE_WORKER_ID_SIZE);
        if (!query_run(&q, err)) {
            return false;
        }
    }
    return true;
}

static void workers_seen_answer(request *base, const error *failure) {
    (void)base;
    (void)failure; /* logged with its transaction; the next beat brings a later date */
}

static const operation workers_seen_operation = {DATABASE_WRITE, workers_seen_run, workers_seen_answer};

bool worker_notes_write(store *s, error *err) {
    worker_notes *notes = store_worker_notes(s);
    if (notes->count == 0) {
        return true;
    }
    workers_seen *r = request_new(&workers_seen_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    slice copy = request_copy(&r->base, slice_of(notes->notes, notes->count * sizeof notes->notes[0]));
    r->notes = (const note *)(const void *)copy.data;
    r->count = notes->count;
    map *empty = map_new(notes->seed);
    if (empty == NULL) {
        request_free(&r->base);
        return error_memory(err);
    }
    if (!request_submit(s, &r->base, err)) {
        map_free(empty);
        return false;
    }
    map_free(notes->by_worker);
    notes->by_worker = empty;
    notes->count = 0;
    return true;
}

static bool take_note(worker_notes *notes, const uint8_t *worker_id, uint64_t now_ms, error *err) {
    note *n = map_get(notes->by_worker, slice_of(worker_id, STORE_WORKER_ID_SIZE));
    if (n == NULL) {
        n = &notes->notes[notes->count];
        if (!map_put(notes->by_worker, slice_of(worker_id, STORE_WORKER_ID_SIZE), n)) {
            return error_memory(err);
        }
        memcpy(n->worker_id, worker_id, STORE_WORKER_ID_SIZE);
        notes->count++;
    }
    n->seen_ms = now_ms;
    return true;
}

bool store_worker_seen(store *s, const uint8_t worker_id[STORE_WORKER_ID_SIZE], uint64_t now_ms, error *err) {
    worker_notes *notes = store_worker_notes(s);
    if (now_ms > INT64_MAX) {
        return error_set(err, ERROR_INVALID, "the date is out of range");
    }
    /* A clock set back counts as an interval that has passed. */
    bool due = now_ms < notes->written_ms || now_ms - notes->written_ms >= WRITE_INTERVAL_MS;
    if (due || notes->count == NOTE_MAX) {
        if (!worker_notes_write(s, err)) {
            return false;
        }
        notes->written_ms = now_ms;
    }
    return take_note(notes, worker_id, now_ms, err);
}
