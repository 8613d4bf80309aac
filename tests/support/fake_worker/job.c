#include "fake.h"

#include "base/memory.h"
#include "os/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum {
    MILLION = 1000000,
    CHECKED_FIRST = 20 /* receipts of a session that the pool verifies however many there are */
};

typedef struct fake_job {
    list_node node; /* in fake_session.jobs */
    fake_session *session;
    fake_identity identity; /* who it was when it got the job */
    uint8_t id[PROTO_ID_SIZE];
    uint8_t salt[PROTO_SALT_SIZE];
    uint8_t nonce[PROTO_NONCE_SIZE];
    bool cheats;   /* on this one, if the behaviour is of that kind */
    bool is_check; /* of another worker's answer: `scored` is all that is sent */
    proto_scored scored;
    receipt receipt;
    char *text;
    size_t text_length;
    uint32_t *tokens;
    uint32_t total; /* tokens of the answer */
    uint32_t sent;
    uint64_t credit; /* given in all */
    uint64_t seq;
    uint64_t start_ms; /* ev_now_ms */
    bool silent;       /* never-answer and its like */
    ev_timer timer;
} fake_job;

static fake_job *find(fake_session *s, const uint8_t id[PROTO_ID_SIZE]) {
    for (list_node *node = s->jobs.next; node != &s->jobs; node = node->next) {
        fake_job *j = LIST_ENTRY(node, fake_job, node);
        if (memcmp(j->id, id, PROTO_ID_SIZE) == 0) {
            return j;
        }
    }
    return NULL;
}

static void job_free(fake_job *j) {
    ev_timer_stop(&j->timer);
    list_remove(&j->node);
    j->session->job_count--;
    memory_free(j->text);
    memory_free(j->tokens);
    memory_free(j);
}

/* The bytes of text before token `count`. */
static size_t text_until(const fake_job *j, uint32_t count) {
    return j->total == 0 ? 0 : (size_t)((uint64_t)j->text_length * count / j->total);
}

/* For measuring: the text says when it was sent, "@" and 16 digits of nanoseconds of the monotonic clock. */
static void write_time(char *text, size_t length) {
    char stamp[32];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int written = snprintf(stamp, sizeof stamp, "@%016" PRIu64,
                           (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec);
    memcpy(text, stamp, length < (size_t)written ? length : (size_t)written);
}

static void send_delta(fake_job *j, uint32_t count) {
    size_t from = text_until(j, j->sent);
    if (j->session->owner->options.timestamps) {
        write_time(j->text + from, text_until(j, j->sent + count) - from);
    }
    proto_message delta = {.type = PROTO_DELTA,
                           .delta = {.seq = j->seq,
                                     .text = slice_of(j->text + from, text_until(j, j->sent + count) - from),
                                     .tokens = j->tokens + j->sent,
                                     .token_count = count}};
    memcpy(delta.delta.id, j->id, sizeof delta.delta.id);
    j->seq += j->session->owner->options.behave == SEQ_GAP ? 2 : 1;
    j->sent += count;
    fake_send(j->session, &delta);
}

static bool sign_receipt(fake_job *j, proto_done *done, error *err) {
    receipt *r = &j->receipt;
    uint8_t text_hash[HASH_SIZE];
    buffer bytes = buffer_make(RECEIPT_ENCODED_LIMIT);
    r->finished_ms = clock_unix_ms();
    r->completion_tokens = j->total;
    bool made =
        receipt_hash_tokens(j->tokens, j->total, r->token_hash, err) &&
        receipt_hash_answer(j->salt, slice_of(j->text, j->text_length), r->answer_hash, err) &&
        fake_commit(j->session->owner, j->nonce, j->cheats, j->tokens, j->total, done->commitment, err) &&
        hash_sha256(slice_of(j->text, j->text_length), text_hash, err) &&
        receipt_commit(done->commitment, text_hash, r->prompt_tokens, r->finish == RECEIPT_FINISH_STOP,
                       r->commitment, err) &&
        receipt_encode(r, &bytes, err) && fake_sign(&j->identity, buffer_slice(&bytes), done->signature, err);
    buffer_free(&bytes);
    return made;
}

static void send_done(fake_job *j) {
    fake_session *s = j->session;
    behaviour behave = s->owner->options.behave;
    receipt *r = &j->receipt;
    error err = {0};
    if (behave == PROMPT_TOKEN_LIE) {
        r->prompt_tokens = MILLION;
    }
    if (behave == CUT_SHORT) {
        r->prompt_tokens = (uint32_t)s->owner->options.context - j->total;
    }
    r->prompt_tokens += behave == OTHER_PROMPT && j->cheats ? 1 : 0;
    r->finish = behave == OTHER_FINISH && j->cheats ? RECEIPT_FINISH_STOP : r->finish;
    r->finish = behave == FALSE_CANCELLED ? RECEIPT_FINISH_CANCELLED : r->finish;
    proto_message message = {.type = PROTO_DONE};
    proto_done *done = &message.done;
    if (!sign_receipt(j, done, &err)) {
        fake_report(s, "not_signed", j->id, NULL, 0, slice_of_text(err.text));
        websocket_abort(s->socket);
        return;
    }
    memcpy(done->id, j->id, sizeof done->id);
    done->finish = r->finish == RECEIPT_FINISH_LENGTH      ? PROTO_LENGTH
                   : r->finish == RECEIPT_FINISH_CANCELLED ? PROTO_CANCELLED
                                                           : PROTO_STOP;
    done->prompt_tokens = r->prompt_tokens;
    done->completion_tokens = r->completion_tokens + (behave == WRONG_TOKEN_COUNT ? 7 : 0);
    done->started_ms = r->started_ms;
    done->finished_ms = r->finished_ms;
    if (behave == FORGED_RECEIPT || (behave == FORGES_LATER && s->owner->jobs_done >= CHECKED_FIRST)) {
        done->signature[10] ^= 1;
    }
    fake_report(s, "done", j->id, "tokens", j->total, (slice){0});
    s->owner->jobs_done++;
    fake_send(s, &message);
    job_free(j);
}

/* What may go out now, by the clock and the credit. */
static uint32_t sendable(const fake_job *j) {
    const fake_options *o = &j->session->owner->options;
    uint64_t now = ev_now_ms(j->session->owner->loop);
    uint64_t due = j->total;
    if (now < j->start_ms || j->silent) {
        return 0;
    }
    if (o->events_per_second > 0) {
        due = 1 + (now - j->start_ms) * o->events_per_second / 1000;
    }
    if (o->behave == ANSWER_THEN_HANG || o->behave == ANSWER_THEN_CUT) {
        due = due < j->total / 2 ? due : j->total / 2;
    }
    uint64_t allowed = o->behave == OVER_CREDIT ? j->total : j->credit;
    due = due < allowed ? due : allowed;
    due = due < j->total ? due : j->total;
    return due > j->sent ? (uint32_t)due - j->sent : 0;
}

static void refuse(fake_job *j, const char *code) {
    fake_session *s = j->session;
    proto_message fail = {.type = PROTO_FAIL, .fail = {.code = slice_of_text(code)}};
    memcpy(fail.fail.id, j->id, sizeof fail.fail.id);
    job_free(j);
    fake_send(s, &fail);
}

/* A check goes out in one piece, or not at all. */
static void send_scored(fake_job *j) {
    fake_session *s = j->session;
    check_behaviour checks = j->cheats ? s->owner->options.checks : CHECK_HONEST;
    proto_message message = {.type = PROTO_SCORED, .scored = j->scored};
    if (checks == CHECK_LEAVE) {
        websocket_abort(s->socket);
    } else if (checks == CHECK_REFUSE) {
        refuse(j, PROTO_OTHER);
    } else if (checks != CHECK_NEVER) {
        fake_report(s, "scored", j->id, "agreed", j->scored.agreed, (slice){0});
        job_free(j);
        fake_send(s, &message);
    }
}

static void job_go_on(void *context) {
    fake_job *j = context;
    fake_session *s = j->session;
    if (j->is_check) {
        send_scored(j);
        return;
    }
    const fake_options *o = &s->owner->options;
    if (o->behave == REFUSES_INPUT && j->cheats) {
        refuse(j, PROTO_FAIL_INPUT);
        return;
    }
    uint32_t most = o->events_per_second > 0 ? 1 : PROTO_TOKENS_MAX;
    for (uint32_t count = sendable(j); count > 0 && s->state != PROTO_CLOSED; count = sendable(j)) {
        send_delta(j, count < most ? count : most);
    }
    if (o->behave == ANSWER_THEN_CUT && j->sent == j->total / 2) {
        websocket_abort(s->socket);
    } else if (j->sent == j->total && !j->silent && ev_now_ms(s->owner->loop) >= j->start_ms &&
               s->state != PROTO_CLOSED) {
        send_done(j);
    } else if (o->events_per_second > 0 && !j->silent && !ev_timer_is_running(&j->timer)) {
        uint64_t interval = 1000 / o->events_per_second;
        ev_timer_start_repeating(s->owner->loop, &j->timer, interval > 0 ? interval : 1);
    }
}

static void send_foreign_delta(fake_session *s, const uint8_t id[PROTO_ID_SIZE], uint8_t change) {
    static const uint32_t token = 1;
    proto_message delta = {
        .type = PROTO_DELTA,
        .delta = {.text = SLICE_LITERAL("an answer nobody asked for"), .tokens = &token, .token_count = 1}};
    memcpy(delta.delta.id, id, sizeof delta.delta.id);
    delta.delta.id[0] ^= change;
    fake_send(s, &delta);
}

static void send_huge(fake_session *s) {
    size_t length = PROTO_MESSAGE_MAX + 1;
    char *text = memory_allocate(length);
    if (text != NULL) {
        memset(text, ' ', length);
        (void)!websocket_send_text(s->socket, slice_of(text, length));
        memory_free(text);
    }
}

/* What the behaviour does when a job comes. */
static void misbehave(fake_session *s, const uint8_t id[PROTO_ID_SIZE]) {
    switch (s->owner->options.behave) {
    case FOREIGN_JOB:
        send_foreign_delta(s, id, 1);
        return;
    case STOLEN_JOB:
        if (s->number != 0) {
            send_foreign_delta(&s->owner->sessions[0], id, 0);
        }
        return;
    case BINARY_MESSAGE:
        (void)!websocket_send_binary(s->socket, SLICE_LITERAL("\x01\x02"));
        return;
    case GARBAGE:
        (void)!websocket_send_text(s->socket, SLICE_LITERAL("{\"type\":\"delta\",,}"));
        return;
    case POOL_MESSAGE:
        (void)!websocket_send_text(s->socket, SLICE_LITERAL("{\"type\":\"drain\"}"));
        return;
    case HUGE_MESSAGE:
        send_huge(s);
        return;
    case DOUBLE_HELLO:
        fake_send_hello(s);
        return;
    default:
        return;
    }
}

static bool fill_receipt(fake_job *j, const proto_job *wanted, error *err) {
    const fake *f = j->session->owner;
    receipt *r = &j->receipt;
    *r = (receipt){.version = RECEIPT_VERSION,
                   .temperature = wanted->temperature,
                   .top_p = wanted->top_p,
                   .max_tokens = wanted->max_tokens,
                   .seed = wanted->seed,
                   .prompt_tokens = fake_prompt_tokens(wanted),
                   .finish = fake_stops(f, j->total) ? RECEIPT_FINISH_STOP : RECEIPT_FINISH_LENGTH,
                   .started_ms = clock_unix_ms()};
    memcpy(r->pool_id, f->home.pool_id, sizeof r->pool_id);
    memcpy(r->job_id, wanted->id, sizeof r->job_id);
    memcpy(r->worker_id, j->identity.worker_id, sizeof r->worker_id);
    memcpy(r->model_digest, f->digest, sizeof r->model_digest);
    snprintf(r->engine_profile, sizeof r->engine_profile, "%s", f->options.profile);
    return receipt_hash_prompt(wanted->salt, (const receipt_message *)(const void *)wanted->messages,
                               wanted->message_count, r->prompt_hash, err) &&
           receipt_hash_stop(wanted->stop, wanted->stop_count, r->stop_hash, err);
}

static fake_job *job_new(fake_session *s, const proto_job *wanted) {
    const fake_options *o = &s->owner->options;
    fake_job *j = memory_allocate_zeroed(1, sizeof *j);
    if (j == NULL) {
        return NULL;
    }
    j->session = s;
    j->identity = *s->identity;
    memcpy(j->id, wanted->id, sizeof j->id);
    memcpy(j->salt, wanted->salt, sizeof j->salt);
    memcpy(j->nonce, wanted->nonce, sizeof j->nonce);
    j->cheats = fake_cheats(s->owner, j->id);
    j->credit = wanted->credit;
    j->start_ms = ev_now_ms(s->owner->loop) + o->delay_ms;
    j->silent = o->behave == NEVER_ANSWER || o->behave == NEVER_CANCEL;
    ev_timer_init(&j->timer, job_go_on, j);
    list_append(&s->jobs, &j->node);
    s->job_count++;
    return j;
}

static bool make_answer(fake_job *j, const proto_job *wanted, error *err) {
    const fake *f = j->session->owner;
    j->total =
        f->options.behave == OVER_MAX_TOKENS ? (uint32_t)f->options.tokens : fake_answer_tokens(f, wanted);
    j->total /= f->options.behave == CUT_SHORT ? 2 : 1;
    j->total = f->options.behave == NOTHING ? 0 : j->total;
    j->text_length = fake_text_length(f, j->total);
    j->text = memory_allocate(j->text_length + 1);
    j->tokens = memory_allocate_zeroed((size_t)j->total + 1, sizeof *j->tokens);
    if (j->text == NULL || j->tokens == NULL) {
        return error_memory(err);
    }
    fake_answer(f, wanted, j->cheats, (fake_words){j->text, j->text_length, j->tokens, j->total});
    bool made = fill_receipt(j, wanted, err);
    j->total = f->options.behave == NO_TOKENS ? 0 : j->total;
    return made;
}

/* What no token stands for can't be computed again. */
static void send_text_alone(fake_job *j) {
    proto_message delta = {.type = PROTO_DELTA,
                           .delta = {.seq = j->seq++, .text = slice_of(j->text, j->text_length)}};
    memcpy(delta.delta.id, j->id, sizeof delta.delta.id);
    fake_send(j->session, &delta);
}

/* Vectors come at once, or never. */
static void start_embedding(fake_session *s, const proto_job *wanted) {
    fake_report(s, "embed", wanted->id, "texts", wanted->text_count, (slice){0});
    behaviour behave = s->owner->options.behave;
    if (behave != NEVER_ANSWER && behave != NEVER_CANCEL) {
        fake_embed(s, wanted);
    } else if (job_new(s, wanted) == NULL) {
        websocket_abort(s->socket);
    }
}

void fake_job_start(fake_session *s, const proto_job *wanted) {
    error err = {0};
    if (wanted->kind == PROTO_EMBED) {
        start_embedding(s, wanted);
        return;
    }
    bool is_check = wanted->kind == PROTO_SCORE;
    if (is_check) {
        fake_report(s, "score", wanted->id, "tokens", wanted->answer_count, (slice){0});
    } else {
        fake_report(s, "job", wanted->id, "credit", wanted->credit, (slice){0});
    }
    fake_job *j = job_new(s, wanted);
    if (j == NULL ||
        !(is_check ? fake_check(s, wanted, j->cheats, &j->scored, &err) : make_answer(j, wanted, &err))) {
        websocket_abort(s->socket);
        return;
    }
    j->is_check = is_check;
    if (!is_check) {
        misbehave(s, wanted->id);
    }
    if (!is_check && s->owner->options.behave == NO_TOKENS) {
        send_text_alone(j);
    }
    if (s->owner->options.delay_ms > 0) {
        ev_timer_start(s->owner->loop, &j->timer, s->owner->options.delay_ms);
    } else {
        job_go_on(j);
    }
}

void fake_job_cancel(fake_session *s, const uint8_t id[PROTO_ID_SIZE]) {
    fake_job *j = find(s, id);
    fake_report(s, "cancel", id, "sent_tokens", j == NULL ? 0 : j->sent, (slice){0});
    if (j == NULL || s->owner->options.behave == NEVER_CANCEL) {
        return;
    }
    proto_message fail = {.type = PROTO_FAIL,
                          .fail = {.code = SLICE_LITERAL(PROTO_FAIL_CANCELLED), .retryable = true}};
    memcpy(fail.fail.id, id, PROTO_ID_SIZE);
    job_free(j);
    fake_send(s, &fail);
}

void fake_job_credit(fake_session *s, const proto_credit *credit) {
    fake_job *j = find(s, credit->id);
    if (j != NULL) {
        fake_report(s, "credit", credit->id, "tokens", credit->tokens, (slice){0});
        j->credit += credit->tokens;
        job_go_on(j);
    }
}

void fake_job_drop_all(fake_session *s) {
    while (!list_is_empty(&s->jobs)) {
        job_free(LIST_ENTRY(list_first(&s->jobs), fake_job, node));
    }
}
