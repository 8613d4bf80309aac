#include "runtime_internal.h"

#include "base/memory.h"
#include "ledger/receipt.h"

#include <stdio.h>

enum {
    SILENCE_MS = 300000, /* of a stream, long prompts included; the pool's own patience is shorter */
    REQUEST_MAX = 8 * 1024 * 1024,
    FAILURE_MAX = 1024 * 1024, /* bytes of an answer that says what went wrong */
    MESSAGE_TOKENS = 64 /* that a chat format may add for each message and the answer: the pool's bound */
};

struct runtime_job {
    list_node node; /* in runtime.jobs */
    runtime *runtime;
    http_exchange *exchange;
    uint8_t id[PIPE_JOB_SIZE];
    uint8_t nonce[ENGINE_NONCE_SIZE];
    uint64_t prompt_tokens_max;
    runtime_stream stream;
    runtime_pieces pieces;
    hash *text_hash;
    buffer plain;        /* the request without logprobs, until it is known that they aren't refused */
    bool gives_logprobs; /* so far: of every token with text */
    bool is_second_try;  /* without logprobs, since it refused the first */
    float last_logprob;  /* of what runtime_pieces holds back */
    bool type_is_known;
    bool is_over; /* told as done or failed: waits only for the end of the HTTP answer */
};

static void job_free(runtime_job *j) {
    if (j->runtime->current == j) {
        j->runtime->current = NULL;
    }
    list_remove(&j->node);
    runtime_stream_free(&j->stream);
    buffer_wipe(&j->plain);
    hash_free(j->text_hash);
    memory_free(j);
}

static void drop(runtime_job *j) {
    http_exchange_cancel(j->exchange);
    job_free(j);
}

static void tell(runtime_job *j, pipe_message *message) {
    runtime *r = j->runtime;
    memcpy(message->job, j->id, sizeof message->job);
    r->handlers->on_message(r->context, message);
}

/* Ends the job; the caller frees or drops it. */
static void tell_failure(runtime_job *j, error_code code, const char *text, bool retryable) {
    pipe_message message = {.type = PIPE_FAIL,
                            .fail = {.code = code, .text = slice_of_text(text), .retryable = retryable}};
    j->is_over = true;
    tell(j, &message);
}

/* One token. False: the job is gone meanwhile. */
static bool tell_piece(runtime_job *j, slice text, float logprob) {
    static const uint32_t no_id;
    runtime *r = j->runtime;
    const pipe_logprobs logprobs = {.logprob = logprob};
    pipe_message message = {.type = PIPE_DELTA,
                            .delta = {.tokens = &no_id,
                                      .token_count = 1,
                                      .text = text,
                                      .logprobs = j->gives_logprobs ? &logprobs : NULL}};
    tell(j, &message);
    return r->current == j;
}

/* Tokens without text. False: the job is gone meanwhile. */
static bool tell_empty(runtime_job *j, size_t count) {
    static const uint32_t no_ids[PIPE_DELTA_TOKENS_MAX];
    static const pipe_logprobs no_logprobs[PIPE_DELTA_TOKENS_MAX];
    runtime *r = j->runtime;
    while (count > 0 && r->current == j) {
        size_t now = count < PIPE_DELTA_TOKENS_MAX ? count : PIPE_DELTA_TOKENS_MAX;
        pipe_message message = {.type = PIPE_DELTA,
                                .delta = {.tokens = no_ids,
                                          .token_count = now,
                                          .logprobs = j->gives_logprobs ? no_logprobs : NULL}};
        count -= now;
        tell(j, &message);
    }
    return r->current == j;
}

static bool tell_part(runtime_job *j, slice text, float logprob) {
    slice piece = {0};
    size_t held = j->pieces.held;
    runtime_piece kind = runtime_pieces_take(&j->pieces, &text, &piece);
    while (kind == RUNTIME_PIECE_GIVEN) {
        if (!tell_piece(j, piece, logprob)) {
            return false;
        }
        kind = runtime_pieces_take(&j->pieces, &text, &piece);
    }
    if (kind == RUNTIME_PIECE_TOO_MANY) {
        tell_failure(j, ERROR_IO, "the runtime sends more than was asked for", true);
        return false;
    }
    if (j->pieces.held > held) { /* one piece for two tokens has no logprob */
        j->gives_logprobs = j->gives_logprobs && held == 0;
        j->last_logprob = logprob;
    }
    return true;
}

static bool tell_text(runtime_job *j, slice text) {
    runtime_part parts[RUNTIME_PARTS_MAX] = {{.text = text}};
    size_t count = j->gives_logprobs ? runtime_logprobs_read(j->stream.choice, text, parts) : 0;
    hash_update(j->text_hash, text);
    if (count == 0) {
        j->gives_logprobs = false;
        return tell_part(j, text, 0);
    }
    for (size_t i = 0; i < count; i++) {
        if (!tell_part(j, parts[i].text, parts[i].logprob)) {
            return false;
        }
    }
    return true;
}

/* What is thought has logprobs of its own, and is cut elsewhere. */
static bool tell_hidden(runtime_job *j) {
    j->gives_logprobs = false;
    return !runtime_pieces_take_empty(&j->pieces) || tell_empty(j, 1);
}

/* A count that the pool can't believe would cost the session: then none is told. */
static uint32_t prompt_tokens(const runtime_job *j) {
    return j->stream.prompt_tokens <= j->prompt_tokens_max ? j->stream.prompt_tokens : 0;
}

static void tell_end(runtime_job *j) {
    error err = {0};
    slice last = {0};
    uint32_t missing = 0;
    uint8_t text_hash[HASH_SIZE];
    pipe_message done = {.type = PIPE_DONE,
                         .done = {.finish = j->stream.finish, .usage.prompt_tokens = prompt_tokens(j)}};
    runtime_pieces_end(&j->pieces, j->stream.completion_tokens, &last, &missing);
    if (!hash_finish(j->text_hash, text_hash, &err) ||
        !receipt_commit_text(j->nonce, text_hash, done.done.commitment, &err)) {
        tell_failure(j, err.code, err.text, true);
        return;
    }
    if ((last.length == 0 || tell_piece(j, last, j->last_logprob)) && tell_empty(j, missing)) {
        j->is_over = true;
        tell(j, &done);
    }
}

/* False: the job is gone, or over. */
static bool handle(runtime_job *j, runtime_event event, slice text, const error *err) {
    switch (event) {
    case RUNTIME_TEXT:
        return tell_text(j, text);
    case RUNTIME_HIDDEN:
        return tell_hidden(j);
    case RUNTIME_DONE:
        tell_end(j);
        return false;
    case RUNTIME_BAD:
        tell_failure(j, err->code, err->text, true);
        return false;
    default:
        return true;
    }
}

static bool is_event_stream(const runtime_job *j) {
    slice type = {0};
    slice wanted = SLICE_LITERAL("text/event-stream");
    return http_exchange_header(j->exchange, "content-type", &type) &&
           slice_equal_ignore_case(slice_trim(slice_part(type, 0, slice_find(type, ';'))), wanted);
}

/* It answers: what it was asked, it doesn't refuse. */
static void was_accepted(runtime_job *j) {
    runtime *r = j->runtime;
    r->refuses_logprobs = r->refuses_logprobs || j->is_second_try;
    j->is_second_try = false;
    buffer_wipe(&j->plain);
}

/* What comes after the end is not read: the connection is closed. */
static bool on_data(void *context, slice bytes) {
    runtime_job *j = context;
    runtime *r = j->runtime;
    error err = {0};
    bool was_over = j->is_over;
    bool more = !was_over;
    r->current = j;
    if (more && !j->type_is_known && !is_event_stream(j)) {
        tell_failure(j, ERROR_IO, "the runtime answered with something else than an event stream", true);
        more = false;
    }
    j = r->current;
    if (j != NULL) {
        j->type_is_known = true;
        was_accepted(j);
    }
    while (more && bytes.length > 0) {
        slice text = {0};
        runtime_event event = runtime_stream_next(&j->stream, &bytes, &text, &err);
        more = handle(j, event, text, &err);
    }
    j = r->current;
    r->current = NULL;
    if (j == NULL) {
        return false;
    }
    bool keep = more || (!was_over && j->stream.is_done); /* the end of the body is on its way */
    if (!keep) {
        drop(j);
    }
    return keep;
}

/* In no words of the runtime's, which may hold some of the prompt. */
static void tell_status(runtime_job *j, unsigned status) {
    char text[128];
    bool is_about_input = status == 400 || status == 413 || status == 422;
    const char *what = is_about_input                   ? "the runtime refused the request"
                       : status >= 300 && status < 400  ? "the runtime points elsewhere, which isn't followed"
                       : status == 401 || status == 403 ? "the runtime wants another key"
                       : status == 429 || status == 503 ? "the runtime is busy"
                       : status >= 200 && status <= 299 ? "the runtime's answer ended too early"
                                                        : "the runtime failed";
    snprintf(text, sizeof text, "%s (HTTP status %u)", what, status);
    tell_failure(j, is_about_input ? ERROR_INVALID : ERROR_IO, text, !is_about_input);
}

static bool is_alone(const runtime_job *j) {
    return j->runtime->jobs.next == &j->node && j->node.next == &j->runtime->jobs;
}

static http_exchange *post(runtime_job *j, slice body, error *err);

/* Some know no logprobs, and refuse what they don't know. */
static bool try_without_logprobs(runtime_job *j, const http_client_answer *answer) {
    error err = {0};
    bool may = answer->cause == NULL && (answer->status == 400 || answer->status == 422) &&
               buffer_length(&j->plain) > 0;
    http_exchange *exchange = may ? post(j, buffer_slice(&j->plain), &err) : NULL;
    if (exchange == NULL) {
        return false;
    }
    buffer_wipe(&j->plain);
    j->exchange = exchange;
    j->gives_logprobs = false;
    j->is_second_try = true;
    return true;
}

static void on_answer(void *context, const http_client_answer *answer) {
    runtime_job *j = context;
    runtime *r = j->runtime;
    if (j->is_over) {
        job_free(j);
        return;
    }
    if (try_without_logprobs(j, answer)) {
        return;
    }
    r->current = j;
    if (answer->cause == NULL && answer->status >= 200 && answer->status <= 299 && j->stream.has_finish) {
        tell_end(j); /* some close without "[DONE]" */
    } else if (answer->cause == NULL) {
        tell_status(j, answer->status);
        runtime_question_soon(r);
    } else if (answer->cause->code != ERROR_LIMIT && !j->type_is_known && is_alone(j)) {
        runtime_lose(r, answer->cause->text); /* tells the failure, and frees the job */
    } else {
        tell_failure(j, ERROR_IO, "the connection to the runtime broke", true);
        runtime_question_soon(r);
    }
    if (r->current == j) {
        job_free(j);
    }
    r->current = NULL;
}

static runtime_job *find(runtime *r, const uint8_t id[PIPE_JOB_SIZE]) {
    for (list_node *node = r->jobs.next; node != &r->jobs; node = node->next) {
        runtime_job *j = LIST_ENTRY(node, runtime_job, node);
        if (!j->is_over && memcmp(j->id, id, PIPE_JOB_SIZE) == 0) {
            return j;
        }
    }
    return NULL;
}

void runtime_job_cancel(runtime *r, const uint8_t id[PIPE_JOB_SIZE]) {
    runtime_job *j = find(r, id);
    if (j != NULL) {
        drop(j);
    }
}

void runtime_job_drop_all(runtime *r) {
    while (!list_is_empty(&r->jobs)) {
        drop(LIST_ENTRY(r->jobs.next, runtime_job, node));
    }
}

/* Connections whose answer is over may linger if the runtime doesn't end them: not longer than this. */
static void drop_over(runtime *r) {
    for (list_node *node = r->jobs.next, *next = NULL; node != &r->jobs; node = next) {
        next = node->next;
        runtime_job *j = LIST_ENTRY(node, runtime_job, node);
        if (j->is_over && j != r->current) {
            drop(j);
        }
    }
}

bool runtime_has_jobs(const runtime *r) {
    for (const list_node *node = r->jobs.next; node != &r->jobs; node = node->next) {
        if (!LIST_ENTRY(node, runtime_job, node)->is_over) {
            return true;
        }
    }
    return false;
}

static uint64_t bound_prompt_tokens(const pipe_generate *wanted) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < wanted->message_count; i++) {
        bytes += wanted->messages[i].content.length;
    }
    return bytes + (wanted->message_count + 1) * MESSAGE_TOKENS;
}

static http_exchange *post(runtime_job *j, slice body, error *err) {
    http_client_options options = {.timeout_ms = SILENCE_MS, .max_bytes = FAILURE_MAX, .on_data = on_data};
    return runtime_ask(j->runtime, "POST", "/v1/chat/completions", body, &options, on_answer, j, err);
}

static http_exchange *ask(runtime_job *j, const pipe_generate *wanted, error *err) {
    const slice model = slice_of_text(j->runtime->options.model);
    buffer body = buffer_make(REQUEST_MAX);
    pipe_generate plain = *wanted;
    plain.parameters.with_logprob = false;
    bool written = runtime_request_write(model, &plain, &body, err);
    if (written && j->gives_logprobs) {
        j->plain = body;
        body = buffer_make(REQUEST_MAX);
        written = runtime_request_write(model, wanted, &body, err);
    }
    http_exchange *exchange = written ? post(j, buffer_slice(&body), err) : NULL;
    buffer_wipe(&body);
    return exchange;
}

bool runtime_job_start(runtime *r, const uint8_t id[PIPE_JOB_SIZE], const pipe_generate *wanted) {
    error err = {0};
    drop_over(r);
    runtime_job *j = memory_allocate_zeroed(1, sizeof *j);
    if (j == NULL) {
        return false;
    }
    *j = (runtime_job){.runtime = r,
                       .stream = runtime_stream_make(wanted->parameters.max_tokens),
                       .pieces = {.most = wanted->parameters.max_tokens},
                       .prompt_tokens_max = bound_prompt_tokens(wanted),
                       .plain = buffer_make(REQUEST_MAX),
                       .gives_logprobs = wanted->parameters.with_logprob && !r->refuses_logprobs,
                       .text_hash = hash_new(&err)};
    memcpy(j->id, id, sizeof j->id);
    memcpy(j->nonce, wanted->nonce, sizeof j->nonce);
    list_append(&r->jobs, &j->node);
    j->exchange = j->text_hash == NULL ? NULL : ask(j, wanted, &err);
    if (j->exchange == NULL) {
        job_free(j);
        return false;
    }
    return true;
}
