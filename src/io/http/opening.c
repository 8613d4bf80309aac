#include "base/memory.h"
#include "codec/http1.h"
#include "websocket_internal.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>

enum { ANSWER_LIMIT = 65536, KEY_BYTES = 16, REQUEST_LIMIT = 8192, TIMEOUT_MS = 10000 };

/* The client's handshake, RFC 6455 §4.1. Freed once it is over. */
struct websocket_opening {
    char *host; /* as the Host field has it: with the port, IPv6 in brackets */
    char *path;
    char *subprotocol; /* or NULL */
    char key[WEBSOCKET_KEY_SIZE];
    char accept[WEBSOCKET_ACCEPT_SIZE];
    http1_head head;
    buffer answer;
};

void websocket_opening_free(websocket_opening *opening) {
    if (opening != NULL) {
        memory_free(opening->host);
        memory_free(opening->path);
        memory_free(opening->subprotocol);
        buffer_free(&opening->answer);
        memory_free(opening);
    }
}

static char *host_field(const websocket_options *options) {
    char text[512];
    bool v6 = strchr(options->host, ':') != NULL;
    bool usual = options->port == (options->tls != NULL ? 443 : 80);
    char port[8] = "";
    if (!usual) {
        snprintf(port, sizeof port, ":%u", options->port);
    }
    int length = snprintf(text, sizeof text, "%s%s%s%s", v6 ? "[" : "", options->host, v6 ? "]" : "", port);
    return length < (int)sizeof text ? memory_copy_string(text) : NULL;
}

static bool make_key(websocket_opening *opening) {
    uint8_t bytes[KEY_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1) {
        return false;
    }
    EVP_EncodeBlock((unsigned char *)opening->key, bytes, sizeof bytes);
    return websocket_accept_of(slice_of_text(opening->key), opening->accept);
}

static websocket_opening *opening_new(const websocket_options *options, error *err) {
    websocket_opening *opening = memory_allocate_zeroed(1, sizeof *opening);
    if (opening == NULL) {
        error_memory(err);
        return NULL;
    }
    opening->answer = buffer_make(ANSWER_LIMIT);
    opening->host = host_field(options);
    opening->path = memory_copy_string(options->path);
    opening->subprotocol = options->subprotocol == NULL ? NULL : memory_copy_string(options->subprotocol);
    bool copied = opening->host != NULL && opening->path != NULL &&
                  (opening->subprotocol != NULL) == (options->subprotocol != NULL);
    if (!copied || !make_key(opening)) {
        websocket_opening_free(opening);
        error_memory(err);
        return NULL;
    }
    return opening;
}

websocket *websocket_connect(net *n, const websocket_options *options, const websocket_handlers *handlers,
                             void *context, error *err) {
    websocket *ws = websocket_new(n, handlers, context, err);
    if (ws == NULL) {
        return NULL;
    }
    ws->is_client = true;
    ws->message_limit = options->message_limit == 0 ? ws->message_limit : options->message_limit;
    ws->queue_limit = options->queue_limit == 0 ? ws->queue_limit : options->queue_limit;
    ws->message = buffer_make(ws->message_limit);
    uint32_t timeout = options->timeout_ms == 0 ? TIMEOUT_MS : options->timeout_ms;
    net_connect_options where = {
        .host = options->host, .port = options->port, .tls = options->tls, .timeout_ms = timeout};
    ws->opening = opening_new(options, err);
    net_stream *stream =
        ws->opening == NULL ? NULL : net_connect(n, &where, &websocket_stream_handlers, ws, err);
    if (stream == NULL) {
        websocket_free(ws);
        return NULL;
    }
    websocket_attach(ws, stream);
    ev_timer_start(net_loop(n), &ws->timer, timeout);
    return ws;
}

void websocket_opening_connected(websocket *ws) {
    websocket_opening *opening = ws->opening;
    buffer request = buffer_make(REQUEST_LIMIT);
    http1_write_request(&request, SLICE_LITERAL("GET"), slice_of_text(opening->path));
    http1_write_field(&request, SLICE_LITERAL("Host"), slice_of_text(opening->host));
    http1_write_field(&request, SLICE_LITERAL("Upgrade"), SLICE_LITERAL("websocket"));
    http1_write_field(&request, SLICE_LITERAL("Connection"), SLICE_LITERAL("Upgrade"));
    http1_write_field(&request, SLICE_LITERAL("Sec-WebSocket-Key"), slice_of_text(opening->key));
    http1_write_field(&request, SLICE_LITERAL("Sec-WebSocket-Version"), SLICE_LITERAL("13"));
    if (opening->subprotocol != NULL) {
        http1_write_field(&request, SLICE_LITERAL("Sec-WebSocket-Protocol"),
                          slice_of_text(opening->subprotocol));
    }
    http1_write_head_end(&request);
    bool sent = !buffer_failed(&request) && net_stream_write(ws->stream, buffer_slice(&request));
    buffer_free(&request);
    if (!sent) {
        websocket_fail(ws, WEBSOCKET_CUT, "the handshake could not be sent");
    }
}

/* NULL if the server agreed to all that was asked and to nothing else. */
static const char *objection(const websocket_opening *opening) {
    const http1_head *head = &opening->head;
    slice value;
    if (head->status != 101) {
        return "the server refused a WebSocket";
    }
    if (!http1_list_has(head, SLICE_LITERAL("Upgrade"), SLICE_LITERAL("websocket")) ||
        !http1_list_has(head, SLICE_LITERAL("Connection"), SLICE_LITERAL("Upgrade"))) {
        return "the server did not upgrade the connection";
    }
    if (!http1_find(head, SLICE_LITERAL("Sec-WebSocket-Accept"), &value) ||
        !slice_equal_text(value, opening->accept)) {
        return "the server's handshake is wrong";
    }
    if (http1_count(head, SLICE_LITERAL("Sec-WebSocket-Extensions")) > 0) {
        return "the server uses an extension that was not asked for";
    }
    bool chosen = http1_find(head, SLICE_LITERAL("Sec-WebSocket-Protocol"), &value);
    if (chosen != (opening->subprotocol != NULL) ||
        (chosen && !slice_equal_text(value, opening->subprotocol))) {
        return "the server speaks another subprotocol";
    }
    return NULL;
}

static void answer_complete(websocket *ws, size_t consumed) {
    websocket_opening *opening = ws->opening;
    const char *why_not = objection(opening);
    if (why_not != NULL) {
        char text[128];
        snprintf(text, sizeof text, "%s (HTTP status %u)", why_not, opening->head.status);
        websocket_fail(ws, WEBSOCKET_CUT, text);
        return;
    }
    ws->opening = NULL;
    websocket_is_open(ws);
    if (ws->handlers->on_open != NULL) {
        ws->handlers->on_open(ws->context);
    }
    websocket_take_early(ws, slice_after(buffer_slice(&opening->answer), consumed));
    websocket_opening_free(opening);
}

void websocket_opening_data(websocket *ws, slice bytes) {
    websocket_opening *opening = ws->opening;
    size_t consumed = 0;
    error err;
    http1_limits limits = http1_limits_default(ANSWER_LIMIT);
    if (!buffer_append(&opening->answer, bytes)) {
        websocket_fail(ws, WEBSOCKET_CUT, "the server's answer is too long");
        return;
    }
    switch (http1_response_parse(buffer_slice(&opening->answer), &limits, &opening->head, &consumed, &err)) {
    case HTTP1_DONE:
        answer_complete(ws, consumed);
        break;
    case HTTP1_BAD:
        websocket_fail(ws, WEBSOCKET_CUT, err.text);
        break;
    case HTTP1_MORE:
        break;
    }
}
