#include "dispatch_internal.h"

#include <assert.h>

/* A lease is one slot of a worker, held by one attempt of one job. The slot is free again when the worker
 * said that the attempt is over, or (after a plain cancel) when the grace has passed: what the worker still
 * computes then shows in its beats as a foreign job. After a hang only the worker's word frees it. */

static void lease_set_state(lease *l, lease_state state) {
    static const bool allowed[3][3] = {
        [LEASE_FREE] = {[LEASE_RUNNING] = true},
        [LEASE_RUNNING] = {[LEASE_LINGERING] = true, [LEASE_FREE] = true},
        [LEASE_LINGERING] = {[LEASE_FREE] = true},
    };
    assert(allowed[l->state][state]);
    dispatch_worker *w = l->worker;
    list_node *lists[] = {
        [LEASE_FREE] = &w->free, [LEASE_RUNNING] = &w->running, [LEASE_LINGERING] = &w->lingering};
    list_remove(&l->link);
    list_append(lists[state], &l->link);
    l->state = state;
}

void lease_grant(offer *o, dispatch_job *job, uint64_t now) {
    dispatch_worker *w = o->worker;
    dispatch *d = w->dispatch;
    list_node *node = list_first(&w->free);
    assert(node != NULL && offer_has_room(o) && job->attempts < DISPATCH_ATTEMPTS_MAX);
    lease *l = LIST_ENTRY(node, lease, link);
    lease_set_state(l, LEASE_RUNNING);
    l->offer = o;
    l->job = job;
    l->id = job->id;
    l->sequence = 0;
    l->received = 0;
    l->unsent = 0;
    l->empty = 0;
    l->granted = job->consumed + d->config.credit_window;
    l->assigned_at = now;
    l->progressed_at = now;
    l->hung = false;
    o->busy++;
    w->busy++;
    w->assigned = ++d->assignments;
    d->stats.busy++;
    d->stats.running++;
    o->model->running++;
    job->tried[job->attempts++] = (attempt){w->id, w->session};
    job->lease = l;
    job_set_state(job, JOB_RUNNING);
    job_watch(job);
    notice_add(d, &l->notice, LEASE_SEND);
    worker_changed(w);
}

/* The job's side of letting go. */
static void leave_job(lease *l) {
    if (l->job != NULL) {
        l->worker->dispatch->stats.running--;
        l->offer->model->running--;
        l->job->lease = NULL;
        l->job = NULL;
    }
}

void lease_release(lease *l) {
    dispatch_worker *w = l->worker;
    leave_job(l);
    notice_drop(&l->notice);
    timer_disarm(w->dispatch, &l->grace);
    lease_set_state(l, LEASE_FREE);
    l->offer->busy--;
    l->offer = NULL;
    w->busy--;
    w->dispatch->stats.busy--;
    if (l->hung) {
        l->hung = false;
        w->hung--;
    }
    worker_changed(w);
}

void lease_linger(lease *l, bool hung, uint64_t now) {
    dispatch_worker *w = l->worker;
    dispatch *d = w->dispatch;
    if ((l->notice.what & LEASE_SEND) != 0) {
        lease_release(l); /* the worker never heard of it */
        return;
    }
    leave_job(l);
    notice_drop(&l->notice);
    lease_set_state(l, LEASE_LINGERING);
    if (hung) {
        l->hung = true;
        w->hung++;
        w->suspect = true;
        d->stats.hung++;
        worker_changed(w);
    }
    timer_arm(d, &l->grace, now + (hung ? d->config.hung_grace_ms : d->config.cancel_grace_ms));
    notice_add(d, &l->notice, LEASE_CANCEL);
}

static void forget(dispatch_worker *w, const dispatch_id *id, uint64_t until) {
    w->forgotten[w->next_forgotten] = (forgotten){*id, until};
    w->next_forgotten = (w->next_forgotten + 1) % FORGOTTEN_COUNT;
}

/* A worker with a hung job gets nothing new; once its other jobs have ended it is closed. */
void lease_expire(lease *l, uint64_t now) {
    dispatch_worker *w = l->worker;
    const dispatch_config *config = &w->dispatch->config;
    if (!l->hung) {
        forget(w, &l->id, now + config->stale_ms);
        lease_release(l);
        queue_fill(w, now);
    } else if (list_is_empty(&w->running)) {
        worker_close(w, DISPATCH_UNRESPONSIVE, now);
    } else {
        timer_arm(w->dispatch, &l->grace, now + config->hung_grace_ms);
    }
}

/* When a running attempt is hung. Never, as long as it waits for credit, or if it is assigned and has nothing
 * to say before the end. One that could move has as long for its only word as others for their first. */
uint64_t lease_due(const lease *l) {
    const dispatch_config *config = &l->worker->dispatch->config;
    if (l->job->silent && l->job->assigned) {
        return UINT64_MAX;
    }
    if (l->received == 0) {
        return l->assigned_at + config->first_token_timeout_ms;
    }
    return l->received < l->granted ? l->progressed_at + config->progress_timeout_ms : UINT64_MAX;
}
