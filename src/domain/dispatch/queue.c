#include "dispatch_internal.h"

#include <assert.h>

/* How many waiting jobs a free worker looks through for one that it has not tried. */
enum { QUEUE_SCAN_MAX = 64 };

static heap *choices_of(const dispatch_job *job) {
    return job->pin != NULL ? &job->pin->choices : &job->model->choices;
}

static offer *offer_of(const dispatch_job *job, heap_node *node) {
    return job->pin != NULL ? LIST_ENTRY(node, offer, in_variant) : LIST_ENTRY(node, offer, in_model);
}

static bool tried_worker(const dispatch_job *job, const dispatch_worker *w) {
    for (uint32_t i = 0; i < job->attempts; i++) {
        if (id_equal(&job->tried[i].worker, &w->id)) {
            return true;
        }
    }
    return false;
}

static bool tried_session(const dispatch_job *job, const dispatch_worker *w) {
    for (uint32_t i = 0; i < job->attempts; i++) {
        if (job->tried[i].session == w->session) {
            return true;
        }
    }
    return false;
}

/* Looks at no more offers than there were attempts. */
static bool tried_everyone(const dispatch_job *job) {
    const heap *choices = choices_of(job);
    if (choices->count > job->attempts) {
        return false;
    }
    for (size_t i = 0; i < choices->count; i++) {
        if (!tried_worker(job, offer_of(job, choices->nodes[i])->worker)) {
            return false;
        }
    }
    return true;
}

static bool allows(const dispatch_job *job, const dispatch_worker *w) {
    return job->allows == NULL || job->allows(job->context, w->context);
}

/* Never the same worker again, unless there are no others and it has reconnected. */
static bool may_run_on(const dispatch_job *job, const dispatch_worker *w) {
    return allows(job, w) && (!tried_worker(job, w) || (!tried_session(job, w) && tried_everyone(job)));
}

bool queue_has_candidates(const dispatch_job *job) {
    const heap *choices = choices_of(job);
    if (job->allows == NULL && choices->count > job->attempts) {
        return true;
    }
    for (size_t i = 0; i < choices->count; i++) {
        if (may_run_on(job, offer_of(job, choices->nodes[i])->worker)) {
            return true;
        }
    }
    return false;
}

bool dispatch_job_has_another(const dispatch_job *job) {
    const heap *choices = choices_of(job);
    bool found = false;
    for (size_t i = 0; i < choices->count && !found; i++) {
        const dispatch_worker *w = offer_of(job, choices->nodes[i])->worker;
        found = !w->held && w->availability != DISPATCH_PAUSED && !tried_worker(job, w) && allows(job, w);
    }
    return found && job->attempts < job->dispatch->config.max_attempts;
}

/* Everyone with the model has lost it once: one of the few that came back. */
static offer *choose_again(const dispatch_job *job) {
    const heap *choices = choices_of(job);
    for (size_t i = 0; i < choices->count; i++) {
        offer *o = offer_of(job, choices->nodes[i]);
        if (offer_can_take(o) && !tried_session(job, o->worker) && allows(job, o->worker)) {
            return o;
        }
    }
    return NULL;
}

/* Of a job that not everyone may have: the order says nothing about who may, so all are looked at. */
static offer *choose_allowed(const dispatch_job *job) {
    const heap *choices = choices_of(job);
    heap_node *best = NULL;
    for (size_t i = 0; i < choices->count; i++) {
        const offer *o = offer_of(job, choices->nodes[i]);
        if (offer_can_take(o) && (best == NULL || choices->before(choices->nodes[i], best)) &&
            !tried_worker(job, o->worker) && allows(job, o->worker)) {
            best = choices->nodes[i];
        }
    }
    return best == NULL ? NULL : offer_of(job, best);
}

/* The best offer; those that the job may not use are set aside meanwhile, at most one for each attempt. */
offer *queue_choose(dispatch_job *job) {
    if (job->attempts > 0 && tried_everyone(job)) {
        return choose_again(job);
    }
    if (job->allows != NULL) {
        return choose_allowed(job);
    }
    heap *choices = choices_of(job);
    heap_node *aside[DISPATCH_ATTEMPTS_MAX];
    size_t aside_count = 0;
    offer *chosen = NULL;
    heap_node *node = NULL;
    while (chosen == NULL && (node = heap_first(choices)) != NULL) {
        offer *o = offer_of(job, node);
        if (!offer_can_take(o)) {
            break;
        }
        if (job->attempts == 0 || !tried_worker(job, o->worker)) {
            chosen = o;
        } else {
            assert(aside_count < DISPATCH_ATTEMPTS_MAX);
            heap_remove(choices, node);
            aside[aside_count++] = node;
        }
    }
    while (aside_count > 0) {
        heap_insert(choices, aside[--aside_count]);
    }
    return chosen;
}

static void queue_append(dispatch_job *job) {
    model *m = job->model;
    if (job->pin != NULL) {
        list_append(&job->pin->pinned, &job->link);
    } else if (job->retried) {
        list_append(&m->retried, &job->link);
        m->positions_valid = false;
    } else {
        const list_node *last = m->fresh.previous;
        if (last != &m->fresh) {
            job->position = LIST_ENTRY(last, const dispatch_job, link)->position + 1;
        } else {
            m->positions_valid = false;
        }
        list_append(&m->fresh, &job->link);
    }
    m->queued++;
    job->user->queued++;
    job->dispatch->stats.queued++;
    job_set_state(job, JOB_QUEUED);
}

void queue_remove(dispatch_job *job) {
    list_remove(&job->link);
    job->model->positions_valid = false;
    job->model->queued--;
    job->user->queued--;
    job->dispatch->stats.queued--;
}

void queue_place(dispatch_job *job, uint64_t now) {
    const dispatch_config *config = &job->dispatch->config;
    offer *o = queue_choose(job);
    if (o != NULL) {
        lease_grant(o, job, now);
        return;
    }
    job->wait_until = now + config->queue_deadline_ms;
    job->grace_until = now + config->model_grace_ms;
    queue_append(job);
    job_watch(job);
}

static dispatch_job *first_for(const list_node *list, const dispatch_worker *w) {
    int scanned = 0;
    for (list_node *node = list->next; node != list && scanned < QUEUE_SCAN_MAX;
         node = node->next, scanned++) {
        dispatch_job *job = LIST_ENTRY(node, dispatch_job, link);
        if (may_run_on(job, w)) {
            return job;
        }
    }
    return NULL;
}

/* Jobs that lost a worker come first: they were submitted before what waits behind them. */
static dispatch_job *next_for(const offer *o) {
    if (!offer_can_take(o)) {
        return NULL;
    }
    const list_node *lists[] = {&o->variant->pinned, &o->model->retried, &o->model->fresh};
    dispatch_job *job = NULL;
    for (size_t i = 0; job == NULL && i < sizeof lists / sizeof lists[0]; i++) {
        job = first_for(lists[i], o->worker);
    }
    return job;
}

void queue_fill(dispatch_worker *w, uint64_t now) {
    if (w->state != DISPATCH_SERVING) {
        return;
    }
    while (true) {
        dispatch_job *next = NULL;
        offer *chosen = NULL;
        for (size_t i = 0; i < w->offer_count; i++) {
            dispatch_job *job = next_for(&w->offers[i]);
            if (job != NULL && (next == NULL || job->sequence < next->sequence)) {
                next = job;
                chosen = &w->offers[i];
            }
        }
        if (next == NULL) {
            return;
        }
        queue_remove(next);
        lease_grant(chosen, next, now);
    }
}

/* Jobs in the list that nobody can take now wait for the model's grace only; those that a worker may take
 * because it is the last one left go to it. */
static void reconsider(list_node *list, uint64_t now) {
    int scanned = 0;
    for (list_node *node = list->next; node != list && scanned < QUEUE_SCAN_MAX; scanned++) {
        dispatch_job *job = LIST_ENTRY(node, dispatch_job, link);
        node = node->next;
        offer *o = queue_choose(job);
        if (o != NULL) {
            queue_remove(job);
            lease_grant(o, job, now);
        }
    }
}

static void start_grace(list_node *list, uint64_t now) {
    for (list_node *node = list->next; node != list; node = node->next) {
        dispatch_job *job = LIST_ENTRY(node, dispatch_job, link);
        job->grace_until = now + job->dispatch->config.model_grace_ms;
        job_watch(job);
    }
}

void queue_withdrawn(dispatch_worker *w, uint64_t now) {
    for (size_t i = 0; i < w->offer_count; i++) {
        model *m = w->offers[i].model;
        variant *v = w->offers[i].variant;
        reconsider(&v->pinned, now);
        reconsider(&m->retried, now);
        if (v->choices.count == 0) {
            start_grace(&v->pinned, now);
        }
        if (m->choices.count == 0) {
            start_grace(&m->retried, now);
            start_grace(&m->fresh, now);
            timer_arm(w->dispatch, &m->grace, now + w->dispatch->config.model_grace_ms);
        }
    }
}

static void renumber(model *m) {
    list_node *lists[] = {&m->retried, &m->fresh};
    size_t position = 0;
    for (size_t i = 0; i < 2; i++) {
        for (list_node *node = lists[i]->next; node != lists[i]; node = node->next) {
            LIST_ENTRY(node, dispatch_job, link)->position = ++position;
        }
    }
    m->positions_valid = true;
}

size_t dispatch_job_position(dispatch_job *job) {
    if (job->state != JOB_QUEUED) {
        return 0;
    }
    if (job->pin != NULL) {
        size_t position = 1;
        for (const list_node *node = job->pin->pinned.next; node != &job->link; node = node->next) {
            position++;
        }
        return position;
    }
    if (!job->model->positions_valid) {
        renumber(job->model);
    }
    return job->position;
}
