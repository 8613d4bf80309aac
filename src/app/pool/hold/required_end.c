#include "answer.h"
#include "base/log.h"
#include "hold/required_internal.h"
#include "proof/proof.h"

/* What comes of an answer that two workers agreed on, and of whoever said otherwise. */

enum { TEXT_LIMIT = 16 * 1024 * 1024, EVENTS_LIMIT = 65536 };

static bool is_right(const required *r, size_t side) {
    return pair_standing_of(r->pair, side) == PAIR_MEMBER;
}

typedef bool deciding(pool *p, const job *j, const fleet_worker *worker, const signed_receipt *entry,
                      error *err);

/* What a side has signed, as if it were all there is of this answer. */
static bool decide(required *r, size_t side, deciding *by, error *err) {
    job *j = r->job;
    size_t count = 0;
    const uint32_t *tokens = pair_tokens(r->pair, side, &count);
    buffer_append(&j->text, pair_text(r->pair, side));
    buffer_append(&j->tokens, slice_of(tokens, count * sizeof *tokens));
    j->token_count = count;
    bool said = (!buffer_failed(&j->text) && !buffer_failed(&j->tokens)) || error_memory(err);
    bool decided = said && by(j->work.pool, j, r->speakers[side]->worker, &r->entries[side], err);
    buffer_clear(&j->text);
    buffer_clear(&j->tokens);
    return decided;
}

/* What a worker has signed goes the way of any answer that must be checked. One that never finished has
 * signed nothing. */
static void have_checked(required *r, size_t side) {
    error err = {0};
    if (pair_has_ended(r->pair, side) && !decide(r, side, proof_answer_done, &err)) {
        log_error("an answer in dispute could not be put down to be checked", LOG_CAUSE(&err));
    }
}

/* Whoever checks it differs, and the worker is convicted by their word, not by that of the two here alone. */
static void accuse(required *r, size_t side) {
    pair_difference found = pair_latest_difference(r->pair);
    const fleet_worker *worker = r->speakers[side]->worker;
    bool has_signed = pair_has_ended(r->pair, side);
    log_warning("a worker is contradicted by two others", LOG_TEXT("job", r->job->work.id_hex),
                LOG_TEXT("worker", worker->id_hex), LOG_TEXT("about", pair_aspect_name(found.aspect)),
                LOG_U64(found.aspect == PAIR_TEXT ? "byte" : "token", found.position + 1),
                LOG_U64("signed", has_signed));
    if (has_signed) {
        have_checked(r, side);
    } else {
        proof_evaded(r->job->work.pool, worker);
    }
}

void required_leave_dispute(required *r) {
    pair_state state = pair_state_of(r->pair);
    bool disputed = state == PAIR_DIFFERENT || state == PAIR_JUDGING || state == PAIR_FAILED;
    for (size_t i = 0; disputed && !r->job->work.pool->draining && i < PAIR_SIDES; i++) {
        have_checked(r, i);
    }
}

static void stored(void *context, const error *failure);

/* The client's receipt is the one with the job's id, if its worker is right, else any that is. */
static size_t right_side(const required *r, size_t not_this) {
    const uint8_t *job_id = r->job->work.id.bytes;
    size_t found = PAIR_SIDES;
    for (size_t i = 0; i < PAIR_SIDES; i++) {
        if (i != not_this && is_right(r, i)) {
            bool is_jobs = memcmp(r->entries[i].fields.job_id, job_id, RECEIPT_JOB_SIZE) == 0;
            found = is_jobs || found == PAIR_SIDES ? i : found;
        }
    }
    return found;
}

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
    const signed_receipt *clients = &r->entries[right_side(r, PAIR_SIDES)];
    for (size_t i = 0; i < PAIR_SIDES; i++) {
        if (is_right(r, i)) {
            const signed_receipt *entry = &r->entries[i];
            if (!keep(r, entry, entry->fields.job_id, err)) {
                return false;
            }
        }
    }
    return memcmp(clients->fields.job_id, job_id, sizeof clients->fields.job_id) == 0 ||
           keep(r, clients, job_id, err);
}

/* In the store before the receipts are, as with any answer. */
static bool judge_all(required *r, error *err) {
    bool decided = true;
    for (size_t i = 0; i < PAIR_SIDES; i++) {
        if (pair_standing_of(r->pair, i) == PAIR_CONTRADICTED) {
            accuse(r, i);
        } else if (is_right(r, i)) {
            decided = decided && decide(r, i, proof_two_agreed, err);
        }
    }
    return decided;
}

static bool put_down_pair(required *r, error *err) {
    size_t mine = right_side(r, PAIR_SIDES);
    size_t other = right_side(r, mine);
    if (mine == PAIR_SIDES || other == PAIR_SIDES) {
        return error_set(err, ERROR_INVALID, "an answer that two didn't agree on");
    }
    bool weak = !partners_are_independent(r->speakers[mine]->worker, r->speakers[other]->worker);
    return proof_pair_agreed(r->job->work.pool, r->job, &r->entries[mine], &r->entries[other], weak, err);
}

/* Agreed: nobody is needed any more. The answer is complete when its receipts are stored. */
void required_complete(required *r) {
    error err = {0};
    r->completing = true;
    for (size_t i = 0; i < r->part_count; i++) {
        if (!r->parts[i].over) {
            part_cancel(&r->parts[i]);
        }
    }
    size_t side = right_side(r, PAIR_SIDES);
    if (!put_down_pair(r, &err) || !judge_all(r, &err)) {
        job_end_unstored(r->job, &err);
    } else if (!job_keep_answer(r->job, pair_text(r->pair, side), r->entries[side].fields.finish, &err)) {
        job_end_not_kept(r->job, &err);
    } else if (!keep_receipts(r, &err)) {
        job_end_unstored(r->job, &err);
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
        job_end_unstored(r->job, failure);
        return;
    }
    if (--r->storing > 0) {
        return;
    }
    if (!job_is_kept(r->job, &err)) {
        job_end_not_kept(r->job, &err);
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
