#include "reply.h"

#include "base/memory.h"
#include "codec/form.h"
#include "crypto/secret.h"

#include <stdarg.h>
#include <stdio.h>

enum { REPLY_LIMIT = 16 * 1024 * 1024, SECRET_REPLY_SIZE = 4096 };

static const http_header json_type = {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")};

static const slice out_of_memory =
    SLICE_LITERAL("{\"error\":{\"message\":\"out of memory; try again later\",\"type\":\"server_error\","
                  "\"param\":null,\"code\":\"memory\"}}");

void reply_json_begin(reply_json *answer) {
    answer->body = buffer_make(REPLY_LIMIT);
    /* Room for any reply with a key in it, so that no copy of the key is left behind by growing. */
    (void)!buffer_reserve(&answer->body, SECRET_REPLY_SIZE);
    answer->w = json_writer_make(&answer->body);
}

void reply_json_end(reply_json *answer, http_request *request, unsigned status) {
    if (buffer_failed(&answer->body)) {
        http_respond(request, 503, &json_type, 1, out_of_memory);
    } else {
        http_respond(request, status, &json_type, 1, buffer_slice(&answer->body));
    }
    buffer_wipe(&answer->body);
}

void reply_list_begin(reply_json *answer, const char *name) {
    reply_json_begin(answer);
    json_write_object_begin(&answer->w);
    json_add_text(&answer->w, "object", SLICE_LITERAL("list"));
    json_write_key(&answer->w, name);
    json_write_array_begin(&answer->w);
}

void reply_list_end(reply_json *answer, http_request *request, bool has_more) {
    json_write_array_end(&answer->w);
    json_add_bool(&answer->w, "has_more", has_more);
    json_write_object_end(&answer->w);
    reply_json_end(answer, request, 200);
}

void reply_done(http_request *request) {
    http_respond(request, 200, &json_type, 1, SLICE_LITERAL("{\"done\":true}"));
}

static const char *type_of(unsigned status) {
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 429:
        return "rate_limit_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

static void add_text_or_null(json_writer *w, const char *name, const char *text) {
    if (text == NULL) {
        json_add_null(w, name);
    } else {
        json_add_text(w, name, slice_of_text(text));
    }
}

void reply_write_error(buffer *out, unsigned status, const char *param, const char *code, slice message) {
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_write_key(&w, "error");
    json_write_object_begin(&w);
    json_add_text(&w, "message", message);
    json_add_text(&w, "type", slice_of_text(type_of(status)));
    add_text_or_null(&w, "param", param);
    add_text_or_null(&w, "code", code);
    json_write_object_end(&w);
    json_write_object_end(&w);
}

/* A full queue is worth another try soon: the official clients obey Retry-After. */
static void respond_error(http_request *request, unsigned status, const buffer *body) {
    const http_header headers[] = {json_type, {SLICE_LITERAL("Retry-After"), SLICE_LITERAL("1")}};
    const http_header denied[] = {json_type, {SLICE_LITERAL("WWW-Authenticate"), SLICE_LITERAL("Bearer")}};
    bool retry = status == 429 || status == 503;
    http_respond(request, status, status == 401 ? denied : headers, retry || status == 401 ? 2 : 1,
                 buffer_failed(body) ? out_of_memory : buffer_slice(body));
}

void reply_error(http_request *request, unsigned status, const char *param, const char *code,
                 const char *format, ...) {
    char message[ERROR_TEXT_SIZE + 256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    buffer body = buffer_make(REPLY_LIMIT);
    reply_write_error(&body, status, param, code, slice_of_text(message));
    respond_error(request, status, &body);
    buffer_free(&body);
}

void reply_out_of_memory(http_request *request) {
    reply_error(request, 503, NULL, "memory", "out of memory; try again later");
}

void reply_not_allowed(http_request *request, const char *allow) {
    const http_header headers[] = {json_type, {SLICE_LITERAL("Allow"), slice_of_text(allow)}};
    buffer body = buffer_make(REPLY_LIMIT);
    reply_write_error(
        &body, 405, NULL, "method_not_allowed",
        SLICE_LITERAL("this address doesn't take this method; the header Allow names those it takes"));
    http_respond(request, 405, headers, 2, buffer_failed(&body) ? out_of_memory : buffer_slice(&body));
    buffer_free(&body);
}

unsigned reply_status_of(error_code code) {
    switch (code) {
    case ERROR_INVALID:
    case ERROR_UNSUPPORTED:
        return 400;
    case ERROR_DENIED:
        return 403;
    case ERROR_NOT_FOUND:
        return 404;
    case ERROR_CONFLICT:
        return 409;
    case ERROR_LIMIT:
        return 429;
    case ERROR_TIMEOUT:
        return 504;
    case ERROR_MEMORY:
    case ERROR_IO:
        return 503;
    case ERROR_NONE:
    case ERROR_CORRUPT:
    case ERROR_INTERNAL:
        break;
    }
    return 500;
}

void reply_failure(http_request *request, const error *failure) {
    reply_error(request, reply_status_of(failure->code), NULL, error_code_name(failure->code), "%s",
                failure->text);
}

void reply_unreadable(http_request *request, const char *param, const error *failure) {
    unsigned status = failure->code == ERROR_LIMIT ? 400 : reply_status_of(failure->code);
    reply_error(request, status, param, NULL, "%s", failure->text);
}

static void forget_request(void *context) {
    ((reply_later *)context)->request = NULL;
}

reply_later *reply_later_new(pool *p, http_request *request, uint64_t user_id) {
    reply_later *later = memory_allocate_zeroed(1, sizeof *later);
    if (later == NULL) {
        reply_out_of_memory(request);
        return NULL;
    }
    later->pool = p;
    later->request = request;
    later->user_id = user_id;
    http_request_on_closed(request, forget_request, later);
    return later;
}

reply_later *reply_later_page(pool *p, http_request *request, uint64_t user_id, uint64_t *after) {
    slice text = {0};
    error ignored = {0};
    *after = 0;
    if (!form_get(http_request_query(request), "after", http_request_arena(request), &text, &ignored) ||
        (text.length > 0 && !slice_to_u64(text, after)) || *after > INT64_MAX) {
        reply_error(request, 400, "after", NULL, "after: the number that the last page ended with");
        return NULL;
    }
    return reply_later_new(p, request, user_id);
}

reply_later reply_later_take(void *context) {
    reply_later *later = context;
    reply_later copy = *later;
    secret_wipe(later, sizeof *later);
    memory_free(later);
    return copy;
}

bool reply_later_reserve(reply_later *later, size_t size, error *err) {
    later->room = buffer_make(REPLY_LIMIT);
    return buffer_reserve(&later->room, size) != NULL || error_memory(err);
}

void reply_json_begin_in(reply_json *answer, reply_later *taken) {
    answer->body = taken->room;
    taken->room = (buffer){0};
    answer->w = json_writer_make(&answer->body);
}

void reply_later_end(reply_later *taken) {
    buffer_wipe(&taken->room);
    secret_wipe(taken, sizeof *taken);
}

void reply_later_fail(reply_later *later, const error *failure) {
    reply_later taken = reply_later_take(later);
    reply_failure(taken.request, failure);
    reply_later_end(&taken);
}

bool reply_later_waits(reply_later *taken, const error *failure) {
    if (taken->request != NULL && failure != NULL) {
        reply_failure(taken->request, failure);
        taken->request = NULL;
    }
    return taken->request != NULL;
}

void reply_shut_out(http_request *request, const error *failure, bool shut_out) {
    if (request == NULL) {
        return;
    }
    if (failure == NULL) {
        reply_done(request);
    } else if (shut_out) {
        reply_error(request, reply_status_of(failure->code), NULL, error_code_name(failure->code),
                    "shut out until the pool restarts, but that could not be stored: %s; try again",
                    failure->text);
    } else {
        reply_failure(request, failure);
    }
}
