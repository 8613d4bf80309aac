#include "hold/required_internal.h"

#include "answer.h"
#include "base/log.h"
#include "memory/keep.h"
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
    required_fail(
        r, 503, "not_enough_workers",
        proof_is_some_in_quarantine(r->job->work.pool, r->job->work.model)
            ? "two workers with different owners must answer this, and some are out of service until "
              "it is clear which of them gave a wrong answer; tell your admin"
            : "two workers with different owners must answer this, and no other one became free in "
              "time; ask again later");
}

bool required_waits(const required *r) {
    return pair_state_of(r->pair) == PAIR_WAITING && !release_runs(&r->release);
}

size_t required_frame_size(const required *r) {
    return r->release.streams && release_runs(&r->release) ? r->release.frames.size : 0;
}

static void follow(void *context);

/* Where nobody is, the dispatcher knows whether anybody will be: it isn't found, or waited for. */
required *required_start(job *j, error *err) {
    pool *p = j->work.pool;
    if (!partners_exist(p, j->work.model) &&
        dispatch_has_model(p->dispatch, j->work.model, DISPATCH_GENERATE)) {
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

void required_release(required *r) {
    if (r->pair != NULL && !r->completing) {
        required_leave_dispute(r);
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
    if (r->job->chat.stream) {
        job_end_stream(r->job, whole);
    } else {
        job_finish_whole(r->job);
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
    if (!j->head_sent && !job_send_head(j)) {
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
    if (!pair_release(r->pair, &text, err)) {
        return false;
    }
    if (!r->job->chat.stream || text.length == 0) {
        return true;
    }
    if (r->job->keep != NULL) {
        keep_saw(r->job->keep, text);
    }
    return frames_add_text(&r->release.frames, text, err);
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
        required_complete(r);
    } else {
        let_go(r);
        required_recruit(r);
        give_credit(r);
    }
}
