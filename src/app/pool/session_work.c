#include "session_internal.h"

#include "base/log.h"
#include "dispatch/job.h"
#include "work.h"

/* What pool and worker tell each other about jobs. */

enum {
    DEADLINE_GRACE_MS = 2000, /* the pool gives a late job up before the worker does */
    JOB_ROOM = 8192,          /* for a job's message without its chat: model and stops have bounds */
    MESSAGE_ROOM = 128,
};

void session_handle_delta(session *s, const proto_delta *delta) {
    void *found = NULL;
    dispatch_id id;
    error err = {0};
    memcpy(id.bytes, delta->id, sizeof id.bytes);
    dispatch_verdict verdict =
        dispatch_job_delta(s->handle, &id, delta->seq, delta->token_count, ev_now_ms(s->pool->loop), &found);
    work *w = found;
    if (verdict == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "a delta that the job, its order or its credit doesn't allow");
    } else if (verdict == DISPATCH_OK && !w->kind->delta(w, delta, &err)) {
        session_violation(s, PROTO_CLOSE_JOB, err.text);
    }
    pool_arm_dispatch(s->pool);
}

void session_handle_done(session *s, const proto_done *done) {
    pool *p = s->pool;
    void *found = NULL;
    dispatch_id id;
    error err = {0};
    signed_receipt entry;
    memcpy(id.bytes, done->id, sizeof id.bytes);
    work *w = dispatch_worker_job(s->handle, &id);
    if (w != NULL && w->kind->check_done == NULL) {
        session_violation(s, PROTO_CLOSE_JOB, "done, for a job that has no text");
        return;
    }
    if (w != NULL && w->kind->is_short != NULL && w->kind->is_short(w)) {
        if (s->handle == NULL) { /* it could not be told, and is lost */
            return;
        }
        w = NULL; /* from here on this message is about a job that was taken away */
    }
    fleet_worker *worker = w == NULL ? NULL : w->worker;
    bool checked = w != NULL && w->kind->check_done(w, worker, done, &entry, &err);
    if (w != NULL && !checked && (err.code == ERROR_INVALID || err.code == ERROR_CORRUPT)) {
        if (err.code == ERROR_CORRUPT) {
            session_revoke_forger(p, worker->id);
        }
        session_violation(s, PROTO_CLOSE_JOB, err.text);
        return;
    }
    dispatch_verdict verdict =
        dispatch_job_done(s->handle, &id, done->completion_tokens, ev_now_ms(s->pool->loop), &found);
    if (verdict == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "done, for a job not held or with a false token count");
    } else if (verdict == DISPATCH_OK && w != NULL) {
        w->kind->complete(w, worker, checked ? &entry : NULL); /* may end the session */
    }
    pool_arm_dispatch(p);
}

void session_handle_scored(session *s, const proto_scored *scored) {
    void *found = NULL;
    dispatch_id id;
    error err = {0};
    signed_finding entry;
    memcpy(id.bytes, scored->id, sizeof id.bytes);
    work *w = dispatch_worker_job(s->handle, &id);
    if (w != NULL && w->kind->check_scored == NULL) {
        session_violation(s, PROTO_CLOSE_JOB, "scored, for a job that has text");
        return;
    }
    fleet_worker *worker = w == NULL ? NULL : w->worker;
    bool checked = w != NULL && w->kind->check_scored(w, worker, scored, &entry, &err);
    if (w != NULL && !checked && (err.code == ERROR_INVALID || err.code == ERROR_CORRUPT)) {
        session_violation(s, PROTO_CLOSE_JOB, err.text);
        return;
    }
    pool *p = s->pool;
    dispatch_verdict verdict = dispatch_job_scored(s->handle, &id, ev_now_ms(s->pool->loop), &found);
    if (verdict == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "scored, for a job not held");
    } else if (verdict == DISPATCH_OK && w != NULL) {
        w->kind->scored(w, worker, checked ? &entry : NULL); /* may end the session */
    }
    pool_arm_dispatch(p);
}

void session_handle_embedded(session *s, const proto_embedded *embedded) {
    pool *p = s->pool;
    void *found = NULL;
    dispatch_id id;
    error err = {0};
    memcpy(id.bytes, embedded->id, sizeof id.bytes);
    work *w = dispatch_worker_job(s->handle, &id);
    if (w != NULL && w->kind->check_embedded == NULL) {
        session_violation(s, PROTO_CLOSE_JOB, "embedded, for a job that asked for no vectors");
        return;
    }
    bool checked = w != NULL && w->kind->check_embedded(w, s, embedded, &err);
    if (w != NULL && !checked && err.code == ERROR_INVALID) {
        session_violation(s, PROTO_CLOSE_JOB, err.text);
        return;
    }
    dispatch_verdict verdict = dispatch_job_scored(s->handle, &id, ev_now_ms(p->loop), &found);
    if (verdict == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "embedded, for a job not held");
    } else if (verdict == DISPATCH_OK && w != NULL) {
        w->kind->embedded(w, checked); /* may end the session */
    }
    pool_arm_dispatch(p);
}

void session_handle_fail(session *s, const proto_fail *fail) {
    dispatch_id id;
    memcpy(id.bytes, fail->id, sizeof id.bytes);
    work *w = dispatch_worker_job(s->handle, &id);
    bool retryable = fail->retryable;
    if (w != NULL) {
        w->kind->gave_up(w, w->worker, fail);
        retryable = retryable || (w->kind->doubts != NULL && w->kind->doubts(w, w->worker, fail));
        log_info("worker gave a job up", LOG_TEXT("worker", s->worker->id_hex),
                 LOG_TEXT("kind", w->kind->name), LOG_TEXT("job", w->id_hex), LOG_SLICE("code", fail->code),
                 LOG_U64("retryable", fail->retryable));
    }
    if (dispatch_job_fail(s->handle, &id, retryable, ev_now_ms(s->pool->loop)) == DISPATCH_VIOLATION) {
        session_violation(s, PROTO_CLOSE_JOB, "fail, for a job not held");
    }
    pool_arm_dispatch(s->pool);
}

void session_note_logprobs(session *s) {
    s->gives_logprobs = true;
}

bool session_gives_logprobs(const session *s) {
    return s->gives_logprobs;
}

/* Whatever the job is for, so that nothing tells a check from a question. */
static bool may_be_compared(const session_model *model, const proto_job *told) {
    return told->kind == PROTO_GENERATE && !(told->temperature > 0) &&
           slice_starts_with(slice_of_text(model->profile), SLICE_LITERAL("runtime-"));
}

static const session_model *find_model(const session *s, slice name) {
    for (size_t i = 0; i < s->model_count; i++) {
        if (slice_equal(s->models[i].name, name)) {
            return &s->models[i];
        }
    }
    return NULL;
}

uint32_t session_context(const session *s, slice model) {
    const session_model *found = find_model(s, model);
    return found == NULL ? 0 : found->context;
}

uint32_t session_dimension(const session *s, slice model) {
    const session_model *found = find_model(s, model);
    return found == NULL || !found->does[PROTO_EMBED] ? 0 : found->dimension;
}

bool session_describe_model(const session *s, slice model, receipt *fields, error *err) {
    const session_model *found = find_model(s, model);
    if (found == NULL) {
        return error_set(err, ERROR_INTERNAL, "the worker doesn't offer this model");
    }
    memcpy(fields->model_digest, found->digest, sizeof fields->model_digest);
    memcpy(fields->engine_profile, found->profile, sizeof fields->engine_profile);
    return true;
}

uint32_t session_deadline(uint64_t pool_deadline_ms) {
    uint64_t left = pool_deadline_ms + DEADLINE_GRACE_MS;
    return (uint32_t)(left < PROTO_DEADLINE_MAX_MS ? left : PROTO_DEADLINE_MAX_MS);
}

/* All of the message but what depends on the worker. */
static proto_message message_of(const work *w) {
    proto_message message = {.type = PROTO_JOB, .job = {.model = w->model, .credit = PROTO_COUNT_MAX}};
    memcpy(message.job.id, w->id.bytes, sizeof message.job.id);
    w->kind->describe(w, &message);
    return message;
}

/* As JSON a byte of text becomes at most six, and the frame around each message has room in MESSAGE_ROOM. An
 * answer to be scored always fits beside a question that did. */
static bool is_surely_small(const proto_job *told) {
    size_t bytes = JOB_ROOM;
    for (size_t i = 0; i < told->message_count; i++) {
        bytes += told->messages[i].content.length * 6 + MESSAGE_ROOM;
    }
    return bytes <= PROTO_MESSAGE_MAX;
}

bool session_check_job(const work *w, error *err) {
    proto_message message = message_of(w);
    if (w->model.length > PROTO_NAME_MAX || is_surely_small(&message.job)) {
        return true; /* no worker has a model with a longer name: the dispatcher says so */
    }
    buffer text = buffer_make(PROTO_JOB_MAX);
    bool fits = buffer_reserve(&text, proto_size_limit(&message)) != NULL || error_memory(err);
    if (fits && !proto_encode(&message, &text, err)) {
        fits = error_set(err, ERROR_LIMIT, "the messages are too long: all together may have up to 1 MiB");
    }
    buffer_wipe(&text);
    return fits;
}

void session_send_job(session *s, work *w, uint64_t credit) {
    const session_model *model = find_model(s, w->model);
    proto_message message = message_of(w);
    w->worker = s->worker;
    message.job.credit = (uint32_t)credit;
    if (model != NULL) {
        memcpy(message.job.digest, model->digest, sizeof message.job.digest);
        message.job.logprobs = may_be_compared(model, &message.job);
    }
    if (model == NULL || !session_send(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "a job could not be sent");
    } else if (w->kind->placed != NULL) {
        w->kind->placed(w, s);
    }
}

void session_send_credit(session *s, const dispatch_id *id, uint64_t tokens) {
    proto_message message = {.type = PROTO_CREDIT, .credit = {.tokens = (uint32_t)tokens}};
    memcpy(message.credit.id, id->bytes, sizeof message.credit.id);
    if (!session_send(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "the worker doesn't read");
    }
}

void session_send_cancel(session *s, const dispatch_id *id) {
    proto_message message = {.type = PROTO_CANCEL};
    memcpy(message.cancel.id, id->bytes, sizeof message.cancel.id);
    if (!session_send(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "the worker doesn't read");
    }
}
