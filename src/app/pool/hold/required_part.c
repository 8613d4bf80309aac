#include "hold/required_internal.h"

#include "base/log.h"
#include "crypto/hash.h"
#include "session_internal.h"

/* One worker's part of a question that several answer at once. */

static const work_kind part_kind;

static part *part_of(work *w) {
    return (part *)(void *)w; /* its first member */
}

bool part_counts(const part *t) {
    const required *r = t->whole;
    return t->joined && r->speakers[t->side] == t && pair_standing_of(r->pair, t->side) != PAIR_ABSENT;
}

static bool allows(void *job_context, void *worker) {
    return partners_allow(part_of(job_context), worker);
}

/* It says no more. */
static void end_part(part *t) {
    t->handle = NULL;
    t->over = true;
    if (part_counts(t)) {
        pair_lose(t->whole->pair, t->side);
    }
    required_soon(t->whole);
}

void part_cancel(part *t) {
    dispatch_job *handle = t->handle;
    end_part(t);
    if (handle != NULL) {
        dispatch_job_cancel(handle, ev_now_ms(t->work.pool->loop));
        pool_arm_dispatch(t->work.pool);
    }
}

bool part_submit(required *r, error *err) {
    job *j = r->job;
    pool *p = j->work.pool;
    if (r->part_count == PARTS_MAX) {
        return error_set(err, ERROR_IO, "several workers failed one after the other");
    }
    part *t = &r->parts[r->part_count];
    *t =
        (part){.work = {.kind = &part_kind, .pool = p, .id = j->work.id, .model = j->work.model}, .whole = r};
    if (r->part_count > 0 && !job_draw_id(&t->work.id, err)) {
        return false;
    }
    t->judges = pair_state_of(r->pair) == PAIR_DIFFERENT;
    partners_look(t);
    hex_encode(slice_of(t->work.id.bytes, sizeof t->work.id.bytes), t->work.id_hex);
    dispatch_spec spec = {.id = t->work.id,
                          .user = j->user_id,
                          .model = t->work.model,
                          .context = &t->work,
                          .deadline_ms = job_time_left(j),
                          .allows = allows,
                          .belongs = r->part_count > 0};
    r->part_count++;
    t->handle = dispatch_submit(p->dispatch, &spec, ev_now_ms(p->loop), err);
    pool_arm_dispatch(p);
    t->over = t->handle == NULL;
    return t->handle != NULL;
}

static void describe(const work *w, proto_message *message) {
    const part *t = (const part *)(const void *)w;
    job_describe_question(t->whole->job, message);
}

static void placed(work *w, session *s) {
    part *t = part_of(w);
    required *r = t->whole;
    receipt model;
    error err;
    t->worker = s->worker;
    if (!r->has_model && session_describe_model(s, w->model, &model, &err)) {
        memcpy(r->digest, model.model_digest, sizeof r->digest);
        memcpy(r->profile, model.engine_profile, sizeof r->profile);
        r->has_model = true;
    }
    t->joined = pair_join(r->pair, &t->side, &err);
    if (t->joined) {
        r->speakers[t->side] = t;
        required_recruit(r);
    }
    required_soon(r); /* who joins too late is let go there */
}

/* What comes is passed over: there was no memory for some of it, so that what a worker signs would not hold.
 */
static bool is_ending(const required *r) {
    return r->completing || r->failure_status != 0;
}

static bool delta(work *w, const proto_delta *said, error *err) {
    part *t = part_of(w);
    required *r = t->whole;
    if (!job_check_delta(said, err)) {
        return false;
    }
    if (!part_counts(t) || is_ending(r)) {
        return true;
    }
    if (!pair_say(r->pair, t->side, said->tokens, said->token_count, said->text, err)) {
        if (err->code != ERROR_MEMORY) {
            return false;
        }
        required_fail(r, 503, "memory", "the pool is out of memory; ask again");
    }
    required_soon(r);
    return true;
}

static bool check_done(work *w, const fleet_worker *worker, const proto_done *done, signed_receipt *entry,
                       error *err) {
    part *t = part_of(w);
    required *r = t->whole;
    if (!part_counts(t) || is_ending(r)) {
        return error_set(err, ERROR_CONFLICT, "this answer isn't wanted any more");
    }
    answer_said said = {.id = w->id, .text = pair_text(r->pair, t->side)};
    said.tokens = pair_tokens(r->pair, t->side, &said.token_count);
    w->pool->counters.receipts_checked++;
    bool holds =
        job_make_receipt(r->job, &said, worker, done, entry, err) && receipt_verify_worker(entry, err);
    w->pool->counters.receipts_refused += !holds && err->code == ERROR_CORRUPT;
    return holds;
}

static void complete(work *w, const fleet_worker *worker, const signed_receipt *entry) {
    part *t = part_of(w);
    required *r = t->whole;
    error err = {0};
    (void)worker;
    if (entry != NULL && part_counts(t)) {
        pair_ending ending = {.finish = entry->fields.finish, .prompt_tokens = entry->fields.prompt_tokens};
        memcpy(ending.commitment, entry->fields.commitment, sizeof ending.commitment);
        r->entries[t->side] = *entry;
        if (!pair_end(r->pair, t->side, &ending, &err)) {
            log_error("an answer's end was out of place", LOG_TEXT("job", w->id_hex), LOG_CAUSE(&err));
        }
    }
    end_part(t);
}

/* Two that refuse are believed; one may be lying, and another is asked. */
static void gave_up(work *w, const fleet_worker *worker, const proto_fail *fail) {
    required *r = part_of(w)->whole;
    (void)worker;
    job_note_refusal(r->job, fail);
    r->refusals += fail->retryable ? 0 : 1;
}

/* Another part is submitted instead, for another worker may not be independent of those that are left. */
static void restarted(work *w, bool resumed) {
    part *t = part_of(w);
    (void)resumed;
    log_info("one of several workers was lost", LOG_TEXT("job", t->whole->job->work.id_hex),
             LOG_TEXT("worker", t->worker == NULL ? "" : t->worker->id_hex));
    t->handle = dispatch_job_find(w->pool->dispatch, &w->id);
    part_cancel(t);
}

static void failed(work *w, dispatch_failure reason) {
    part *t = part_of(w);
    required *r = t->whole;
    bool contradicted = part_counts(t) && pair_standing_of(r->pair, t->side) == PAIR_CONTRADICTED;
    end_part(t);
    if (contradicted) {
        return;
    }
    switch (reason) {
    case DISPATCH_NO_WORKER:
    case DISPATCH_QUEUE_DEADLINE:
        required_fail_alone(r);
        return;
    case DISPATCH_JOB_DEADLINE:
        required_fail(r, 504, "job_deadline", "the answer took too long; ask for a shorter one");
        return;
    case DISPATCH_REFUSED:
        if (r->refusals > 1) {
            job_refusal(r->job, &r->failure_status, &r->failure_code, &r->failure_text);
        }
        return;
    case DISPATCH_TOO_MANY_TRIES:
    case DISPATCH_NOT_RESUMABLE:
    case DISPATCH_LOST:
        return;
    }
}

static const work_kind part_kind = {.name = "part",
                                    .describe = describe,
                                    .delta = delta,
                                    .check_done = check_done,
                                    .complete = complete,
                                    .placed = placed,
                                    .gave_up = gave_up,
                                    .restarted = restarted,
                                    .failed = failed};
