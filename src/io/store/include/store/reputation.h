#ifndef STORE_REPUTATION_H
#define STORE_REPUTATION_H

#include "store/workers.h"

/* What the pool thinks of each worker (verify/standing.h): one row a worker, plain values. */
typedef struct store_reputation {
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    slice state; /* STANDING_STATES' name: "regular" */
    uint64_t answers;
    uint64_t checks;
    uint64_t agreed;
    uint64_t mismatches;
    uint64_t evasions;
    uint64_t consecutive;
    uint32_t passed;
    uint32_t evasions_in_row;
    uint32_t alert_left;
    uint32_t disputes;
    bool held;
    double cusum; /* finite, as are the next two */
    double alpha;
    double beta;
    uint64_t changed_ms; /* when the state changed */
} store_reputation;

/* Replaces the worker's row, synced to the disk before it is answered: for a change of state. What was
 * noted of the worker before is superseded. ERROR_INVALID: no such worker, or a state that isn't one. */
MUST_CHECK bool store_reputation_put(store *s, const store_reputation *reputation, store_done *done,
                                     void *context, error *err);

/* The same for mere counts, as often as wanted: notes are gathered, the last one of each worker counts, and
 * they are written together at most every 30 s of `now_ms` and on closing. There is no answer, and a crash
 * loses the last ones. */
MUST_CHECK bool store_reputation_note(store *s, const store_reputation *reputation, uint64_t now_ms,
                                      error *err);

/* Every row. */
typedef void store_reputation_loaded(void *context, const store_reputation *reputations, size_t count,
                                     const error *failure);
MUST_CHECK bool store_load_reputation(store *s, store_reputation_loaded *done, void *context, error *err);

#endif
