#include "proof/comparison.h"
#include "proof/standings.h"

/* What those who are asked say, and what it means that they don't. */

enum {
    TEXT_MAX = COMPARISON_TOKENS_MAX * 1024,
    LOSSES_MAX = 5,
    RETRY_MS = 2000,
    EVASION_MS = 30000 /* what a worker loses in this time, it loses at once: a runtime that starts again */
};

static side *side_of(work *w) {
    return (side *)(void *)w; /* its first member */
}

static void describe(const work *w, proto_message *message) {
    const side *s = (const side *)(const void *)w;
    const comparison *c = s->comparison;
    proto_job *out = &message->job;
    out->messages = (const proto_chat *)(const void *)c->messages;
    out->message_count = c->message_count;
    out->temperature = 0;
    out->top_p = 1;
    out->max_tokens = comparison_tokens(c);
    out->stop_count = c->stop_count;
    memcpy(out->stop, c->stops, c->stop_count * sizeof c->stops[0]);
    out->seed = c->seed;
    out->deadline_ms = session_deadline(w->pool->settings.job_deadline_ms);
    memcpy(out->nonce, s->nonce, sizeof out->nonce);
    memcpy(out->salt, s->salt, sizeof out->salt);
}

static bool take_delta(work *w, const proto_delta *delta, error *err) {
    side *s = side_of(w);
    if (delta->token_count > comparison_tokens(s->comparison) - s->tokens ||
        delta->text.length > TEXT_MAX - buffer_length(&s->text)) {
        return error_set(err, ERROR_INVALID, "more than was asked for");
    }
    size_t before = buffer_length(&s->text);
    s->tokens += delta->token_count;
    if (!buffer_append(&s->text, delta->text)) {
        comparison_free(s->comparison); /* memory: nothing comes of it */
        return true;
    }
    agreement_logprobs_add(&s->logprobs, delta->logprobs, delta->logprob_count, delta->token_count, before,
                           buffer_length(&s->text));
    dispatch_job_consumed(s->handle, s->tokens, ev_now_ms(w->pool->loop)); /* may end it */
    return true;
}

static bool check_done(work *w, const fleet_worker *worker, const proto_done *done, signed_receipt *entry,
                       error *err) {
    (void)worker;
    side_of(w)->was_cut = done->finish == PROTO_LENGTH;
    *entry = (signed_receipt){0}; /* nobody will ever ask for it */
    return done->finish != PROTO_CANCELLED ||
           error_set(err, ERROR_INVALID, "the worker says that a job was cancelled which wasn't");
}

void comparison_note_logprobs(side *s, const fleet_worker *worker) {
    bool given = agreement_logprobs_given(&s->logprobs);
    if (worker->session != NULL && given) {
        session_note_logprobs(worker->session);
    }
    s->withholds = !given && worker->session != NULL && session_gives_logprobs(worker->session);
}

static void complete(work *w, const fleet_worker *worker, const signed_receipt *entry) {
    side *s = side_of(w);
    comparison *c = s->comparison;
    (void)entry;
    s->handle = NULL;
    s->is_known = true;
    comparison_note_logprobs(s, worker);
    if (s != &c->sides[CLAIMED]) {
        standings_move(c->all->proof, worker->id, STANDING_VERIFIED, 0);
    }
    if (s == &c->sides[THIRD]) {
        comparison_settle(c);
    } else if (c->sides[CLAIMED].is_known && c->sides[REPEATED].is_known) {
        comparison_judge(c);
    }
}

/* What doesn't fit the context that it says it has it can't answer. */
static void gave_up(work *w, const fleet_worker *worker, const proto_fail *fail) {
    side *s = side_of(w);
    uint64_t room = worker->session == NULL ? 0 : session_context(worker->session, w->model);
    s->unable = slice_equal_text(fail->code, PROTO_FAIL_INPUT) &&
                (uint64_t)s->comparison->prompt_tokens + comparison_tokens(s->comparison) > room;
}

static void note_evasion(const side *s) {
    statistical *all = s->comparison->all;
    const pool *p = s->work.pool;
    uint64_t now = ev_now_ms(p->loop);
    if (s->unable || p->draining || all->proof->stopping) {
        return;
    }
    for (size_t i = 0; i < EVASIONS_REMEMBERED; i++) {
        if (memcmp(all->evasions[i].worker_id, s->worker_id, sizeof s->worker_id) == 0 &&
            all->evasions[i].at_ms > 0 && now - all->evasions[i].at_ms < EVASION_MS) {
            return;
        }
    }
    size_t place = all->next_evasion++ % EVASIONS_REMEMBERED;
    memcpy(all->evasions[place].worker_id, s->worker_id, sizeof s->worker_id);
    all->evasions[place].at_ms = now;
    standings_move(all->proof, s->worker_id, STANDING_EVADED, 0);
}

static void failed(work *w, dispatch_failure reason) {
    side *s = side_of(w);
    comparison *c = s->comparison;
    (void)reason;
    s->handle = NULL;
    note_evasion(s);
    bool is_last = ++c->losses >= LOSSES_MAX || c->all->proof->stopping;
    if (s == &c->sides[CLAIMED] || (is_last && s == &c->sides[REPEATED])) {
        comparison_free(c);
    } else if (is_last) {
        comparison_settle(c);
    } else { /* somebody else may have time */
        buffer_wipe(&s->text);
        s->tokens = 0;
        s->logprobs = (agreement_logprobs){0};
        s->unable = false;
        comparison_wait(c, RETRY_MS);
    }
}

const work_kind comparison_kind = {.name = "comparison",
                                   .describe = describe,
                                   .delta = take_delta,
                                   .check_done = check_done,
                                   .complete = complete,
                                   .gave_up = gave_up,
                                   .failed = failed};
