#include "dispatch_internal.h"

#include "base/memory.h"

#include <assert.h>

static const uint64_t LONGEST_MS = 30ULL * 24 * 3600 * 1000;

bool id_equal(const dispatch_id *a, const dispatch_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

slice id_slice(const dispatch_id *id) {
    return slice_of(id->bytes, sizeof id->bytes);
}

static bool timer_before(const heap_node *a, const heap_node *b) {
    return LIST_ENTRY(a, const timer, node)->at < LIST_ENTRY(b, const timer, node)->at;
}

void timer_arm(dispatch *d, timer *t, uint64_t at) {
    t->at = at;
    if (t->node.place == 0) {
        heap_insert(&d->timers, &t->node);
    } else {
        heap_update(&d->timers, &t->node);
    }
}

void timer_disarm(dispatch *d, timer *t) {
    heap_remove(&d->timers, &t->node);
}

static bool check_config(const dispatch_config *c, error *err) {
    const uint64_t times[] = {c->queue_deadline_ms,   c->job_deadline_ms, c->first_token_timeout_ms,
                              c->progress_timeout_ms, c->dead_after_ms,   c->cancel_grace_ms,
                              c->hung_grace_ms,       c->stale_ms,        c->model_grace_ms};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        if (times[i] == 0 || times[i] > LONGEST_MS) {
            return error_set(err, ERROR_INVALID, "a dispatch timeout must be between 1 ms and 30 days");
        }
    }
    if (c->max_attempts == 0 || c->max_attempts > DISPATCH_ATTEMPTS_MAX) {
        return error_set(err, ERROR_INVALID, "attempts per job must be between 1 and %d",
                         DISPATCH_ATTEMPTS_MAX);
    }
    if (c->credit_window == 0) {
        return error_set(err, ERROR_INVALID, "the credit window must be at least one token");
    }
    return true;
}

dispatch *dispatch_new(const dispatch_config *config, const dispatch_hooks *hooks, error *err) {
    if (!check_config(config, err)) {
        return NULL;
    }
    dispatch *d = memory_allocate_zeroed(1, sizeof *d);
    if (d == NULL) {
        error_memory(err);
        return NULL;
    }
    d->config = *config;
    d->hooks = *hooks;
    d->timers = heap_make(timer_before, &d->stats.comparisons);
    list_init(&d->notices);
    list_init(&d->worker_notices);
    map **maps[] = {&d->workers, &d->jobs, &d->models, &d->variants, &d->users};
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; i++) {
        *maps[i] = map_new(config->map_seed);
        if (*maps[i] == NULL) {
            error_memory(err);
            dispatch_free(d);
            return NULL;
        }
    }
    return d;
}

static void free_values(map *m, void (*release)(void *value)) {
    void *value = NULL;
    for (size_t i = 0; m != NULL && map_next(m, &i, NULL, &value);) {
        release(value);
    }
    map_free(m);
}

static void free_worker(void *value) {
    worker_free(value);
}

static void free_model(void *value) {
    model *m = value;
    heap_free(&m->choices);
    memory_free(m);
}

static void free_variant(void *value) {
    variant *v = value;
    heap_free(&v->choices);
    memory_free(v);
}

/* Of a worker only when there is nothing to say of jobs: what it lost comes before its end. */
static notice *next_notice(const dispatch *d) {
    list_node *node = list_first(&d->notices);
    node = node != NULL ? node : list_first(&d->worker_notices);
    return node == NULL ? NULL : LIST_ENTRY(node, notice, link);
}

/* What has ended and waits for its hook is in the queue of notices only. */
static void free_ended(dispatch *d) {
    notice *n = NULL;
    while ((n = next_notice(d)) != NULL) {
        notice_drop(n);
        if (n->owner == NOTICE_JOB && LIST_ENTRY(n, dispatch_job, notice)->state == JOB_ENDED) {
            memory_free(LIST_ENTRY(n, dispatch_job, notice));
        } else if (n->owner == NOTICE_WORKER &&
                   LIST_ENTRY(n, dispatch_worker, notice)->state == DISPATCH_GONE) {
            worker_free(LIST_ENTRY(n, dispatch_worker, notice));
        }
    }
}

void dispatch_free(dispatch *d) {
    if (d == NULL) {
        return;
    }
    assert(d->depth == 0);
    free_ended(d);
    free_values(d->jobs, memory_free);
    free_values(d->workers, free_worker);
    free_values(d->variants, free_variant);
    free_values(d->models, free_model);
    free_values(d->users, memory_free);
    heap_free(&d->timers);
    memory_free(d);
}

bool dispatch_configure(dispatch *d, const dispatch_config *config, error *err) {
    if (!check_config(config, err)) {
        return false;
    }
    d->config = *config;
    void *value = NULL;
    for (size_t i = 0; map_next(d->jobs, &i, NULL, &value);) {
        job_watch(value);
    }
    for (size_t i = 0; map_next(d->workers, &i, NULL, &value);) {
        dispatch_worker *w = value;
        timer_arm(d, &w->beat, w->heard_at + config->dead_after_ms);
    }
    return true;
}

void notice_add(dispatch *d, notice *n, unsigned what) {
    if (n->what == 0) {
        list_append(n->owner == NOTICE_WORKER ? &d->worker_notices : &d->notices, &n->link);
    }
    n->what |= what;
}

void notice_drop(notice *n) {
    if (n->what != 0) {
        list_remove(&n->link);
        n->what = 0;
    }
}

/* Takes one bit out; out of the queue with the last. */
static void notice_done(notice *n, unsigned what) {
    if (n->what == what) {
        notice_drop(n);
    } else {
        n->what &= ~what;
    }
}

/* In each of these nothing of the owner is touched after the hook: the hook may have ended it. */
static void announce_lease(dispatch *d, lease *l) {
    void *worker = l->worker->context;
    dispatch_id id = l->id;
    if ((l->notice.what & LEASE_SEND) != 0) {
        notice_done(&l->notice, LEASE_SEND);
        d->hooks.send_job(d->hooks.context, worker, l->job->context, l->granted);
    } else if ((l->notice.what & LEASE_CREDIT) != 0) {
        notice_done(&l->notice, LEASE_CREDIT);
        uint64_t tokens = l->unsent;
        l->unsent = 0;
        d->hooks.send_credit(d->hooks.context, worker, &id, tokens);
    } else {
        notice_done(&l->notice, LEASE_CANCEL);
        d->hooks.send_cancel(d->hooks.context, worker, &id);
    }
}

static void announce_job(dispatch *d, dispatch_job *job) {
    void *context = job->context;
    if (job->state == JOB_ENDED) {
        dispatch_failure reason = job->failure;
        notice_drop(&job->notice);
        memory_free(job);
        d->hooks.job_failed(d->hooks.context, context, reason);
    } else {
        notice_done(&job->notice, JOB_RESTARTED);
        d->hooks.job_restarted(d->hooks.context, context, job->pin != NULL);
    }
}

static void announce_worker(dispatch *d, dispatch_worker *w) {
    void *context = w->context;
    if (w->state == DISPATCH_GONE) {
        dispatch_closing reason = w->closing;
        notice_drop(&w->notice);
        worker_free(w);
        d->hooks.worker_closed(d->hooks.context, context, reason);
    } else {
        notice_done(&w->notice, WORKER_DRAINED);
        d->hooks.worker_drained(d->hooks.context, context);
    }
}

void dispatch_enter(dispatch *d) {
    d->depth++;
}

void dispatch_leave(dispatch *d) {
    notice *n = NULL;
    while (d->depth == 1 && (n = next_notice(d)) != NULL) {
        switch (n->owner) {
        case NOTICE_LEASE:
            announce_lease(d, LIST_ENTRY(n, lease, notice));
            break;
        case NOTICE_JOB:
            announce_job(d, LIST_ENTRY(n, dispatch_job, notice));
            break;
        case NOTICE_WORKER:
            announce_worker(d, LIST_ENTRY(n, dispatch_worker, notice));
            break;
        }
    }
    d->depth--;
}

/* Each handler leaves its timer off or later than `now`, so the loop ends. */
void dispatch_tick(dispatch *d, uint64_t now) {
    dispatch_enter(d);
    heap_node *node = NULL;
    while ((node = heap_first(&d->timers)) != NULL && LIST_ENTRY(node, timer, node)->at <= now) {
        timer *t = LIST_ENTRY(node, timer, node);
        timer_disarm(d, t);
        switch (t->owner) {
        case TIMER_JOB:
            job_expire(LIST_ENTRY(t, dispatch_job, timer), now);
            break;
        case TIMER_WORKER:
            worker_expire(LIST_ENTRY(t, dispatch_worker, beat), now);
            break;
        case TIMER_LEASE:
            lease_expire(LIST_ENTRY(t, lease, grace), now);
            break;
        case TIMER_MODEL:
            model_drop(d, LIST_ENTRY(t, model, grace));
            break;
        }
    }
    dispatch_leave(d);
}

uint64_t dispatch_next_deadline(const dispatch *d) {
    const heap_node *node = heap_first(&d->timers);
    return node == NULL ? UINT64_MAX : LIST_ENTRY(node, const timer, node)->at;
}

void dispatch_read_stats(const dispatch *d, dispatch_stats *stats) {
    *stats = d->stats;
}
