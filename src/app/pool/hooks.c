#include "hooks.h"

#include "session.h"
#include "work.h"

static void send_job(void *context, void *worker, void *job_context, uint64_t credit) {
    (void)context;
    session_send_job(worker, job_context, credit);
}

static void send_credit(void *context, void *worker, const dispatch_id *id, uint64_t tokens) {
    (void)context;
    session_send_credit(worker, id, tokens);
}

static void send_cancel(void *context, void *worker, const dispatch_id *id) {
    (void)context;
    session_send_cancel(worker, id);
}

static void restarted(void *context, void *job_context, bool resumed) {
    (void)context;
    work *w = job_context;
    if (w->kind->restarted != NULL) {
        w->kind->restarted(w, resumed);
    }
}

static void failed(void *context, void *job_context, dispatch_failure reason) {
    (void)context;
    work *w = job_context;
    w->kind->failed(w, reason);
}

static void drained(void *context, void *worker) {
    (void)context;
    session_drained(worker);
}

static void closed(void *context, void *worker, dispatch_closing reason) {
    (void)context;
    session_closed_by_dispatch(worker, reason);
}

dispatch_hooks pool_dispatch_hooks(pool *p) {
    return (dispatch_hooks){.context = p,
                            .send_job = send_job,
                            .send_credit = send_credit,
                            .send_cancel = send_cancel,
                            .job_restarted = restarted,
                            .job_failed = failed,
                            .worker_drained = drained,
                            .worker_closed = closed};
}
