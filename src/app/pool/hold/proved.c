#include "hold/proved.h"

#include "answer.h"
#include "base/log.h"
#include "dispatch/job.h"
#include "hold/partners.h"
#include "hold/release.h"
#include "proof/await.h"
#include "proof/proof.h"
#include "receipts.h"

enum { TRIES_MAX = 3, EVENTS_LIMIT = 65536 };

struct proved {
    job *job;
    dispatch_id first_id; /* that the client knows the answer by */
    unsigned tries;
    bool alone; /* nobody who could check it was there when it was held */
    signed_receipt entry;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    proof_waiter waiter;
    proof_outcome outcome;
    ev_deferred found; /* what the check found */
    ev_timer deadline;
    receipt_storing *storing[2];
    size_t to_store;
    release release;
};

static void end_unproved(proved *h) {
    job_end_with_error(
        h->job, 503, "not_proved",
        "no other worker could say in time whether the answer is right, so it is not given out; "
        "ask again later");
}

static bool can_be_proved(const proved *h) {
    const job *j = h->job;
    return partners_can_prove(j->work.pool, j->work.model, h->worker_id, &h->entry.fields);
}

/* As a question waits for a worker: for one that comes back soon, not for the whole time of an answer. */
static void wait_for_check(proved *h) {
    pool *p = h->job->work.pool;
    uint64_t left = job_time_left(h->job);
    h->alone = left > p->settings.model_grace_ms && !can_be_proved(h);
    ev_timer_start(p->loop, &h->deadline, h->alone ? p->settings.model_grace_ms : left);
}

static void out_of_time(void *context) {
    proved *h = context;
    if (h->alone && can_be_proved(h)) {
        h->alone = false;
        ev_timer_start(h->job->work.pool->loop, &h->deadline, job_time_left(h->job));
    } else if (h->alone) {
        job_end_with_error(
            h->job, 503, "not_proved",
            "this answer is not given out: no worker of another owner, nor a referee, that could "
            "prove it with the same model file is connected; ask again when there is one");
    } else {
        end_unproved(h);
    }
}

static void look(void *context);

proved *proved_start(job *j, error *err) {
    proved *h = arena_allocate(http_request_arena(j->request), sizeof *h);
    if (h == NULL) {
        error_memory(err);
        return NULL;
    }
    h->job = j;
    h->first_id = j->work.id;
    proof_waiter_init(&h->waiter);
    ev_deferred_init(&h->found, look, h);
    ev_timer_init(&h->deadline, out_of_time, h);
    release_init(&h->release);
    return h;
}

void proved_release(proved *h) {
    proof_forget(&h->waiter);
    ev_defer_cancel(&h->found);
    ev_timer_stop(&h->deadline);
    release_stop(&h->release);
    for (size_t i = 0; i < sizeof h->storing / sizeof h->storing[0]; i++) {
        if (h->storing[i] != NULL) {
            receipts_forget(h->storing[i]);
            h->storing[i] = NULL;
        }
    }
}

static void told(void *context, proof_outcome outcome) {
    proved *h = context;
    h->outcome = outcome;
    ev_defer(h->job->work.pool->loop, &h->found);
}

void proved_hold(proved *h, const fleet_worker *worker, const signed_receipt *entry) {
    job *j = h->job;
    pool *p = j->work.pool;
    error err = {0};
    if (entry == NULL) {
        job_end_for_memory(j);
        return;
    }
    if (!proof_can_check(&entry->fields)) {
        job_end_with_error(
            j, 503, "not_provable",
            "no other worker can compute this answer again to the bit, so it is not given out: "
            "only answers of exact models can be proved");
        return;
    }
    h->entry = *entry;
    memcpy(h->worker_id, worker->id, sizeof h->worker_id);
    proof_await(p, &h->waiter, j->work.id.bytes, told, h);
    if (!proof_answer_done(p, j, worker, entry, &err)) {
        if (err.code == ERROR_LIMIT) {
            job_end_with_error(
                j, 503, "checks_full",
                "too many answers wait to be checked, so this one is not given out; ask again later");
        } else {
            job_end_for_memory(j);
        }
        return;
    }
    wait_for_check(h);
}

static void ticked(void *context) {
    (void)context;
}

static void left(void *context, bool whole) {
    job_end_stream(((proved *)context)->job, whole);
}

static bool fill_frames(proved *h, error *err) {
    job *j = h->job;
    frames *f = &h->release.frames;
    buffer role = buffer_make(EVENTS_LIMIT);
    buffer end = buffer_make(EVENTS_LIMIT);
    answer_write_role(j->chunk_prefix, &role);
    answer_write_end(j, j->chunk_prefix, &h->entry.fields, &end);
    bool filled = (!buffer_failed(&role) && !buffer_failed(&end)) || error_memory(err);
    filled = filled && frames_add_events(f, buffer_slice(&role), true, err) &&
             frames_add_text(f, buffer_slice(&j->text), err) &&
             frames_add_events(f, buffer_slice(&end), false, err);
    buffer_free(&role);
    buffer_free(&end);
    return filled;
}

/* As fast as the client takes it: there is nothing to be read from the times any more. */
static void send_stream(proved *h) {
    job *j = h->job;
    error err = {0};
    ev_timer_stop(&j->queue_timer);
    j->chunk_prefix = answer_chunk_prefix(j);
    if (j->chunk_prefix.length == 0 || (!j->head_sent && !job_send_head(j))) {
        job_end_for_memory(j);
        return;
    }
    release_start(&h->release, j->work.pool->loop, j->request, true, j->chunk_prefix, ticked, left, h);
    h->release.bursts = true;
    release_finish(&h->release);
    if (!fill_frames(h, &err)) {
        job_end_for_memory(j);
    }
}

static void send_whole(proved *h) {
    job *j = h->job;
    j->end = buffer_make(SIZE_MAX);
    answer_write_whole(j, &h->entry.fields, &j->end);
    if (buffer_failed(&j->end)) {
        job_end_for_memory(j);
    } else {
        job_finish_whole(j);
    }
}

static void one_stored(proved *h, size_t which, const error *failure) {
    error err = {0};
    h->storing[which] = NULL;
    if (failure != NULL) {
        job_end_unstored(h->job, failure);
        return;
    }
    if (--h->to_store > 0) {
        return;
    }
    if (!job_is_kept(h->job, &err)) {
        job_end_not_kept(h->job, &err);
        return;
    }
    h->job->work.pool->counters.answers++;
    if (h->job->chat.stream) {
        send_stream(h);
    } else {
        send_whole(h);
    }
}

static void first_stored(void *context, const error *failure) {
    one_stored(context, 0, failure);
}

static void second_stored(void *context, const error *failure) {
    one_stored(context, 1, failure);
}

/* Under the id that the worker signed, and under the one that the client knows. */
static void store_receipts(proved *h) {
    job *j = h->job;
    error err = {0};
    receipt_keeping keeping = {.user_id = j->user_id,
                               .job_id = h->entry.fields.job_id,
                               .worker_id = h->worker_id,
                               .entry = &h->entry,
                               .stored = first_stored,
                               .context = h};
    bool renamed = memcmp(h->first_id.bytes, h->entry.fields.job_id, sizeof h->first_id.bytes) != 0;
    if (!job_keep_answer(j, buffer_slice(&j->text), h->entry.fields.finish, &err)) {
        job_end_not_kept(j, &err);
        return;
    }
    h->to_store = renamed ? 2 : 1;
    h->storing[0] = receipts_keep(j->work.pool, &keeping, &err);
    if (h->storing[0] != NULL && renamed) {
        keeping.job_id = h->first_id.bytes;
        keeping.stored = second_stored;
        h->storing[1] = receipts_keep(j->work.pool, &keeping, &err);
    }
    if (h->storing[0] == NULL || (renamed && h->storing[1] == NULL)) {
        job_end_unstored(j, &err);
    }
}

/* Its worker is shut out by now: somebody else answers, as if nothing had been. */
static void again(proved *h) {
    job *j = h->job;
    error err = {0};
    log_warning("a wrong answer was held back and is computed again", LOG_TEXT("job", j->work.id_hex));
    if (++h->tries == TRIES_MAX || !job_draw_id(&j->work.id, &err) || !job_submit_again(j, &err)) {
        end_unproved(h);
    }
}

static void look(void *context) {
    proved *h = context;
    ev_timer_stop(&h->deadline);
    switch (h->outcome) {
    case PROOF_HOLDS:
        store_receipts(h);
        return;
    case PROOF_WRONG:
        again(h);
        return;
    case PROOF_UNKNOWN:
        end_unproved(h);
        return;
    }
}
