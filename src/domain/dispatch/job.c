#include "dispatch_internal.h"

#include "base/memory.h"

#include <assert.h>

static slice user_key(const uint64_t *key) {
    return slice_of(key, sizeof *key);
}

bool job_holds(const dispatch_job *job) {
    bool waiting = !list_is_empty(&job->link);
    switch (job->state) {
    case JOB_QUEUED:
        return waiting && job->lease == NULL;
    case JOB_RUNNING:
        return !waiting && job->lease != NULL && job->lease->job == job && job->attempts > 0;
    case JOB_PLACING:
    case JOB_ENDED:
        return !waiting && job->lease == NULL;
    }
    return false;
}

void job_set_state(dispatch_job *job, job_state state) {
    static const bool allowed[4][4] = {
        [JOB_PLACING] = {[JOB_QUEUED] = true, [JOB_RUNNING] = true, [JOB_ENDED] = true},
        [JOB_QUEUED] = {[JOB_RUNNING] = true, [JOB_ENDED] = true},
        [JOB_RUNNING] = {[JOB_PLACING] = true, [JOB_ENDED] = true},
    };
    assert(allowed[job->state][state]);
    job->state = state;
    assert(job_holds(job));
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t job_due(const dispatch_job *job) {
    if (job->state == JOB_RUNNING) {
        return earlier(job->deadline_at, lease_due(job->lease));
    }
    uint64_t due = earlier(job->deadline_at, job->wait_until);
    return queue_has_candidates(job) ? due : earlier(due, job->grace_until);
}

/* Progress moves the due time later without touching the timer: job_expire looks again. Whatever may move it
 * earlier calls this. */
void job_watch(dispatch_job *job) {
    timer_arm(job->dispatch, &job->timer, job_due(job));
}

static user *user_take(dispatch *d, uint64_t key) {
    user *u = map_get(d->users, user_key(&key));
    if (u == NULL) {
        u = memory_allocate_zeroed(1, sizeof *u);
        if (u == NULL || !map_put(d->users, user_key(&key), u)) {
            memory_free(u);
            return NULL;
        }
        u->key = key;
    }
    u->jobs++;
    return u;
}

static void user_drop(dispatch *d, user *u) {
    if (--u->jobs == 0) {
        map_remove(d->users, user_key(&u->key));
        memory_free(u);
    }
}

static model *admit(const dispatch *d, const dispatch_spec *spec, error *err) {
    model *m = model_find(d, spec->model, spec->kind);
    if (m == NULL || (m->choices.count == 0 && m->grace.node.place == 0)) {
        error_set(err, ERROR_NOT_FOUND, "no connected worker has the model \"%.*s\"",
                  SLICE_FORMAT(spec->model));
        return NULL;
    }
    if (map_get(d->jobs, id_slice(&spec->id)) != NULL) {
        error_set(err, ERROR_CONFLICT, "a job with this id is already there");
        return NULL;
    }
    heap_node *best = heap_first(&m->choices);
    if (spec->belongs ||
        (spec->allows == NULL && best != NULL && offer_can_take(LIST_ENTRY(best, offer, in_model)))) {
        return m;
    }
    const user *u = map_get(d->users, user_key(&spec->user));
    if (d->stats.queued >= d->config.queue_limit) {
        error_set(err, ERROR_LIMIT, "every worker is busy and the queue is full: try again later");
        return NULL;
    }
    if ((u == NULL ? 0 : u->queued) >= d->config.queue_limit_per_user) {
        error_set(err, ERROR_LIMIT, "you have %zu requests waiting: let some of them end first",
                  d->config.queue_limit_per_user);
        return NULL;
    }
    return m;
}

static dispatch_job *job_new(dispatch *d, const dispatch_spec *spec, model *m, uint64_t now) {
    dispatch_job *job = memory_allocate_zeroed(1, sizeof *job);
    user *u = job == NULL ? NULL : user_take(d, spec->user);
    if (u == NULL || !heap_reserve(&d->timers, d->timers_needed + 1) ||
        !map_put(d->jobs, id_slice(&spec->id), job)) {
        if (u != NULL) {
            user_drop(d, u);
        }
        memory_free(job);
        return NULL;
    }
    d->timers_needed++;
    m->references++;
    job->dispatch = d;
    job->id = spec->id;
    job->context = spec->context;
    job->allows = spec->allows;
    job->retried = spec->belongs;
    job->silent = spec->kind == DISPATCH_EMBED;
    job->user = u;
    job->model = m;
    job->sequence = ++d->stats.submitted;
    uint64_t life = d->config.job_deadline_ms;
    job->deadline_at = now + (spec->deadline_ms == 0 ? life : earlier(spec->deadline_ms, life));
    job->timer.owner = TIMER_JOB;
    job->notice.owner = NOTICE_JOB;
    list_init(&job->link);
    return job;
}

/* Hands it out; NULL if the hooks have ended it meanwhile. */
static dispatch_job *hand_out(dispatch_job *job, offer *o, uint64_t now, error *err) {
    dispatch *d = job->dispatch;
    job->held = true;
    dispatch_enter(d);
    if (o == NULL) {
        queue_place(job, now);
    } else {
        lease_grant(o, job, now);
    }
    dispatch_leave(d);
    job->held = false;
    if (job->state == JOB_ENDED) {
        memory_free(job);
        error_set(err, ERROR_IO, "no worker could be reached for the job: try again");
        return NULL;
    }
    return job;
}

dispatch_job *dispatch_submit(dispatch *d, const dispatch_spec *spec, uint64_t now, error *err) {
    model *m = admit(d, spec, err);
    if (m == NULL) {
        return NULL;
    }
    dispatch_job *job = job_new(d, spec, m, now);
    if (job == NULL) {
        error_memory(err);
        return NULL;
    }
    return hand_out(job, NULL, now, err);
}

bool dispatch_worker_has_slot(const dispatch_worker *w, slice name) {
    const offer *o = worker_find_offer(w, name, DISPATCH_GENERATE);
    return o != NULL && offer_has_room(o);
}

dispatch_job *dispatch_assign(dispatch *d, const dispatch_spec *spec, dispatch_worker *w, bool silent,
                              uint64_t now, error *err) {
    offer *o = worker_find_offer(w, spec->model, spec->kind);
    if (o == NULL) {
        error_set(err, ERROR_NOT_FOUND, "the worker doesn't have the model \"%.*s\"",
                  SLICE_FORMAT(spec->model));
        return NULL;
    }
    if (!offer_has_room(o)) {
        error_set(err, ERROR_LIMIT, "the worker has no free slot");
        return NULL;
    }
    if (map_get(d->jobs, id_slice(&spec->id)) != NULL) {
        error_set(err, ERROR_CONFLICT, "a job with this id is already there");
        return NULL;
    }
    dispatch_job *job = job_new(d, spec, o->model, now);
    if (job == NULL) {
        error_memory(err);
        return NULL;
    }
    job->assigned = true;
    job->silent = job->silent || silent;
    return hand_out(job, o, now, err);
}

/* Takes the job out of every table; it is in no queue and has no lease any more. */
void job_detach(dispatch_job *job) {
    dispatch *d = job->dispatch;
    job_set_state(job, JOB_ENDED);
    notice_drop(&job->notice);
    timer_disarm(d, &job->timer);
    d->timers_needed--;
    map_remove(d->jobs, id_slice(&job->id));
    user_drop(d, job->user);
    if (job->pin != NULL) {
        job->pin->references--;
        variant_drop(d, job->pin);
    }
    job->model->references--;
    model_drop(d, job->model);
    job->user = NULL;
    job->pin = NULL;
    job->model = NULL;
}

void job_fail(dispatch_job *job, dispatch_failure reason) {
    dispatch *d = job->dispatch;
    job_detach(job);
    job->failure = reason;
    d->stats.failed[reason]++;
    if (!job->held) {
        notice_add(d, &job->notice, JOB_FAILED);
    }
}

/* After it lost its worker. */
void job_move_on(dispatch_job *job, uint64_t now) {
    dispatch *d = job->dispatch;
    if (job->state == JOB_RUNNING) {
        job_set_state(job, JOB_PLACING);
    }
    if (job->assigned) {
        job_fail(job, DISPATCH_LOST);
    } else if (job->pin != NULL && !job->pin->exact) {
        job_fail(job, DISPATCH_NOT_RESUMABLE);
    } else if (job->attempts >= d->config.max_attempts) {
        job_fail(job, DISPATCH_TOO_MANY_TRIES);
    } else {
        if (job->pin == NULL) {
            job->consumed = 0;
            job->seen = 0;
        }
        job->retried = true;
        d->stats.redispatched++;
        notice_add(d, &job->notice, JOB_RESTARTED);
        queue_place(job, now);
    }
}

/* Out of its queue, or its lease told to stop. Returns the worker it ran on. */
static dispatch_worker *job_stop(dispatch_job *job, bool hung, uint64_t now) {
    if (job->state == JOB_QUEUED) {
        queue_remove(job);
        return NULL;
    }
    dispatch_worker *w = job->lease->worker;
    lease_linger(job->lease, hung, now);
    return w;
}

void job_expire(dispatch_job *job, uint64_t now) {
    if (job_due(job) > now) {
        job_watch(job);
        return;
    }
    bool running = job->state == JOB_RUNNING;
    bool over = now >= job->deadline_at;
    bool candidates = running || queue_has_candidates(job);
    dispatch_worker *w = job_stop(job, running && !over, now);
    if (over) {
        job_fail(job, DISPATCH_JOB_DEADLINE);
    } else if (running) {
        job_move_on(job, now);
    } else {
        job_fail(job, candidates ? DISPATCH_QUEUE_DEADLINE : DISPATCH_NO_WORKER);
    }
    if (w != NULL) {
        queue_fill(w, now);
    }
}

void dispatch_job_cancel(dispatch_job *job, uint64_t now) {
    dispatch *d = job->dispatch;
    if (job->state == JOB_ENDED) { /* its job_failed was about to be called */
        if (!job->held) {
            notice_drop(&job->notice);
            memory_free(job);
        }
        return;
    }
    dispatch_enter(d);
    dispatch_worker *w = job_stop(job, false, now);
    job_detach(job);
    d->stats.cancelled++;
    if (!job->held) {
        memory_free(job);
    }
    if (w != NULL) {
        queue_fill(w, now);
    }
    dispatch_leave(d);
}

bool dispatch_job_started(dispatch_job *job) {
    if (job->state != JOB_RUNNING || (job->notice.what & JOB_RESTARTED) != 0) {
        return false;
    }
    if (job->pin == NULL) {
        job->pin = job->lease->offer->variant;
        job->pin->references++;
    }
    return true;
}

void dispatch_job_consumed(dispatch_job *job, uint64_t total, uint64_t now) {
    if (job->state == JOB_ENDED || total <= job->consumed || total > job->seen) {
        return;
    }
    job->consumed = total;
    lease *l = job->lease;
    if (l == NULL) {
        return;
    }
    dispatch *d = job->dispatch;
    uint64_t window = d->config.credit_window;
    uint64_t target = total + window;
    if (target <= l->granted || (target - l->granted) * 2 < window) {
        return;
    }
    dispatch_enter(d);
    bool waited = l->received >= l->granted;
    if ((l->notice.what & LEASE_SEND) == 0) {
        l->unsent += target - l->granted;
        notice_add(d, &l->notice, LEASE_CREDIT);
    }
    l->granted = target;
    if (waited) {
        l->progressed_at = now;
        job_watch(job);
    }
    dispatch_leave(d);
}

dispatch_job *dispatch_job_find(const dispatch *d, const dispatch_id *id) {
    return map_get(d->jobs, id_slice(id));
}

void *dispatch_job_worker(const dispatch_job *job) {
    return job->lease == NULL ? NULL : job->lease->worker->context;
}

uint32_t dispatch_job_attempts(const dispatch_job *job) {
    return job->attempts;
}
