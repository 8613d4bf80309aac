#include "job.h"

#include "answer.h"
#include "base/log.h"
#include "crypto/hash.h"
#include "dispatch/job.h"
#include "hold/frames.h"
#include "hold/proved.h"
#include "hold/required.h"
#include "os/clock.h"
#include "os/random.h"
#include "proof/proof.h"
#include "receipts.h"
#include "reply.h"
#include "session.h"

#include <stdio.h>

enum {
    TEXT_LIMIT = 16 * 1024 * 1024,
    EVENT_LIMIT = 4 * 1024 * 1024,
    TEXT_PER_TOKEN = 1024, /* more bytes than any vocabulary's longest token */
    BEHIND_BYTES = 16384,  /* queued for the client: from here on it counts as behind */
    FIRST_NEWS_MS = 1000,
    NEWS_MS = 10000,
    STALL_CHECK_MS = 20
};

static const http_header stream_headers_template[] = {
    {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("text/event-stream")},
    {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-cache")},
};

/* The kind's functions come at the end. */
static const work_kind job_kind;

static job *job_of(work *w) {
    return (job *)(void *)w; /* its first member */
}

/* Whatever ends the job: afterwards the request may be answered, and nothing points at the job any more. */
void job_release(job *j) {
    if (j->handle != NULL) {
        dispatch_job *handle = j->handle;
        j->handle = NULL;
        dispatch_job_cancel(handle, ev_now_ms(j->work.pool->loop));
        pool_arm_dispatch(j->work.pool);
    }
    if (j->required != NULL) {
        required_release(j->required);
        j->required = NULL;
    }
    if (j->proved != NULL) {
        proved_release(j->proved);
        j->proved = NULL;
    }
    if (j->storing != NULL) {
        receipts_forget(j->storing);
        j->storing = NULL;
    }
    ev_timer_stop(&j->queue_timer);
    list_remove(&j->node);
    list_remove(&j->stalled_node);
    buffer_wipe(&j->text);
    buffer_wipe(&j->end);
    buffer_free(&j->tokens);
}

static void client_left(void *context) {
    job *j = context;
    j->work.pool->counters.clients_left++;
    job_release(j);
}

bool job_send_head(job *j) {
    char notice[PROOF_NOTICE_SIZE];
    bool noticed = proof_take_notice(j->work.pool, j->user_id, notice);
    http_header headers[] = {
        stream_headers_template[0],
        stream_headers_template[1],
        {SLICE_LITERAL("X-Cellule-Job"), slice_of_text(j->work.id_hex)},
        {SLICE_LITERAL("X-Cellule-Notice"), noticed ? slice_of_text(notice) : (slice){0}}};
    j->head_sent = true;
    return http_stream_begin(j->request, 200, headers, noticed ? 4 : 3);
}

/* Fails when the client can't take it: then the connection is being cut and client_left follows. */
static bool send_events(job *j, buffer *events) {
    bool sent = !buffer_failed(events) && http_stream_write(j->request, buffer_slice(events));
    buffer_free(events);
    return sent;
}

void job_end_with_error(job *j, unsigned status, const char *code, const char *message) {
    http_request *request = j->request;
    bool head_sent = j->head_sent;
    size_t frame = j->required == NULL ? 0 : required_frame_size(j->required);
    j->work.pool->counters.answer_failures++;
    log_warning("answer failed", LOG_TEXT("job", j->work.id_hex), LOG_TEXT("code", code));
    job_release(j);
    if (!head_sent) {
        reply_error(request, status, NULL, code, "%s", message);
        return;
    }
    buffer events = buffer_make(EVENT_LIMIT);
    answer_write_failure(status, code, message, &events);
    if (frame > 0) {
        frames_pad_events(&events, frame);
    }
    if (buffer_failed(&events) || !http_stream_write(request, buffer_slice(&events))) {
        http_stream_abort(request);
    } else {
        http_stream_end(request);
    }
    buffer_free(&events);
}

void job_end_for_memory(job *j) {
    if (http_request_is_cut(j->request)) {
        return;
    }
    job_end_with_error(j, 503, "memory", "the pool is out of memory; ask again");
}

static void tell_queue_position(void *context) {
    job *j = context;
    size_t position = j->handle == NULL ? 0 : dispatch_job_position(j->handle);
    if (position == 0 && !j->hold) {
        return;
    }
    if (!j->head_sent && !job_send_head(j)) {
        return;
    }
    buffer events = buffer_make(EVENT_LIMIT);
    if (position > 0) {
        buffer_append_format(&events, ": queued %zu\n\n", position);
    } else {
        buffer_append_text(&events, ": held back until it is proved\n\n");
    }
    if (send_events(j, &events)) {
        ev_timer_start(j->work.pool->loop, &j->queue_timer, NEWS_MS);
    }
}

/* As UUIDv7 has it (RFC 9562 §5.7): 48 bits of time before the random ones, so that receipts come to stand in
 * the database's index in the order in which they are written, and not each on a page of its own. */
static void put_time(dispatch_id *id, uint64_t unix_ms) {
    for (size_t i = 0; i < 6; i++) {
        id->bytes[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    }
}

bool job_draw_id(dispatch_id *id, error *err) {
    if (!random_bytes(id, sizeof *id, err)) {
        return false;
    }
    put_time(id, clock_unix_ms());
    return true;
}

static job *job_make(pool *p, http_request *request, const account *who, const chat_request *chat,
                     verify_mode mode) {
    job *j = arena_allocate(http_request_arena(request), sizeof *j);
    error err;
    struct {
        dispatch_id id;
        uint8_t salt[sizeof j->salt];
        uint64_t seed;
        uint64_t check;
    } drawn;
    uint8_t nonce[sizeof j->nonce];
    if (j == NULL || !random_bytes(&drawn, sizeof drawn, &err) || !receipt_nonce(drawn.salt, nonce, &err)) {
        return NULL;
    }
    *j = (job){.work = {.kind = &job_kind, .pool = p, .id = drawn.id, .model = chat->model},
               .request = request,
               .user_id = who->user_id,
               .key_id = who->key_id,
               .chat = *chat,
               .mode = mode,
               .hold = mode == VERIFY_PROVED,
               .seed = chat->has_seed ? chat->seed : drawn.seed,
               .check_draw = (uint8_t)drawn.check,
               .created_ms = clock_unix_ms(),
               .submitted_ms = ev_now_ms(p->loop),
               .text = buffer_make(TEXT_LIMIT),
               .tokens = buffer_make(TEXT_LIMIT)};
    put_time(&j->work.id, j->created_ms);
    memcpy(j->nonce, nonce, sizeof j->nonce);
    memcpy(j->salt, drawn.salt, sizeof j->salt);
    hex_encode(slice_of(j->work.id.bytes, sizeof j->work.id.bytes), j->work.id_hex);
    list_init(&j->node);
    list_init(&j->stalled_node);
    ev_timer_init(&j->queue_timer, tell_queue_position, j);
    return j;
}

void job_describe_question(const job *j, proto_message *message) {
    proto_job *out = &message->job;
    out->messages = (const proto_chat *)(const void *)j->chat.messages;
    out->message_count = j->chat.message_count;
    out->temperature = j->chat.temperature;
    out->top_p = j->chat.top_p;
    out->max_tokens = j->chat.max_tokens;
    out->stop_count = j->chat.stop_count;
    out->seed = j->seed;
    out->deadline_ms = session_deadline(j->work.pool->settings.job_deadline_ms);
    memcpy(out->stop, j->chat.stops, sizeof j->chat.stops);
    memcpy(out->nonce, j->nonce, sizeof out->nonce);
    memcpy(out->salt, j->salt, sizeof out->salt);
}

static void job_describe(const work *w, proto_message *message) {
    job_describe_question((const job *)(const void *)w, message);
}

static void refuse(job *j, const error *failure) {
    http_request *request = j->request;
    slice model = j->chat.model;
    job_release(j);
    if (failure->code == ERROR_NOT_FOUND) {
        reply_error(request, 404, "model", "model_not_found",
                    "no connected worker has the model \"%.*s\"; GET /v1/models lists those there are",
                    SLICE_FORMAT(model));
    } else if (failure->code == ERROR_UNSUPPORTED) {
        reply_error(request, 503, NULL, "not_enough_workers", "%s", failure->text);
    } else if (failure->code == ERROR_LIMIT) {
        reply_error(request, 429, NULL, "queue_full", "%s", failure->text);
    } else {
        reply_failure(request, failure);
    }
}

static bool submit(job *j, error *err) {
    pool *p = j->work.pool;
    if (j->mode == VERIFY_REQUIRED) {
        j->required = required_start(j, err);
        return j->required != NULL;
    }
    dispatch_spec spec = {.id = j->work.id, .user = j->user_id, .model = j->chat.model, .context = &j->work};
    j->handle = dispatch_submit(p->dispatch, &spec, ev_now_ms(p->loop), err);
    pool_arm_dispatch(p);
    return j->handle != NULL;
}

void job_start(pool *p, http_request *request, const account *who, const chat_request *chat,
               verify_mode mode) {
    job *j = job_make(p, request, who, chat, mode);
    if (j == NULL) {
        reply_out_of_memory(request);
        return;
    }
    error err = {0};
    if (!session_check_job(&j->work, &err)) {
        job_release(j);
        reply_unreadable(request, "messages", &err);
        return;
    }
    if (!submit(j, &err)) {
        refuse(j, &err);
        return;
    }
    p->counters.chats++;
    list_append(&p->jobs, &j->node);
    http_request_on_closed(request, client_left, j);
    if (chat->stream && j->handle != NULL && (j->hold || dispatch_job_position(j->handle) > 0)) {
        ev_timer_start(p->loop, &j->queue_timer, FIRST_NEWS_MS);
    }
}

/* Tokens whose text has left for the client, or is about to, give the worker new credit. */
static void tell_consumed(job *j) {
    size_t waiting = j->chat.stream ? http_stream_pending(j->request) : 0;
    list_remove(&j->stalled_node);
    if (waiting > BEHIND_BYTES) {
        list_append(&j->work.pool->stalled, &j->stalled_node);
        if (!ev_timer_is_running(&j->work.pool->stall_timer)) {
            ev_timer_start(j->work.pool->loop, &j->work.pool->stall_timer, STALL_CHECK_MS);
        }
        return;
    }
    dispatch_job_consumed(j->handle, j->token_count, ev_now_ms(j->work.pool->loop));
}

void job_check_stalled(void *context) {
    pool *p = context;
    list_node behind;
    list_init(&behind);
    while (!list_is_empty(&p->stalled)) {
        list_node *node = list_first(&p->stalled);
        list_remove(node);
        list_append(&behind, node);
    }
    while (!list_is_empty(&behind)) {
        job *j = LIST_ENTRY(list_first(&behind), job, stalled_node);
        list_remove(&j->stalled_node);
        if (j->handle != NULL) {
            tell_consumed(j);
        }
    }
}

/* Of the text that the current worker repeats: how much of `text` must equal what is known. */
static size_t repeated_length(const job *j, slice text) {
    size_t known = buffer_length(&j->text) - j->replayed;
    return text.length < known ? text.length : known;
}

/* After a resumed restart the same bytes must come again. */
static bool is_different(const job *j, slice text) {
    size_t length = repeated_length(j, text);
    return length > 0 &&
           !slice_equal(slice_part(buffer_slice(&j->text), j->replayed, length), slice_part(text, 0, length));
}

/* What is repeated is left out; returns what is new. */
static bool take_text(job *j, slice text, slice *fresh, error *err) {
    size_t repeated = repeated_length(j, text);
    j->replayed += repeated;
    *fresh = slice_after(text, repeated);
    if (fresh->length > TEXT_LIMIT - buffer_length(&j->text)) {
        return error_set(err, ERROR_LIMIT, "the answer is too long");
    }
    j->replayed += fresh->length;
    return buffer_append(&j->text, *fresh) || error_memory(err);
}

static bool send_text(job *j, slice text) {
    if (!j->chat.stream || text.length == 0 || j->hold) {
        return true;
    }
    if (!j->head_sent && !job_send_head(j)) {
        return false;
    }
    buffer events = buffer_make(EVENT_LIMIT);
    if (!j->started) {
        /* The worker was lost a moment ago: what it said is forgotten, and another begins anew. */
        if (!dispatch_job_started(j->handle)) {
            return true;
        }
        j->started = true;
        j->chunk_prefix = answer_chunk_prefix(j);
        if (j->chunk_prefix.length == 0) {
            return false;
        }
        answer_write_role(j->chunk_prefix, &events);
    }
    answer_write_text(j->chunk_prefix, text, &events);
    return send_events(j, &events);
}

/* Two workers gave different answers where the model promises the same. Which of them is wrong can't be told
 * here, so neither is blamed: else one that lies and leaves could have the others thrown out. */
static void end_as_different(job *j) {
    job_end_with_error(j, 502, "answer_differs",
                       "two workers computed different answers, so neither can be relied on; ask again");
}

bool job_check_delta(const proto_delta *delta, error *err) {
    return delta->text.length <= (delta->token_count + 1) * TEXT_PER_TOKEN ||
           error_set(err, ERROR_INVALID, "a delta has more text than its tokens can hold");
}

static bool job_delta(work *w, const proto_delta *delta, error *err) {
    job *j = job_of(w);
    pool *p = j->work.pool;
    slice fresh = {0};
    if (!job_check_delta(delta, err)) {
        return false;
    }
    if (delta->token_count > j->chat.max_tokens - j->token_count) {
        return error_set(err, ERROR_INVALID, "more tokens than were asked for");
    }
    if (is_different(j, delta->text)) {
        end_as_different(j);
        return true;
    }
    if (!take_text(j, delta->text, &fresh, err)) {
        if (err->code != ERROR_MEMORY) {
            return false;
        }
        job_end_for_memory(j);
        return true;
    }
    buffer_append(&j->tokens, slice_of(delta->tokens, delta->token_count * sizeof delta->tokens[0]));
    j->token_count += delta->token_count;
    p->counters.tokens += delta->token_count;
    if (!j->hold) {
        ev_timer_stop(&j->queue_timer);
    }
    if (buffer_failed(&j->tokens) || !send_text(j, fresh)) {
        job_end_for_memory(j);
        return true;
    }
    tell_consumed(j); /* may end the job: if the credit can't be sent, the worker is lost */
    pool_arm_dispatch(p);
    return true;
}

static bool job_is_short(work *w) {
    job *j = job_of(w);
    bool is_short = j->replayed < buffer_length(&j->text);
    if (is_short) {
        end_as_different(j);
    }
    return is_short;
}

bool job_submit_again(job *j, error *err) {
    buffer_clear(&j->tokens);
    buffer_clear(&j->text);
    j->replayed = 0;
    j->token_count = 0;
    return submit(j, err);
}

/* What the worker's tiers ask for is known only now. */
static void job_placed(work *w, session *s) {
    job *j = job_of(w);
    if (!j->hold && !j->started && proof_withholds(w->pool, session_worker(s))) {
        j->hold = true;
        if (j->chat.stream) {
            ev_timer_start(w->pool->loop, &j->queue_timer, FIRST_NEWS_MS);
        }
    }
}

static void job_restarted(work *w, bool resumed) {
    job *j = job_of(w);
    log_info("answer restarted on another worker", LOG_TEXT("job", j->work.id_hex),
             LOG_U64("resumed", resumed));
    buffer_clear(&j->tokens);
    j->replayed = 0;
    j->token_count = 0;
    if (!resumed) {
        buffer_clear(&j->text);
    }
}

void job_refusal(const job *j, unsigned *status, const char **code, const char **text) {
    *status = j->input_refused ? 400 : 502;
    *code = j->input_refused ? "bad_input" : "refused_by_worker";
    *text = j->input_refused || j->refusal[0] != '\0' ? j->refusal : "the worker can't answer this";
}

static void job_failed(work *w, dispatch_failure reason) {
    job *j = job_of(w);
    j->handle = NULL;
    switch (reason) {
    case DISPATCH_NO_WORKER:
        job_end_with_error(j, 503, "no_worker", "the last worker with this model has left; ask again later");
        return;
    case DISPATCH_QUEUE_DEADLINE:
        job_end_with_error(j, 503, "queue_deadline", "no worker became free in time; ask again later");
        return;
    case DISPATCH_JOB_DEADLINE:
        job_end_with_error(j, 504, "job_deadline", "the answer took too long; ask for a shorter one");
        return;
    case DISPATCH_TOO_MANY_TRIES:
        job_end_with_error(j, 503, "worker_failed",
                           "several workers failed one after the other; ask again later");
        return;
    case DISPATCH_NOT_RESUMABLE:
        job_end_with_error(
            j, 503, "worker_lost",
            "the worker was lost in mid-answer and no other can go on with the same bits; ask again");
        return;
    case DISPATCH_LOST:
        job_end_with_error(j, 503, "worker_lost", "the worker was lost; ask again");
        return;
    case DISPATCH_REFUSED:
        break;
    }
    unsigned status = 0;
    const char *code = NULL;
    const char *text = NULL;
    job_refusal(j, &status, &code, &text);
    job_end_with_error(j, status, code, text);
}

/* Ending one job can end any other: its cancel may find the worker's connection full, and what that worker
 * loses may find no other. So what is to end is set apart first, and taken from there while there is some. */
static void end_all(list_node *ending, unsigned status, const char *code, const char *message) {
    while (!list_is_empty(ending)) {
        job_end_with_error(LIST_ENTRY(list_first(ending), job, node), status, code, message);
    }
}

static void end_selected(pool *p, bool (*selected)(job *j, const void *by), const void *by, unsigned status,
                         const char *code, const char *message) {
    list_node ending;
    list_init(&ending);
    for (list_node *node = p->jobs.next, *next = NULL; node != &p->jobs; node = next) {
        next = node->next;
        if (selected(LIST_ENTRY(node, job, node), by)) {
            list_remove(node);
            list_append(&ending, node);
        }
    }
    end_all(&ending, status, code, message);
}

typedef struct revoked {
    uint64_t user_id;
    uint64_t key_id;
} revoked;

static bool is_revoked(job *j, const void *by) {
    const revoked *gone = by;
    return j->user_id == gone->user_id && (gone->key_id == 0 || j->key_id == gone->key_id);
}

void job_end_revoked(pool *p, uint64_t user_id, uint64_t key_id) {
    revoked gone = {user_id, key_id};
    end_selected(p, is_revoked, &gone, 401, "key_revoked", "this key was revoked");
}

static const char stopping_text[] = "the pool is stopping; ask again in a moment";

static bool is_queued(job *j, const void *by) {
    (void)by;
    return j->required != NULL ? required_waits(j->required)
                               : j->handle != NULL && dispatch_job_position(j->handle) > 0;
}

void job_end_queued(pool *p) {
    end_selected(p, is_queued, NULL, 503, "pool_stopping", stopping_text);
}

void job_end_all(pool *p) {
    end_all(&p->jobs, 503, "pool_stopping", stopping_text);
}

/* What is still to be sent once the receipt is stored. */
static bool write_end(job *j, const receipt *fields) {
    j->end = buffer_make(2 * TEXT_LIMIT);
    if (!j->chat.stream) {
        answer_write_whole(j, fields, &j->end);
        return !buffer_failed(&j->end);
    }
    if (!j->started) {
        j->chunk_prefix = answer_chunk_prefix(j);
        answer_write_role(j->chunk_prefix, &j->end);
    }
    answer_write_end(j, j->chunk_prefix, fields, &j->end);
    return j->chunk_prefix.length > 0 && !buffer_failed(&j->end);
}

static void hold(job *j, const fleet_worker *worker, const signed_receipt *entry) {
    error err = {0};
    if (j->proved == NULL) {
        j->proved = proved_start(j, &err);
    }
    if (j->proved == NULL) {
        job_end_for_memory(j);
    } else {
        proved_hold(j->proved, worker, entry);
    }
}

static void job_complete(work *w, const fleet_worker *worker, const signed_receipt *entry) {
    job *j = job_of(w);
    error err = {0};
    j->handle = NULL;
    list_remove(&j->stalled_node);
    if (j->hold) {
        hold(j, worker, entry);
        return;
    }
    if (entry == NULL || !write_end(j, &entry->fields)) {
        job_end_for_memory(j);
        return;
    }
    /* Put down before the receipt, so that a crash between the two can't lose a check. */
    if (proof_answer_done(j->work.pool, j, worker, entry, &err)) {
        j->storing = receipts_store(j->work.pool, j, worker, entry, &err);
    }
    if (j->storing == NULL) {
        job_receipt_stored(j, &err);
    }
}

static void finish_stream(job *j) {
    http_request *request = j->request;
    bool written = (j->head_sent || job_send_head(j)) && http_stream_write(request, buffer_slice(&j->end));
    job_release(j);
    if (written) {
        http_stream_end(request);
    } else {
        http_stream_abort(request);
    }
}

void job_finish_whole(job *j) {
    http_request *request = j->request;
    char notice[PROOF_NOTICE_SIZE];
    bool noticed = proof_take_notice(j->work.pool, j->user_id, notice);
    const http_header headers[] = {
        {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")},
        {SLICE_LITERAL("X-Cellule-Job"), slice_of_text(j->work.id_hex)},
        {SLICE_LITERAL("X-Cellule-Notice"), noticed ? slice_of_text(notice) : (slice){0}}};
    buffer body = j->end;
    j->end = buffer_make(0);
    job_release(j); /* before the answer: the job lives in the request's arena, which ends with it */
    http_respond(request, 200, headers, noticed ? 3 : 2, buffer_slice(&body));
    buffer_wipe(&body);
}

void job_receipt_stored(job *j, const error *failure) {
    j->storing = NULL;
    if (failure != NULL) {
        log_error("receipt not stored", LOG_TEXT("job", j->work.id_hex), LOG_CAUSE(failure));
        job_end_with_error(
            j, 503, "receipt_not_stored",
            "the answer's receipt could not be stored, so the answer is not complete; ask again");
        return;
    }
    j->work.pool->counters.answers++;
    if (j->chat.stream) {
        finish_stream(j);
    } else {
        job_finish_whole(j);
    }
}

void job_note_refusal(job *j, const proto_fail *fail) {
    j->input_refused = slice_equal_text(fail->code, PROTO_FAIL_INPUT);
    snprintf(j->refusal, sizeof j->refusal, "%.*s",
             SLICE_FORMAT(slice_part(fail->text, 0, sizeof j->refusal - 1)));
}

static void job_gave_up(work *w, const fleet_worker *worker, const proto_fail *fail) {
    (void)worker;
    job_note_refusal(job_of(w), fail);
}

static const work_kind job_kind = {.name = "question",
                                   .describe = job_describe,
                                   .delta = job_delta,
                                   .is_short = job_is_short,
                                   .check_done = job_check_receipt,
                                   .complete = job_complete,
                                   .placed = job_placed,
                                   .gave_up = job_gave_up,
                                   .restarted = job_restarted,
                                   .failed = job_failed};
