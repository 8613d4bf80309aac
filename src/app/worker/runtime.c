#include "runtime_internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/file.h"

#include <stdio.h>

enum {
    QUESTION_MS = 5000,   /* between two looks at an idle runtime */
    FIRST_PAUSE_MS = 500, /* before it is asked again after it was lost; doubles up to the longest */
    LONGEST_PAUSE_MS = 30000,
    LIST_MAX = 4 * 1024 * 1024,
    KEY_MAX = 4096,
    CA_MAX = 1024 * 1024
};

http_exchange *runtime_ask(runtime *r, const char *method, const char *path, slice body,
                           http_client_options *options,
                           void (*callback)(void *context, const http_client_answer *answer), void *context,
                           error *err) {
    char url[RUNTIME_ENDPOINT_MAX];
    const char *headers[4] = {"Content-Type: application/json",
                              "Accept: text/event-stream, application/json"};
    if (buffer_length(&r->authorization) > 0) {
        headers[2] = (const char *)buffer_slice(&r->authorization).data;
    }
    snprintf(url, sizeof url, "%s%s", r->url, path);
    options->ca_pem = buffer_slice(&r->ca_pem);
    return http_client_request(r->client, method, url, headers, body, options, callback, context, err);
}

static void ask_later(runtime *r, uint32_t wait_ms) {
    ev_timer_start(r->loop, &r->question_timer, wait_ms);
}

void runtime_lose(runtime *r, const char *reason) {
    log_error("runtime lost", LOG_TEXT("url", r->url), LOG_TEXT("reason", reason),
              LOG_U64("asked_again_in_ms", r->pause_ms));
    if (r->question != NULL) {
        http_exchange_cancel(r->question);
        r->question = NULL;
    }
    runtime_job_drop_all(r);
    r->refuses_logprobs = false; /* another may come back */
    ask_later(r, r->pause_ms);
    r->pause_ms = r->pause_ms * 2 < LONGEST_PAUSE_MS ? r->pause_ms * 2 : LONGEST_PAUSE_MS;
    if (r->is_up) {
        r->is_up = false;
        r->handlers->on_lost(r->context, reason);
    }
}

void runtime_question_soon(runtime *r) {
    if (r->question == NULL) {
        ask_later(r, 0);
    }
}

static bool is_same(const runtime_description *a, const runtime_description *b) {
    return strcmp(a->profile, b->profile) == 0 && memcmp(a->digest, b->digest, sizeof a->digest) == 0 &&
           a->context == b->context && a->slots == b->slots;
}

static void tell_ready(runtime *r) {
    pipe_message message = {.type = PIPE_READY,
                            .ready = {.model = slice_of_text(r->options.model),
                                      .context = r->description.context,
                                      .slots = r->description.slots,
                                      .can_generate = true,
                                      .profile = slice_of_text(r->description.profile)}};
    memcpy(message.ready.digest, r->description.digest, sizeof message.ready.digest);
    r->handlers->on_message(r->context, &message);
}

/* It has told all that it tells. The user's word counts more than its own. */
static void answered(runtime *r) {
    runtime_description *d = &r->found;
    d->context = r->options.context > 0 ? r->options.context : d->context;
    d->context = d->context > 0 ? d->context : RUNTIME_CONTEXT;
    d->slots = r->options.slots > 0 ? r->options.slots : d->slots;
    d->slots = d->slots > 0 ? d->slots : 1;
    if (r->is_up && !is_same(d, &r->description)) {
        runtime_lose(r, "the runtime serves something else than before");
        return;
    }
    r->pause_ms = r->options.pause_ms;
    ask_later(r, QUESTION_MS);
    if (!r->is_up) {
        r->is_up = true;
        r->description = *d;
        tell_ready(r);
    }
}

static void on_more(void *context, const http_client_answer *answer) {
    runtime *r = context;
    r->question = NULL;
    if (answer->status == 200) {
        runtime_describe_more(answer->body, slice_of_text(r->options.model), &r->found);
    }
    answered(r);
}

static void on_list(void *context, const http_client_answer *answer) {
    runtime *r = context;
    error err = {0};
    r->question = NULL;
    if (answer->cause != NULL && runtime_has_jobs(r)) { /* some do one thing at a time */
        ask_later(r, QUESTION_MS);
        return;
    }
    if (answer->cause != NULL) {
        runtime_lose(r, answer->cause->text);
        return;
    }
    if (answer->status != 200) {
        char reason[96];
        snprintf(reason, sizeof reason, "/v1/models was answered with HTTP status %u%s", answer->status,
                 answer->status == 401 || answer->status == 403 ? ": give its key with --runtime-key-file"
                                                                : "");
        runtime_lose(r, reason);
        return;
    }
    if (!runtime_describe(answer->body, slice_of_text(r->options.model), r->options.name, &r->found, &err)) {
        runtime_lose(r, err.text);
        return;
    }
    http_client_options options = {.timeout_ms = r->options.silent_ms, .max_bytes = LIST_MAX};
    r->question = r->found.more == NULL
                      ? NULL
                      : runtime_ask(r, "GET", r->found.more, slice_of(NULL, 0), &options, on_more, r, &err);
    if (r->question == NULL) {
        answered(r);
    }
}

/* What it serves; while it computes, its stream says that it is there. */
static void ask_what_it_serves(void *context) {
    runtime *r = context;
    error err = {0};
    http_client_options options = {.timeout_ms = r->options.silent_ms, .max_bytes = LIST_MAX};
    if (r->question != NULL) {
        return;
    }
    if (runtime_has_jobs(r)) {
        ask_later(r, QUESTION_MS);
        return;
    }
    r->question = runtime_ask(r, "GET", "/v1/models", slice_of(NULL, 0), &options, on_list, r, &err);
    if (r->question == NULL) {
        runtime_lose(r, err.text);
    }
}

static bool runtime_send(backend *self, const pipe_message *message) {
    runtime *r = (runtime *)self;
    if (message->type == PIPE_CANCEL) {
        runtime_job_cancel(r, message->job);
        return true;
    }
    return message->type == PIPE_GENERATE && r->is_up &&
           runtime_job_start(r, message->job, &message->generate);
}

static void runtime_free(backend *self) {
    runtime *r = (runtime *)self;
    ev_timer_stop(&r->question_timer);
    runtime_job_drop_all(r);
    http_client_free(r->client);
    buffer_wipe(&r->authorization);
    buffer_free(&r->ca_pem);
    memory_free(r);
}

/* One line of visible characters: it becomes part of a header. */
static bool read_key(runtime *r, error *err) {
    buffer text = buffer_make(KEY_MAX);
    if (buffer_reserve(&text, KEY_MAX) == NULL || buffer_reserve(&r->authorization, 2 * KEY_MAX) == NULL) {
        buffer_wipe(&text);
        return error_memory(err);
    }
    bool done = file_read_private(r->options.key_file, &text, err);
    slice key = buffer_slice(&text);
    while (key.length > 0 && (key.data[key.length - 1] == '\n' || key.data[key.length - 1] == '\r')) {
        key.length--;
    }
    for (size_t i = 0; done && i < key.length; i++) {
        done = (key.data[i] > ' ' && key.data[i] < 0x7F) ||
               error_set(err, ERROR_INVALID, "%s holds more than a key: one line, no spaces",
                         r->options.key_file);
    }
    if (done && key.length == 0) {
        done = error_set(err, ERROR_INVALID, "%s holds no key", r->options.key_file);
    }
    buffer_append_text(&r->authorization, "Authorization: Bearer ");
    buffer_append(&r->authorization, key);
    buffer_append_byte(&r->authorization, 0);
    buffer_wipe(&text);
    return done && (!buffer_failed(&r->authorization) || error_memory(err));
}

static bool prepare(runtime *r, error *err) {
    const runtime_options *o = &r->options;
    if (!runtime_url_parse(o->url, r->url, err)) {
        return false;
    }
    if (o->name != NULL && !runtime_name_is_valid(o->name)) {
        return error_set(
            err, ERROR_INVALID,
            "--profile is 1 to %d of a-z, 0-9, '.', '_' and '-': the runtime's name, such as vllm",
            RUNTIME_NAME_MAX);
    }
    if ((o->key_file != NULL && !read_key(r, err)) ||
        (o->ca_file != NULL && !file_read_all(o->ca_file, &r->ca_pem, err))) {
        return false;
    }
    r->client = http_client_new(r->loop, err);
    return r->client != NULL;
}

backend *runtime_new(ev_loop *loop, const runtime_options *options, const backend_handlers *handlers,
                     void *context, error *err) {
    runtime *r = memory_allocate_zeroed(1, sizeof *r);
    if (r == NULL) {
        error_memory(err);
        return NULL;
    }
    *r = (runtime){.base = {.send = runtime_send, .free = runtime_free},
                   .loop = loop,
                   .options = *options,
                   .handlers = handlers,
                   .context = context,
                   .authorization = buffer_make(2 * KEY_MAX),
                   .ca_pem = buffer_make(CA_MAX),
                   .pause_ms = options->pause_ms == 0 ? FIRST_PAUSE_MS : options->pause_ms};
    r->options.pause_ms = r->pause_ms;
    list_init(&r->jobs);
    ev_timer_init(&r->question_timer, ask_what_it_serves, r);
    if (!prepare(r, err)) {
        runtime_free(&r->base);
        return NULL;
    }
    if (runtime_url_is_exposed(r->url)) {
        log_warning("prompts and answers go to the runtime unencrypted: use https", LOG_TEXT("url", r->url));
    }
    ask_later(r, 0);
    return &r->base;
}
