#include "dispatch/job.h"
#include "dispatch/worker.h"

#include <stdio.h>
#include <string.h>

/* The cost of a choice, in comparisons, must not grow with the number of workers but with its logarithm. */

enum { JOBS = 2000, SLOTS = 4, RUNNING = 30 };

static void no_send(void *context, void *worker, void *job, uint64_t credit) {
    (void)context;
    (void)credit;
    memcpy(job, &worker, sizeof worker); /* the job's context is where its worker is noted */
}

static void no_credit(void *context, void *worker, const dispatch_id *job, uint64_t tokens) {
    (void)context;
    (void)worker;
    (void)job;
    (void)tokens;
}

static void no_cancel(void *context, void *worker, const dispatch_id *job) {
    no_credit(context, worker, job, 0);
}

static void no_restart(void *context, void *job, bool resumed) {
    (void)context;
    (void)job;
    (void)resumed;
}

static void no_failure(void *context, void *job, dispatch_failure reason) {
    no_restart(context, job, reason == DISPATCH_REFUSED);
}

static void no_drain(void *context, void *worker) {
    no_restart(context, worker, false);
}

static void no_close(void *context, void *worker, dispatch_closing reason) {
    no_restart(context, worker, reason == DISPATCH_DEAD);
}

static dispatch_id number(uint64_t value) {
    dispatch_id id = {{0}};
    memcpy(id.bytes, &value, sizeof value);
    return id;
}

static bool add_workers(dispatch *d, uint64_t count, error *err) {
    const dispatch_offer model = {.model = SLICE_LITERAL("m"), .slots = SLOTS, .exact = true};
    for (uint64_t i = 0; i < count; i++) {
        const dispatch_id id = number(i);
        dispatch_worker *w = dispatch_worker_add(d, &id, (void *)(uintptr_t)(i + 1), &model, 1, 0, err);
        if (w == NULL) {
            return false;
        }
        dispatch_worker_ready(w, 0);
    }
    return true;
}

/* Jobs that start and end, RUNNING at a time. */
static bool work(dispatch *d, error *err) {
    static void *places[JOBS];
    for (uint64_t i = 0; i < JOBS; i++) {
        const dispatch_spec spec = {.id = number(i), .model = SLICE_LITERAL("m"), .context = &places[i]};
        if (dispatch_submit(d, &spec, 2, err) == NULL) {
            return false;
        }
        if (i >= RUNNING) {
            const dispatch_id ended = number(i - RUNNING);
            const dispatch_id on = number((uint64_t)(uintptr_t)places[i - RUNNING] - 1);
            void *job = NULL;
            if (dispatch_job_done(dispatch_worker_find(d, &on), &ended, 0, 3, &job) != DISPATCH_OK) {
                return error_set(err, ERROR_INTERNAL, "an honest message was refused");
            }
        }
    }
    return true;
}

static void beat_all(dispatch *d) {
    const dispatch_beat beat = {.slots = SLOTS};
    dispatch_worker *w = NULL;
    for (size_t i = 0; (w = dispatch_worker_next(d, &i)) != NULL;) {
        dispatch_worker_beat(w, &beat, 1);
    }
}

static uint64_t comparisons(const dispatch *d) {
    dispatch_stats stats;
    dispatch_read_stats(d, &stats);
    return stats.comparisons;
}

typedef struct costs {
    double join, beat, job;
} costs;

static bool measure(uint64_t workers, costs *c, error *err) {
    const dispatch_hooks hooks = {NULL,       no_send,    no_credit, no_cancel,
                                  no_restart, no_failure, no_drain,  no_close};
    const dispatch_config config = dispatch_config_default();
    dispatch *d = dispatch_new(&config, &hooks, err);
    bool ok = d != NULL && add_workers(d, workers, err);
    if (ok) {
        uint64_t joined = comparisons(d);
        beat_all(d);
        uint64_t beaten = comparisons(d);
        ok = work(d, err);
        uint64_t worked = comparisons(d);
        *c = (costs){(double)joined / (double)workers, (double)(beaten - joined) / (double)workers,
                     (double)(worked - beaten) / JOBS};
        ok = ok && dispatch_check(d, err);
    }
    dispatch_free(d);
    return ok;
}

int main(void) {
    static const uint64_t sizes[] = {10, 100, 1000, 10000};
    costs all[4];
    error err = {0};
    for (size_t i = 0; i < 4; i++) {
        if (!measure(sizes[i], &all[i], &err)) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        printf("%llu workers: comparisons for each join %.1f, beat %.1f, job %.1f\n",
               (unsigned long long)sizes[i], all[i].join, all[i].beat, all[i].job);
    }
    /* A thousand times the workers: log2 grows fourfold, from 3.3 to 13.3. */
    bool grows =
        all[3].join > 8 * all[0].join || all[3].beat > 8 * all[0].beat || all[3].job > 8 * all[0].job;
    return grows ? 1 : 0;
}
