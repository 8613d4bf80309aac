#include "hold/required_internal.h"

#include "answer.h"
#include "base/log.h"
#include "proof/proof.h"

enum { TEXT_LIMIT = 16 * 1024 * 1024, EVENTS_LIMIT = 65536 };

static const char differ_text[] =
    "the workers computed different answers and nobody could say which is right; ask again";

void required_soon(required *r) {
    ev_defer(r->job->work.pool->loop, &r->follow);
}

void required_fail(required *r, unsigned status, const char *code, const char *text) {
    if (r->failure_status == 0) {
        r->failure_status = status;
        r->failure_code = code;
        r->failure_text = text;
    }
    required_soon(r);
}

void required_fail_alone(required *r) {
    required_fail(r, 503, "not_enough_workers",
                  "two workers with different owners must answer this, and no other one became free in time; "
                  "ask again later");
}

bool required_waits(const required *r) {
    return pair_state_of(r->pair) == PAIR_WAITING && !release_runs(&r->release);
}

size_t required_frame_size(const required *r) {
    return r->release.streams && release_runs(&r->release) ? r->release.frames.size : 0;
}

static void follow(void *context);

required *required_start(job *j, error *err) {
    pool *p = j->work.pool;
    if (!partners_exist(p, j->work.model)) {
        error_set(err, ERROR_UNSUPPORTED,
                  "two workers with different owners must answer this, and there are none that have the "
                  "model \"%.*s\" as the same file and compute it exactly; ask again when there are",
                  SLICE_FORMAT(j->work.model));
        return NULL;
    }
    required *r = arena_allocate(http_request_arena(j->request), sizeof *r);
    if (r == NULL) {
        error_memory(err);
        return NULL;
    }
    r->job = j;
    release_init(&r->release);
    ev_deferred_init(&r->follow, follow, r);
    r->pair = pair_new(j->chat.max_tokens, TEXT_LIMIT, err);
    if (r->pair == NULL || !part_submit(r, err)) {
        required_release(r);
        return NULL;
    }
    return r;
}

/* What a worker has signed goes the way of any answer that must be checked. One that never finished has
 * signed nothing. */
static void have_checked(required *r, size_t side) {
    job *j = r->job;
    error err = {0};
    size_t count = 0;
    if (!pair_has_ended(r->pair, side)) {
        return;
    }
    const uint32_t *tokens = pair_tokens(r->pair, side, &count);
    buffer_append(&j->text, pair_text(r->pair, side));
    buffer_append(&j->tokens, slice_of(tokens, count * sizeof *tokens));
    j->token_count = count;
    bool said = (!buffer_failed(&j->text) && !buffer_failed(&j->tokens)) || error_memory(&err);
    if (!said || !proof_answer_done(j->work.pool, j, r->speakers[side]->worker, &r->entries[side], &err)) {
        log_error("an answer in dispute could not be put down to be checked", LOG_CAUSE(&err));
    }
    buffer_clear(&j->text);
    buffer_clear(&j->tokens);
}

/* Whoever checks it differs, and the worker is convicted by their word, not by that of the two here alone. */
static void accuse(required *r, size_t side) {
    pair_difference found = pair_latest_difference(r->pair);
    log_warning("a worker is contradicted by two others", LOG_TEXT("job", r->job->work.id_hex),
                LOG_TEXT("worker", r->speakers[side]->worker->id_hex),
                LOG_TEXT("about", pair_aspect_name(found.aspect)), LOG_U64("position", found.position),
                LOG_U64("signed", pair_has_ended(r->pair, side)));
    have_checked(r, side);
}

/* Somebody lied, and it isn't settled who: checks will tell, though the client gets nothing. */
static void leave_dispute(required *r) {
    pair_state state = pair_state_of(r->pair);
    bool disputed = state == PAIR_DIFFERENT || state == PAIR_JUDGING || state == PAIR_FAILED;
    for (size_t i = 0; disputed && !r->job->work.pool->draining && i < PAIR_SIDES; i++) {
        have_checked(r, i);
    }
}

void required_release(required *r) {
    if (r->pair != NULL && !r->completing) {
        leave_dispute(r);
    }
    r->completing = true;
    for (size_t i = 0; i < r->part_count; i++) {
        if (!r->parts[i].over) {
            part_cancel(&r->parts[i]);
        }
    }
    for (size_t i = 0; i < KEPT_MAX; i++) {
        if (r->kept[i].storing != NULL) {
            receipts_forget(r->kept[i].storing);
            r->kept[i].storing = NULL;
        }
    }
    release_stop(&r->release);
    ev_defer_cancel(&r->follow);
    pair_free(r->pair);
    r->pair = NULL;
}

/* The client has taken some: there may be credit to give. */
static void ticked(void *context) {
    required *r = context;
    if (r->behind) {
        required_soon(r);
    }
}

static void left(void *context, bool whole) {
    required *r = context;
    job *j = r->job;
    http_request *request = j->request;
    if (!j->chat.stream) {
        job_finish_whole(j);
        return;
    }
    job_release(j);
    if (whole) {
        http_stream_end(request);
    } else {
        http_stream_abort(request);
    }
}

/* Both are there: from now on the clock runs. */
static bool start_clock(required *r, error *err) {
    job *j = r->job;
    pool *p = j->work.pool;
    if (!j->chat.stream) {
        release_start(&r->release, p->loop, j->request, false, (slice){0}, ticked, left, r);
        return true;
    }
    j->chunk_prefix = answer_chunk_prefix(j);
    if (j->chunk_prefix.length == 0) {
        return error_memory(err);
    }
    if (!job_send_head(j)) {
        return error_set(err, ERROR_IO, "the connection is being cut");
    }
    buffer role = buffer_make(EVENTS_LIMIT);
    answer_write_role(j->chunk_prefix, &role);
    release_start(&r->release, p->loop, j->request, true, j->chunk_prefix, ticked, left, r);
    bool added = (!buffer_failed(&role) || error_memory(err)) &&
                 frames_add_events(&r->release.frames, buffer_slice(&role), true, err);
    buffer_free(&role);
    return added;
}

static bool release_agreed(required *r, error *err) {
    slice text;
    return pair_release(r->pair, &text, err) &&
           (!r->job->chat.stream || text.length == 0 || frames_add_text(&r->release.frames, text, err));
}

/* While nobody differs, as fast as the client takes it; in a difference, and for a receipt, to the end: the
 * sooner it is settled. */
static uint64_t consumed(const required *r, const part *t) {
    size_t said = 0;
    size_t agreed = pair_agreed_tokens(r->pair);
    pair_state state = pair_state_of(r->pair);
    (void)pair_tokens(r->pair, t->side, &said);
    bool free_run = state == PAIR_DIFFERENT || state == PAIR_JUDGING ||
                    pair_standing_of(r->pair, t->side) == PAIR_CONTRADICTED;
    return free_run || said < agreed ? said : agreed;
}

static void give_credit(required *r) {
    r->behind = release_backlog(&r->release) > RELEASE_BEHIND_BYTES;
    for (size_t i = 0; i < r->part_count; i++) {
        part *t = &r->parts[i];
        if (!r->behind && t->handle != NULL && part_counts(t)) {
            dispatch_job_consumed(t->handle, consumed(r, t), ev_now_ms(r->job->work.pool->loop));
        }
    }
    pool_arm_dispatch(r->job->work.pool);
}

static size_t waiting_parts(const required *r) {
    size_t waiting = 0;
    for (size_t i = 0; i < r->part_count; i++) {
        waiting += !r->parts[i].over && !r->parts[i].joined ? 1 : 0;
    }
    return waiting;
}

void required_recruit(required *r) {
    error err = {0};
    size_t wanted = pair_wanted(r->pair);
    /* The second has to fit the first, so it comes after it. */
    wanted = pair_state_of(r->pair) == PAIR_WAITING && wanted == 2 ? 1 : wanted;
    if (r->completing || waiting_parts(r) >= wanted || part_submit(r, &err)) {
        return;
    }
    if (err.code == ERROR_MEMORY) {
        required_fail(r, 503, "memory", "the pool is out of memory; ask again");
    } else if (r->part_count == PARTS_MAX) {
        required_fail(r, 503, "worker_failed", "several workers failed one after the other; ask again later");
    } else {
        required_fail_alone(r);
    }
}

static void let_go(required *r) {
    for (size_t i = r->part_count; i > 0 && waiting_parts(r) > pair_wanted(r->pair); i--) {
        part *t = &r->parts[i - 1];
        if (!t->over && !t->joined) {
            part_cancel(t);
        }
    }
}

static bool is_right(const required *r, size_t side) {
    return pair_standing_of(r->pair, side) == PAIR_MEMBER;
}

static void stored(void *context, const error *failure);

static bool keep(required *r, const signed_receipt *entry, const uint8_t *id, error *err) {
    kept *k = &r->kept[r->storing];
    receipt_keeping wanted = {.user_id = r->job->user_id,
                              .job_id = id,
                              .worker_id = entry->fields.worker_id,
                              .entry = entry,
                              .stored = stored,
                              .context = k};
    k->whole = r;
    k->storing = receipts_keep(r->job->work.pool, &wanted, err);
    r->storing += k->storing != NULL ? 1 : 0;
    return k->storing != NULL;
}

/* Both receipts, each under its own id; the client knows the job's, so one of them under that too. */
static bool keep_receipts(required *r, error *err) {
    const uint8_t *job_id = r->job->work.id.bytes;
    const signed_receipt *any = NULL;
    bool has_job_id = false;
    for (size_t i = 0; i < PAIR_SIDES; i++) {
        if (is_right(r, i)) {
            const signed_receipt *entry = &r->entries[i];
            any = entry;
            has_job_id = has_job_id || memcmp(entry->fields.job_id, job_id, sizeof entry->fields.job_id) == 0;
            if (!keep(r, entry, entry->fields.job_id, err)) {
                return false;
            }
        }
    }
    return has_job_id || keep(r, any, job_id, err);
}

static void end_unstored(required *r, const error *failure) {
    log_error("receipt not stored", LOG_TEXT("job", r->job->work.id_hex), LOG_CAUSE(failure));
    job_end_with_error(r->job, 503, "receipt_not_stored",
                       "the answer's receipt could not be stored, so the answer is not complete; ask again");
}

static void judge_all(required *r) {
    for (size_t i = 0; i < PAIR_SIDES; i++) {
        if (pair_standing_of(r->pair, i) == PAIR_CONTRADICTED) {
            accuse(r, i);
        } else if (is_right(r, i)) {
            proof_two_agreed(r->job->work.pool, r->speakers[i]->worker);
        }
    }
}

/* Agreed: nobody is needed any more. The answer is complete when its receipts are stored. */
static void complete(required *r) {
    error err = {0};
    r->completing = true;
    for (size_t i = 0; i < r->part_count; i++) {
        if (!r->parts[i].over) {
            part_cancel(&r->parts[i]);
        }
    }
    judge_all(r);
    if (!keep_receipts(r, &err)) {
        end_unstored(r, &err);
    }
}

static bool write_end(required *r, const receipt *fields, size_t side, error *err) {
    job *j = r->job;
    if (!j->chat.stream) {
        j->end = buffer_make(2 * TEXT_LIMIT);
        buffer_append(&j->text, pair_text(r->pair, side));
        answer_write_whole(j, fields, &j->end);
        frames_pad_whole(&j->end);
        return (!buffer_failed(&j->text) && !buffer_failed(&j->end)) || error_memory(err);
    }
    buffer events = buffer_make(EVENTS_LIMIT);
    answer_write_end(j, j->chunk_prefix, fields, &events);
    bool written = (!buffer_failed(&events) || error_memory(err)) &&
                   frames_add_events(&r->release.frames, buffer_slice(&events), false, err);
    buffer_free(&events);
    return written;
}

static void stored(void *context, const error *failure) {
    kept *k = context;
    required *r = k->whole;
    error err = {0};
    size_t side = 0;
    k->storing = NULL;
    if (failure != NULL) {
        end_unstored(r, failure);
        return;
    }
    if (--r->storing > 0) {
        return;
    }
    while (!is_right(r, side)) {
        side++;
    }
    const receipt *fields = &r->entries[side].fields;
    if (!write_end(r, fields, side, &err)) {
        job_end_for_memory(r->job);
        return;
    }
    r->job->work.pool->counters.answers++;
    r->job->work.pool->counters.tokens += fields->completion_tokens;
    release_finish(&r->release);
}

static void follow(void *context) {
    required *r = context;
    error err = {0};
    pair_state state = pair_state_of(r->pair);
    if (r->completing) {
        return;
    }
    if (r->failure_status != 0) {
        job_end_with_error(r->job, r->failure_status, r->failure_code, r->failure_text);
    } else if (state == PAIR_FAILED) {
        job_end_with_error(r->job, 502, "answer_differs", differ_text);
    } else if ((state != PAIR_WAITING && !release_runs(&r->release) && !start_clock(r, &err)) ||
               !release_agreed(r, &err)) {
        job_end_for_memory(r->job);
    } else if (state == PAIR_AGREED) {
        complete(r);
    } else {
        let_go(r);
        required_recruit(r);
        give_credit(r);
    }
}
