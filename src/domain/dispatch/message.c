#include "dispatch_internal.h"

#include "base/memory.h"

/* What workers say about jobs. A worker is believed about the jobs it holds, within its credit, and in order.
 */

/* Deltas without a token that are forgiven beyond one for each token. */
enum { EMPTY_DELTAS_MAX = 16 };

static lease *running_lease(const dispatch_worker *w, const dispatch_id *id) {
    dispatch_job *job = dispatch_job_find(w->dispatch, id);
    lease *l = job == NULL ? NULL : job->lease;
    return l != NULL && l->worker == w && (l->notice.what & LEASE_SEND) == 0 ? l : NULL;
}

static lease *lingering_lease(const dispatch_worker *w, const dispatch_id *id) {
    for (const list_node *node = w->lingering.next; node != &w->lingering; node = node->next) {
        lease *l = LIST_ENTRY(node, lease, link);
        if (id_equal(&l->id, id)) {
            return l;
        }
    }
    return NULL;
}

static forgotten *recently_forgotten(dispatch_worker *w, const dispatch_id *id, uint64_t now) {
    for (size_t i = 0; i < FORGOTTEN_COUNT; i++) {
        if (w->forgotten[i].until > now && id_equal(&w->forgotten[i].id, id)) {
            return &w->forgotten[i];
        }
    }
    return NULL;
}

static dispatch_verdict violation(dispatch *d) {
    d->stats.violations++;
    return DISPATCH_VIOLATION;
}

static dispatch_verdict stale(dispatch *d) {
    d->stats.stale++;
    return DISPATCH_STALE;
}

/* A message about a job that the worker doesn't run. `last`: it also says that the worker has ended it. */
static dispatch_verdict not_running(dispatch_worker *w, const dispatch_id *id, bool last, uint64_t now) {
    dispatch *d = w->dispatch;
    lease *l = lingering_lease(w, id);
    forgotten *f = recently_forgotten(w, id, now);
    if (l == NULL && f == NULL) {
        return w->state == DISPATCH_GONE ? stale(d) : violation(d);
    }
    if (last && l != NULL) {
        dispatch_enter(d);
        lease_release(l);
        queue_fill(w, now);
        dispatch_leave(d);
    } else if (last) {
        f->until = 0;
    }
    return stale(d);
}

void *dispatch_worker_job(dispatch_worker *w, const dispatch_id *job) {
    const lease *l = running_lease(w, job);
    return l == NULL ? NULL : l->job->context;
}

dispatch_verdict dispatch_job_delta(dispatch_worker *w, const dispatch_id *id, uint64_t seq, uint64_t tokens,
                                    uint64_t now, void **job) {
    *job = NULL;
    lease *l = running_lease(w, id);
    if (l == NULL) {
        return not_running(w, id, false, now);
    }
    if (l->job->silent || seq != l->sequence || tokens > l->granted - l->received ||
        (tokens == 0 && l->empty >= l->received + EMPTY_DELTAS_MAX)) {
        return violation(w->dispatch);
    }
    l->sequence++;
    if (tokens == 0) {
        l->empty++;
    } else {
        bool first = l->received == 0;
        l->received += tokens;
        l->progressed_at = now;
        l->job->seen = l->received > l->job->seen ? l->received : l->job->seen;
        if (first) {
            job_watch(l->job);
        }
    }
    *job = l->job->context;
    return DISPATCH_OK;
}

/* The job has ended well. */
static void complete(lease *l, uint64_t now, void **job) {
    dispatch_worker *w = l->worker;
    dispatch *d = w->dispatch;
    dispatch_enter(d);
    dispatch_job *ended = l->job;
    *job = ended->context;
    w->suspect = false;
    w->completed++;
    d->stats.completed++;
    lease_release(l);
    job_detach(ended);
    if (!ended->held) {
        memory_free(ended);
    }
    queue_fill(w, now);
    dispatch_leave(d);
}

dispatch_verdict dispatch_job_done(dispatch_worker *w, const dispatch_id *id, uint64_t tokens, uint64_t now,
                                   void **job) {
    *job = NULL;
    lease *l = running_lease(w, id);
    if (l == NULL) {
        return not_running(w, id, true, now);
    }
    if (l->job->silent || tokens != l->received) {
        return violation(w->dispatch);
    }
    complete(l, now, job);
    return DISPATCH_OK;
}

dispatch_verdict dispatch_job_scored(dispatch_worker *w, const dispatch_id *id, uint64_t now, void **job) {
    *job = NULL;
    lease *l = running_lease(w, id);
    if (l == NULL) {
        return not_running(w, id, true, now);
    }
    if (!l->job->silent) {
        return violation(w->dispatch);
    }
    complete(l, now, job);
    return DISPATCH_OK;
}

dispatch_verdict dispatch_job_fail(dispatch_worker *w, const dispatch_id *id, bool retryable, uint64_t now) {
    dispatch *d = w->dispatch;
    lease *l = running_lease(w, id);
    if (l == NULL) {
        return not_running(w, id, true, now);
    }
    dispatch_enter(d);
    dispatch_job *job = l->job;
    w->suspect = w->suspect || retryable;
    lease_release(l);
    if (retryable) {
        job_move_on(job, now);
    } else {
        job_fail(job, DISPATCH_REFUSED);
    }
    queue_fill(w, now);
    dispatch_leave(d);
    return DISPATCH_OK;
}
