#include "base/memory.h"
#include "server_internal.h"
#include "websocket_internal.h"

#include <stdio.h>

static void on_data(void *context, slice bytes);
static void on_end(void *context);
static void on_drained(void *context);
static void on_closed(void *context, const error *cause);
static void on_timer(void *argument);
static void on_go_on(void *argument);

static const net_stream_handlers stream_handlers = {
    .on_data = on_data, .on_end = on_end, .on_drained = on_drained, .on_closed = on_closed};

static ev_loop *loop_of(const http_connection *connection) {
    return net_loop(connection->server->net);
}

void connection_accept(void *context, net_stream *stream) {
    http_server *server = context;
    http_connection *connection = memory_allocate_zeroed(1, sizeof *connection);
    if (connection == NULL) {
        net_stream_abort(stream);
        return;
    }
    connection->server = server;
    connection->stream = stream;
    connection->input = buffer_make(server->limits.head + INPUT_SLACK);
    ev_timer_init(&connection->timer, on_timer, connection);
    ev_deferred_init(&connection->go_on, on_go_on, connection);
    list_append(&server->connections, &connection->node);
    server->connection_count++;
    net_stream_set_handlers(stream, &stream_handlers, connection);
    net_stream_set_output_limit(stream, SIZE_MAX / 2); /* bounded here instead, see http_stream_write */
    ev_timer_start(loop_of(connection), &connection->timer, server->config.head_timeout_ms);
}

void connection_free(http_connection *connection) {
    http_server *server = connection->server;
    http_request_free(connection->request);
    buffer_free(&connection->input);
    ev_timer_stop(&connection->timer);
    ev_defer_cancel(&connection->go_on);
    list_remove(&connection->node);
    memory_free(connection);
    server_connection_gone(server);
}

/* Takes the request from the connection and tells the application that its client is gone. */
static void lose_request(http_connection *connection) {
    http_request *request = connection->request;
    connection->request = NULL;
    if (request == NULL) {
        return;
    }
    bool tell = request->delivered && !request->over && request->on_closed != NULL;
    request->over = true;
    if (tell) {
        request->on_closed(request->closed_context);
    }
    http_request_free(request);
}

void connection_cut(http_connection *connection) {
    connection->state = CONNECTION_CLOSING;
    ev_timer_stop(&connection->timer);
    lose_request(connection);
    buffer_free(&connection->input);
    net_stream_abort(connection->stream);
}

static void on_closed(void *context, const error *cause) {
    (void)cause;
    http_connection *connection = context;
    connection->state = CONNECTION_CLOSING;
    lose_request(connection);
    connection_free(connection);
}

static void close_gracefully(http_connection *connection) {
    connection->state = CONNECTION_CLOSING;
    ev_timer_stop(&connection->timer);
    buffer_free(&connection->input);
    net_stream_close(connection->stream);
}

void connection_upgraded(http_connection *connection, websocket *ws) {
    http_request *request = connection->request;
    connection->request = NULL;
    connection->state = CONNECTION_CLOSING;
    connection->upgraded = ws;
    ev_timer_stop(&connection->timer);
    http_request_free(request);
    if (!connection->taking) {
        websocket_take_early(ws, buffer_slice(&connection->input));
        connection_free(connection);
    }
}

static void wait_for_request(http_connection *connection) {
    connection->state = CONNECTION_IDLE;
    ev_timer_start(loop_of(connection), &connection->timer, connection->server->config.idle_timeout_ms);
    connection_go_on(connection);
}

void connection_answered(http_connection *connection) {
    http_request *request = connection->request;
    bool keep_alive = request->keep_alive && request->body_complete && !connection->server->draining;
    connection->request = NULL;
    http_request_free(request);
    if (keep_alive) {
        wait_for_request(connection);
    } else {
        close_gracefully(connection);
    }
}

void connection_refuse(http_connection *connection, unsigned status, const char *reason) {
    http_server *server = connection->server;
    bool begun = connection->request != NULL && connection->request->begun;
    lose_request(connection);
    if (begun || connection->state == CONNECTION_CLOSING) {
        connection_cut(connection);
        return;
    }
    const char *media_type = "text/plain; charset=utf-8";
    slice body = slice_of_text(reason);
    if (server->handlers->error_body != NULL) {
        body = server->handlers->error_body(server->context, status, reason, &media_type);
    }
    http_header type = {SLICE_LITERAL("Content-Type"), slice_of_text(media_type)};
    buffer *head = response_head(server, status, &type, 1);
    buffer_append(head, SLICE_LITERAL("Connection: close\r\n"));
    http1_write_field_u64(head, SLICE_LITERAL("Content-Length"), body.length);
    if (response_send(connection, head, body)) {
        close_gracefully(connection);
    } else {
        connection_cut(connection);
    }
}

static void wait_for_answer(http_connection *connection) {
    connection->state = CONNECTION_ANSWER;
    ev_timer_start(loop_of(connection), &connection->timer, connection->server->config.write_timeout_ms);
}

static void body_finished(http_connection *connection) {
    http_server *server = connection->server;
    http_request *request = connection->request;
    request->body_complete = true;
    wait_for_answer(connection);
    if (request->streams_body) {
        server->handlers->on_body_end(server->context, request);
        return;
    }
    if (buffer_length(&request->collected) > 0) {
        request->content = buffer_slice(&request->collected);
    }
    request->delivered = true;
    server->handlers->on_request(server->context, request);
}

static void refuse_body(http_connection *connection, uint64_t limit) {
    char reason[96];
    snprintf(reason, sizeof reason, "the request's body is larger than the %llu bytes that are taken here",
             (unsigned long long)limit);
    connection_refuse(connection, 413, reason);
}

/* Returns how many bytes it took. */
static size_t take_body(http_connection *connection, slice input) {
    http_request *request = connection->request;
    size_t consumed = 0;
    slice data = {NULL, 0};
    error err;
    http1_progress progress = http1_body_decode(&request->body, input, &consumed, &data, &err);
    if (progress == HTTP1_BAD) {
        if (request->body.refusal == 413) {
            refuse_body(connection, request->body.limit);
        } else {
            connection_refuse(connection, request->body.refusal, err.text);
        }
        return input.length;
    }
    if (data.length > 0 && request->streams_body) {
        http_server *server = connection->server;
        server->handlers->on_body(server->context, request, data);
        if (connection->request != request || connection->state != CONNECTION_BODY) {
            return consumed;
        }
    } else if (!buffer_append(&request->collected, data)) {
        connection_refuse(connection, 503, "out of memory, try again later");
        return input.length;
    }
    if (progress == HTTP1_DONE) {
        body_finished(connection);
    }
    return consumed;
}

static bool invite_body(http_connection *connection) {
    return net_stream_write(connection->stream, SLICE_LITERAL("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void expect_body(http_connection *connection) {
    http_server *server = connection->server;
    http_request *request = connection->request;
    connection->state = CONNECTION_BODY;
    connection->timer_mark = 0;
    ev_timer_start(loop_of(connection), &connection->timer, server->config.body_timeout_ms);
    if (server->handlers->choose_body != NULL) {
        request->delivered = true; /* it may answer now */
        request->streams_body = server->handlers->choose_body(server->context, request) == HTTP_BODY_STREAM;
        if (connection->request != request || connection->state != CONNECTION_BODY) {
            return;
        }
        request->delivered = request->streams_body;
    }
    http1_limits limits = server->limits;
    limits.body = request->streams_body ? UINT64_MAX : request->collected.limit;
    if (request->head.framing == HTTP1_LENGTH && request->head.content_length > limits.body) {
        refuse_body(connection, limits.body);
        return;
    }
    http1_body_start(&request->body, &request->head, &limits);
    if (request->head.expect_continue && !invite_body(connection)) {
        connection_cut(connection);
        return;
    }
    if (request->streams_body) {
        server->handlers->on_request(server->context, request);
    }
}

static void head_finished(http_connection *connection, slice head) {
    http_server *server = connection->server;
    http_request *request = connection->request;
    slice copy;
    if (!arena_copy(request->arena, head, &copy)) {
        connection_refuse(connection, 503, "out of memory, try again later");
        return;
    }
    request->head.bytes = copy.data;
    connection->served++;
    request->is_head = slice_equal_text(http_request_method(request), "HEAD");
    bool empty = request->head.framing == HTTP1_NO_BODY ||
                 (request->head.framing == HTTP1_LENGTH && request->head.content_length == 0);
    if (!empty) {
        expect_body(connection);
        return;
    }
    request->body_complete = true;
    request->delivered = true;
    wait_for_answer(connection);
    server->handlers->on_request(server->context, request);
}

static size_t take_head(http_connection *connection, slice input) {
    http_server *server = connection->server;
    if (connection->request == NULL) {
        connection->request = http_request_new(connection);
        if (connection->request == NULL) {
            connection_refuse(connection, 503, "out of memory, try again later");
            return input.length;
        }
    }
    size_t consumed = 0;
    error err;
    http1_head *head = &connection->request->head;
    switch (http1_request_parse(input, &server->limits, head, &consumed, &err)) {
    case HTTP1_DONE:
        head_finished(connection, slice_part(input, 0, consumed));
        return consumed;
    case HTTP1_BAD:
        connection_refuse(connection, head->refusal, err.text);
        return input.length;
    case HTTP1_MORE:
        break;
    }
    if (connection->state == CONNECTION_IDLE) {
        connection->state = CONNECTION_HEAD;
        ev_timer_start(loop_of(connection), &connection->timer, server->config.head_timeout_ms);
    }
    return 0;
}

/* A client that asks on and on without taking the answers has to wait. */
static bool may_begin(const http_connection *connection) {
    return connection->state == CONNECTION_HEAD ||
           (connection->state == CONNECTION_IDLE &&
            net_stream_pending(connection->stream) <= connection->server->config.output_limit);
}

/* Takes what the state allows; returns how many bytes. */
static size_t connection_take(http_connection *connection, slice input) {
    size_t taken = 0;
    connection->taking = true;
    while (taken < input.length) {
        slice rest = slice_after(input, taken);
        if (connection->state == CONNECTION_BODY && !connection->request->body_paused) {
            taken += take_body(connection, rest);
        } else if (may_begin(connection)) {
            size_t consumed = take_head(connection, rest);
            taken += consumed;
            if (consumed == 0) {
                break;
            }
        } else {
            break;
        }
    }
    connection->taking = false;
    return taken;
}

/* After taking: what is left waits; while something waits that isn't part of a head, nothing more is read. */
static void settle(http_connection *connection) {
    if (connection->upgraded != NULL) {
        websocket_take_early(connection->upgraded, buffer_slice(&connection->input));
        connection_free(connection);
        return;
    }
    if (connection->state == CONNECTION_CLOSING || buffer_length(&connection->input) == 0) {
        buffer_free(&connection->input);
    }
    if (connection->state == CONNECTION_CLOSING) {
        return;
    }
    bool body_paused = connection->state == CONNECTION_BODY && connection->request->body_paused;
    bool full = buffer_length(&connection->input) > 0 &&
                (connection->state == CONNECTION_ANSWER || connection->state == CONNECTION_IDLE);
    if (full) {
        net_stream_want_drained(connection->stream);
    }
    if (body_paused || full) {
        net_stream_pause_reading(connection->stream);
    } else {
        net_stream_resume_reading(connection->stream);
    }
}

/* Memory is out: what came can't be kept. */
static void input_lost(http_connection *connection) {
    if (connection->upgraded != NULL) {
        websocket_abort(connection->upgraded);
        connection_free(connection);
    } else {
        connection_cut(connection);
    }
}

static void on_data(void *context, slice bytes) {
    http_connection *connection = context;
    if (connection->state == CONNECTION_CLOSING) {
        return;
    }
    buffer *input = &connection->input;
    bool fresh = buffer_length(input) == 0;
    size_t taken = 0;
    if (fresh) { /* the usual case: nothing is copied but the head */
        taken = connection_take(connection, bytes);
        bytes = slice_after(bytes, taken);
    }
    bool closing = connection->state == CONNECTION_CLOSING && connection->upgraded == NULL;
    if (!closing && bytes.length > 0 && !buffer_append(input, bytes)) {
        input_lost(connection);
        return;
    }
    if (!fresh) {
        buffer_consume(input, connection_take(connection, buffer_slice(input)));
    }
    settle(connection);
}

void connection_go_on(http_connection *connection) {
    if (!connection->taking) {
        ev_defer(loop_of(connection), &connection->go_on);
    }
}

static void on_go_on(void *argument) {
    http_connection *connection = argument;
    if (connection->state == CONNECTION_CLOSING) {
        return;
    }
    buffer_consume(&connection->input, connection_take(connection, buffer_slice(&connection->input)));
    settle(connection);
}

static void on_end(void *context) {
    http_connection *connection = context;
    switch (connection->state) {
    case CONNECTION_IDLE:
        close_gracefully(connection);
        break;
    case CONNECTION_HEAD:
    case CONNECTION_BODY:
    case CONNECTION_ANSWER:
        connection_cut(connection);
        break;
    case CONNECTION_CLOSING:
        break;
    }
}

static void on_drained(void *context) {
    http_connection *connection = context;
    http_request *request = connection->request;
    if (request != NULL && request->on_drained != NULL) {
        request->on_drained(request->drained_context, request);
    }
    connection_go_on(connection);
}

/* True if the client has sent too little since the last look. */
static bool body_is_slow(http_connection *connection) {
    http_request *request = connection->request;
    const http_server_config *config = &connection->server->config;
    uint64_t came = request->body.received - connection->timer_mark;
    uint64_t least = (uint64_t)config->body_rate * config->body_timeout_ms / 1000;
    connection->timer_mark = request->body.received;
    return !request->body_paused && came < (least == 0 ? 1 : least);
}

static bool client_takes_nothing(const http_connection *connection) {
    uint64_t now = ev_now_ms(loop_of(connection));
    return net_stream_pending(connection->stream) > 0 &&
           now - net_stream_last_progress(connection->stream) >= connection->server->config.write_timeout_ms;
}

static void on_timer(void *argument) {
    http_connection *connection = argument;
    const http_server_config *config = &connection->server->config;
    switch (connection->state) {
    case CONNECTION_IDLE:
        close_gracefully(connection);
        break;
    case CONNECTION_HEAD:
        connection_refuse(connection, 408, "the request took too long to arrive");
        break;
    case CONNECTION_BODY:
        if (body_is_slow(connection)) {
            connection_refuse(connection, 408, "the request's body took too long to arrive");
        } else {
            ev_timer_start(loop_of(connection), &connection->timer, config->body_timeout_ms);
        }
        break;
    case CONNECTION_ANSWER:
        if (client_takes_nothing(connection)) {
            connection_cut(connection);
        } else {
            ev_timer_start(loop_of(connection), &connection->timer, config->write_timeout_ms / 4 + 1);
        }
        break;
    case CONNECTION_CLOSING:
        break;
    }
}
