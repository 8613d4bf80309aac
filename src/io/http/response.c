#include "server_internal.h"

#include <stdio.h>

enum { CHUNK_LINE_SIZE = 20 };

static bool has_content(unsigned status) {
    return status >= 200 && status != 204 && status != 304;
}

buffer *response_head(http_server *server, unsigned status, const http_header *headers, size_t count) {
    buffer *head = &server->head;
    buffer_clear(head);
    http1_write_status(head, status);
    for (size_t i = 0; i < count; i++) {
        http1_write_field(head, headers[i].name, headers[i].value);
    }
    buffer_append(head, SLICE_LITERAL("Date: "));
    buffer_append_text(head, server_date(server));
    buffer_append(head, SLICE_LITERAL("\r\n"));
    return head;
}

bool response_send(http_connection *connection, buffer *head, slice body) {
    http1_write_head_end(head);
    slice parts[] = {buffer_slice(head), body};
    return !buffer_failed(head) && net_stream_write_parts(connection->stream, parts, 2);
}

/* The client may ask for more on this connection only if all of this request was read. */
static void write_connection(http_request *request, buffer *head) {
    http_connection *connection = request->connection;
    const http_server *server = connection->server;
    uint32_t most = server->config.max_requests;
    request->keep_alive = request->keep_alive && request->head.keep_alive && request->body_complete &&
                          !server->draining && (most == 0 || connection->served < most);
    if (!request->keep_alive) {
        buffer_append(head, SLICE_LITERAL("Connection: close\r\n"));
    } else if (request->head.minor_zero) {
        buffer_append(head, SLICE_LITERAL("Connection: keep-alive\r\n"));
    }
}

void http_respond(http_request *request, unsigned status, const http_header *headers, size_t count,
                  slice body) {
    http_connection *connection = request->connection;
    if (request->over || request->begun) {
        return;
    }
    request->begun = true;
    request_tell_answered(request, status);
    request->keep_alive = true;
    buffer *head = response_head(connection->server, status, headers, count);
    write_connection(request, head);
    if (has_content(status)) {
        http1_write_field_u64(head, SLICE_LITERAL("Content-Length"), body.length);
    }
    bool without = request->is_head || !has_content(status);
    if (!response_send(connection, head, without ? slice_of(NULL, 0) : body)) {
        request->keep_alive = false;
        request->over = true;
        net_stream_abort(connection->stream);
    }
    connection_answered(connection);
}

bool http_stream_begin(http_request *request, unsigned status, const http_header *headers, size_t count) {
    http_connection *connection = request->connection;
    if (request->over || request->begun) {
        return false;
    }
    request->begun = true;
    request_tell_answered(request, status);
    request->chunked = !request->head.minor_zero;
    request->keep_alive = request->chunked; /* HTTP/1.0: the end of the connection is the end of the answer */
    buffer *head = response_head(connection->server, status, headers, count);
    write_connection(request, head);
    if (request->chunked) {
        buffer_append(head, SLICE_LITERAL("Transfer-Encoding: chunked\r\n"));
    }
    if (!response_send(connection, head, slice_of(NULL, 0))) {
        net_stream_abort(connection->stream);
        return false;
    }
    return true;
}

bool http_request_is_cut(const http_request *request) {
    return request->over || !net_stream_is_open(request->connection->stream);
}

bool http_stream_write(http_request *request, slice bytes) {
    http_connection *connection = request->connection;
    size_t limit = connection->server->config.output_limit;
    size_t pending = net_stream_pending(connection->stream);
    if (request->over || !request->begun) {
        return false;
    }
    if (pending > limit || bytes.length > limit - pending) {
        net_stream_want_drained(connection->stream);
        return false;
    }
    if (request->is_head || bytes.length == 0) {
        return true;
    }
    bool written = false;
    if (request->chunked) {
        char line[CHUNK_LINE_SIZE];
        int length = snprintf(line, sizeof line, "%zx\r\n", bytes.length);
        slice parts[] = {slice_of(line, (size_t)length), bytes, SLICE_LITERAL("\r\n")};
        written = net_stream_write_parts(connection->stream, parts, 3);
    } else {
        written = net_stream_write(connection->stream, bytes);
    }
    if (!written) { /* the limit is far: memory is out */
        net_stream_abort(connection->stream);
    }
    return written;
}

size_t http_stream_pending(const http_request *request) {
    return net_stream_pending(request->connection->stream);
}

void http_stream_end(http_request *request) {
    http_connection *connection = request->connection;
    if (request->over) {
        return;
    }
    if (request->chunked && !request->is_head &&
        !net_stream_write(connection->stream, SLICE_LITERAL("0\r\n\r\n"))) {
        http_stream_abort(request);
        return;
    }
    connection_answered(connection);
}

void http_stream_abort(http_request *request) {
    if (request->over) {
        return;
    }
    request->over = true;
    request->keep_alive = false;
    net_stream_abort(request->connection->stream);
    connection_answered(request->connection);
}
