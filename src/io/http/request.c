#include "server_internal.h"

enum { HEAD_ROOM = 8192 }; /* for the request itself and what the server keeps with it */

static arena *take_arena(http_server *server) {
    if (server->spare_count > 0) {
        return server->spares[--server->spare_count];
    }
    return arena_new(server->config.memory_limit + server->limits.head + server->config.body_limit +
                     HEAD_ROOM);
}

static void give_arena(http_server *server, arena *a) {
    if (a != NULL && server->spare_count < SPARE_ARENAS) {
        arena_reset(a);
        server->spares[server->spare_count++] = a;
    } else {
        arena_free(a);
    }
}

http_request *http_request_new(http_connection *connection) {
    http_server *server = connection->server;
    arena *a = take_arena(server);
    http_request *request = a == NULL ? NULL : arena_allocate(a, sizeof *request);
    if (request == NULL) {
        give_arena(server, a);
        return NULL;
    }
    request->connection = connection;
    request->arena = a;
    request->collected = buffer_make(server->config.body_limit);
    return request;
}

void request_tell_answered(http_request *request, unsigned status) {
    void (*on_answered)(void *context, unsigned status) = request->on_answered;
    request->on_answered = NULL;
    if (on_answered != NULL) {
        on_answered(request->answered_context, status);
    }
}

void http_request_free(http_request *request) {
    if (request != NULL) {
        request_tell_answered(request, 0);
        buffer_free(&request->collected);
        give_arena(request->connection->server, request->arena);
    }
}

slice http_request_method(const http_request *request) {
    return http1_text(&request->head, request->head.method);
}

slice http_request_path(const http_request *request) {
    return http1_text(&request->head, request->head.path);
}

slice http_request_query(const http_request *request) {
    return http1_text(&request->head, request->head.query);
}

/* Several fields of one name, with ", " between the values. */
static bool join_fields(const http_request *request, slice name, slice *value) {
    const http1_head *head = &request->head;
    size_t length = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (slice_equal_ignore_case(http1_text(head, head->fields[i].name), name)) {
            length += head->fields[i].value.length + 2U;
        }
    }
    uint8_t *text = arena_allocate(request->arena, length);
    if (text == NULL) {
        return false;
    }
    size_t end = 0;
    for (size_t i = 0; i < head->field_count; i++) {
        if (!slice_equal_ignore_case(http1_text(head, head->fields[i].name), name)) {
            continue;
        }
        if (end > 0) {
            text[end++] = ',';
            text[end++] = ' ';
        }
        slice part = http1_text(head, head->fields[i].value);
        memcpy(text + end, part.data, part.length);
        end += part.length;
    }
    *value = slice_of(text, end);
    return true;
}

bool http_request_header(const http_request *request, const char *name, slice *value) {
    slice wanted = slice_of_text(name);
    size_t count = http1_count(&request->head, wanted);
    if (count > 1) {
        return join_fields(request, wanted, value);
    }
    return count == 1 && http1_find(&request->head, wanted, value);
}

size_t http_request_header_count(const http_request *request, const char *name) {
    return http1_count(&request->head, slice_of_text(name));
}

slice http_request_body(const http_request *request) {
    return request->content;
}

arena *http_request_arena(http_request *request) {
    return request->arena;
}

const char *http_request_peer(http_request *request) {
    if (request->peer == NULL) {
        char text[NET_ADDRESS_SIZE];
        net_stream_peer(request->connection->stream, text);
        request->peer = arena_copy_text(request->arena, slice_of_text(text));
    }
    return request->peer == NULL ? "unknown" : request->peer;
}

bool http_request_is_tls(const http_request *request) {
    return net_stream_is_tls(request->connection->stream);
}

void http_request_limit_body(http_request *request, size_t limit) {
    request->collected.limit = limit < request->collected.limit ? limit : request->collected.limit;
}

void http_request_pause_body(http_request *request) {
    request->body_paused = true;
}

void http_request_resume_body(http_request *request) {
    if (request->body_paused) {
        request->body_paused = false;
        connection_go_on(request->connection);
    }
}

void http_request_on_closed(http_request *request, void (*on_closed)(void *context), void *context) {
    request->on_closed = on_closed;
    request->closed_context = context;
}

void http_request_on_answered(http_request *request, void (*on_answered)(void *context, unsigned status),
                              void *context) {
    request->on_answered = on_answered;
    request->answered_context = context;
}

void http_request_on_drained(http_request *request, void (*on_drained)(void *context, http_request *request),
                             void *context) {
    request->on_drained = on_drained;
    request->drained_context = context;
}
