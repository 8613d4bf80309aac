#include "dispatch_internal.h"

/* Recounts everything from the objects themselves and compares. */

typedef struct recount {
    size_t workers, slots, busy, running, queued, timers;
} recount;

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            return error_set(err, ERROR_INTERNAL, "dispatch invariant broken at line %d: %s", __LINE__,      \
                             #condition);                                                                    \
        }                                                                                                    \
    } while (0)

static size_t list_length(const list_node *head) {
    size_t length = 0;
    for (const list_node *node = head->next; node != head; node = node->next) {
        length++;
    }
    return length;
}

static bool check_lease(const lease *l, error *err) {
    switch (l->state) {
    case LEASE_FREE:
        REQUIRE(l->job == NULL && l->offer == NULL && !l->hung && l->grace.node.place == 0);
        REQUIRE(l->notice.what == 0);
        break;
    case LEASE_RUNNING:
        REQUIRE(l->job != NULL && l->job->lease == l && id_equal(&l->job->id, &l->id));
        REQUIRE(l->job->state == JOB_RUNNING && !l->hung && l->grace.node.place == 0);
        REQUIRE(l->received <= l->granted && l->received <= l->job->seen);
        REQUIRE(l->offer->model == l->job->model);
        break;
    case LEASE_LINGERING:
        REQUIRE(l->job == NULL && l->offer != NULL && l->grace.node.place != 0);
        break;
    }
    return true;
}

static bool check_leases(const dispatch_worker *w, error *err) {
    size_t counts[3] = {0, 0, 0};
    uint32_t hung = 0;
    for (uint32_t i = 0; i < w->capacity; i++) {
        const lease *l = &w->leases[i];
        if (!check_lease(l, err)) {
            return false;
        }
        counts[l->state]++;
        hung += l->hung ? 1 : 0;
    }
    REQUIRE(counts[LEASE_FREE] == list_length(&w->free));
    REQUIRE(counts[LEASE_RUNNING] == list_length(&w->running));
    REQUIRE(counts[LEASE_LINGERING] == list_length(&w->lingering));
    REQUIRE(counts[LEASE_RUNNING] + counts[LEASE_LINGERING] == w->busy);
    REQUIRE(hung == w->hung);
    return true;
}

static bool check_worker(const dispatch *d, const dispatch_worker *w, recount *count, error *err) {
    REQUIRE(w->state != DISPATCH_GONE && worker_holds(w) && dispatch_worker_find(d, &w->id) == w);
    REQUIRE(w->slots <= w->capacity && w->beat.node.place != 0);
    if (!check_leases(w, err)) {
        return false;
    }
    size_t busy = 0;
    size_t reserved = 0;
    for (size_t i = 0; i < w->offer_count; i++) {
        const offer *o = &w->offers[i];
        reserved += o->reserved;
        REQUIRE(offer_busy(o) <= o->slots && o->worker == w);
        REQUIRE(o->twin == NULL || (o->twin->twin == o && o->twin->worker == w));
        busy += o->busy;
    }
    REQUIRE(busy == w->busy && reserved == w->reserved);
    REQUIRE(w->state != DISPATCH_DRAINING || w->busy > 0 || w->drained);
    count->workers++;
    count->slots += w->slots;
    count->busy += w->busy;
    count->running += list_length(&w->running);
    count->timers += 1 + (size_t)w->capacity;
    return true;
}

static bool check_job(const dispatch *d, const dispatch_job *job, recount *count, error *err) {
    REQUIRE(job->state == JOB_QUEUED || job->state == JOB_RUNNING);
    REQUIRE(job_holds(job) && dispatch_job_find(d, &job->id) == job);
    REQUIRE(job->timer.node.place != 0 && job->consumed <= job->seen);
    REQUIRE(job->state != JOB_RUNNING || job->pin == NULL || job->lease->offer->variant == job->pin);
    REQUIRE(job->timer.at <= job->deadline_at);
    REQUIRE(!job->assigned || (job->state == JOB_RUNNING && job->attempts == 1));
    REQUIRE(!job->silent || job->seen == 0);
    REQUIRE(job->state != JOB_RUNNING || job->timer.at <= lease_due(job->lease));
    count->queued += job->state == JOB_QUEUED ? 1 : 0;
    count->timers++;
    return true;
}

/* How many jobs wait for each thing, from the jobs. Quadratic, but models are few. */
static size_t count_jobs(const dispatch *d, const model *m, const variant *pin, job_state state) {
    size_t count = 0;
    void *value = NULL;
    for (size_t i = 0; map_next(d->jobs, &i, NULL, &value);) {
        const dispatch_job *job = value;
        count +=
            job->state == state && (m == NULL || job->model == m) && (pin == NULL || job->pin == pin) ? 1 : 0;
    }
    return count;
}

static bool any_may_have_first(const list_node *list) {
    const list_node *first = list->next;
    return first != list && LIST_ENTRY(first, const dispatch_job, link)->allows == NULL;
}

static bool check_model(const dispatch *d, const model *m, error *err) {
    REQUIRE(heap_is_sound(&m->choices));
    REQUIRE(m->references > 0 || m->grace.node.place != 0);
    REQUIRE(m->choices.count == 0 || m->grace.node.place == 0);
    REQUIRE(m->queued == count_jobs(d, m, NULL, JOB_QUEUED));
    REQUIRE(m->running == count_jobs(d, m, NULL, JOB_RUNNING));
    REQUIRE(list_length(&m->fresh) + list_length(&m->retried) <= m->queued);
    size_t slots = 0;
    for (size_t i = 0; i < m->choices.count; i++) {
        slots += LIST_ENTRY(m->choices.nodes[i], const offer, in_model)->slots;
    }
    REQUIRE(slots == m->slots);
    /* No fresh job waits while a worker could take it. Those that not everyone may have are left out. */
    const heap_node *best = heap_first(&m->choices);
    REQUIRE(!any_may_have_first(&m->fresh) || best == NULL ||
            !offer_can_take(LIST_ENTRY(best, const offer, in_model)));
    return true;
}

static bool check_variant(const dispatch *d, const variant *v, error *err) {
    REQUIRE(heap_is_sound(&v->choices) && v->references > 0);
    REQUIRE(list_length(&v->pinned) == count_jobs(d, NULL, v, JOB_QUEUED));
    return true;
}

static bool check_users(const dispatch *d, error *err) {
    size_t jobs = 0;
    size_t queued = 0;
    void *value = NULL;
    for (size_t i = 0; map_next(d->users, &i, NULL, &value);) {
        const user *u = value;
        REQUIRE(u->jobs > 0 && u->queued <= u->jobs);
        jobs += u->jobs;
        queued += u->queued;
    }
    REQUIRE(jobs == map_count(d->jobs) && queued == d->stats.queued);
    return true;
}

static bool check_totals(const dispatch *d, const recount *count, error *err) {
    const dispatch_stats *stats = &d->stats;
    REQUIRE(count->workers == stats->workers && count->slots == stats->slots && count->busy == stats->busy);
    REQUIRE(count->running == stats->running && count->queued == stats->queued);
    REQUIRE(count->running + count->queued == map_count(d->jobs));
    REQUIRE(count->timers + map_count(d->models) == d->timers_needed);
    REQUIRE(d->timers.count <= d->timers_needed && d->timers_needed <= d->timers.capacity);
    uint64_t ended = stats->completed + stats->cancelled;
    for (size_t i = 0; i < DISPATCH_FAILURES; i++) {
        ended += stats->failed[i];
    }
    REQUIRE(ended + map_count(d->jobs) == stats->submitted);
    return true;
}

bool dispatch_check(const dispatch *d, error *err) {
    recount count = {0};
    void *value = NULL;
    REQUIRE(heap_is_sound(&d->timers));
    for (size_t i = 0; map_next(d->workers, &i, NULL, &value);) {
        if (!check_worker(d, value, &count, err)) {
            return false;
        }
    }
    for (size_t i = 0; map_next(d->jobs, &i, NULL, &value);) {
        if (!check_job(d, value, &count, err)) {
            return false;
        }
    }
    for (size_t i = 0; map_next(d->models, &i, NULL, &value);) {
        if (!check_model(d, value, err)) {
            return false;
        }
    }
    for (size_t i = 0; map_next(d->variants, &i, NULL, &value);) {
        if (!check_variant(d, value, err)) {
            return false;
        }
    }
    return check_users(d, err) && check_totals(d, &count, err);
}
