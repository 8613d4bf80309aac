#include "base/memory.h"
#include "websocket_internal.h"

enum { CLOSE_TIMEOUT_MS = 5000, CONTROL_ROOM = 4096, REASON_MAX = WEBSOCKET_CONTROL_MAX - 2 };

static void on_timer(void *argument);
static void on_again(void *argument);

websocket *websocket_new(net *n, const websocket_handlers *handlers, void *context, error *err) {
    websocket *ws = memory_allocate_zeroed(1, sizeof *ws);
    if (ws == NULL) {
        error_memory(err);
        return NULL;
    }
    ws->net = n;
    ws->handlers = handlers;
    ws->context = context;
    ws->code = WEBSOCKET_CUT;
    ws->message_limit = WEBSOCKET_MESSAGE_LIMIT;
    ws->queue_limit = WEBSOCKET_QUEUE_LIMIT;
    ws->message = buffer_make(ws->message_limit);
    ws->early = buffer_make(SIZE_MAX / 2); /* bounded by what one read gives: reading stops meanwhile */
    ev_timer_init(&ws->timer, on_timer, ws);
    ev_deferred_init(&ws->again, on_again, ws);
    return ws;
}

void websocket_free(websocket *ws) {
    ev_timer_stop(&ws->timer);
    ev_defer_cancel(&ws->again);
    frame_reader_free(ws);
    websocket_opening_free(ws->opening);
    buffer_free(&ws->message);
    buffer_free(&ws->early);
    memory_free(ws->reason);
    memory_free(ws);
}

void websocket_attach(websocket *ws, net_stream *stream) {
    ws->stream = stream;
    net_stream_set_handlers(stream, &websocket_stream_handlers, ws);
    net_stream_set_output_limit(stream, ws->queue_limit + CONTROL_ROOM);
}

void websocket_is_open(websocket *ws) {
    ws->state = WEBSOCKET_OPEN;
    ws->last_heard = ev_now_ms(net_loop(ws->net));
    ev_timer_stop(&ws->timer);
}

void websocket_keep_reason(websocket *ws, unsigned code, slice reason) {
    ws->code = (uint16_t)code;
    memory_free(ws->reason);
    ws->reason_length = 0;
    ws->reason = reason.length == 0 ? NULL : memory_allocate(reason.length);
    if (ws->reason != NULL) {
        memcpy(ws->reason, reason.data, reason.length);
        ws->reason_length = (uint8_t)reason.length;
    }
}

/* At most 123 bytes, cut between characters. */
static slice fitting_reason(const char *text) {
    slice reason = slice_of_text(text);
    if (reason.length > REASON_MAX) {
        reason.length = REASON_MAX;
        while (reason.length > 0 && (reason.data[reason.length] & 0xC0U) == 0x80U) {
            reason.length--;
        }
    }
    return reason;
}

static bool send_close(websocket *ws, unsigned code, slice reason) {
    uint8_t payload[WEBSOCKET_CONTROL_MAX];
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    if (reason.length > 0) {
        memcpy(payload + 2, reason.data, reason.length);
    }
    return frame_send(ws, WSLAY_CONNECTION_CLOSE, slice_of(payload, reason.length + 2));
}

static void end_connection(websocket *ws) {
    ws->state = WEBSOCKET_ENDING;
    ev_timer_stop(&ws->timer);
    net_stream_close(ws->stream);
}

void websocket_fail(websocket *ws, unsigned code, const char *reason) {
    bool open = ws->state == WEBSOCKET_OPEN;
    slice text = fitting_reason(reason);
    if (ws->state == WEBSOCKET_ENDING) {
        return;
    }
    if (open || ws->state == WEBSOCKET_OPENING) {
        websocket_keep_reason(ws, code, text);
    }
    ws->state = WEBSOCKET_ENDING;
    if (open && send_close(ws, code, text)) {
        end_connection(ws);
    } else {
        net_stream_abort(ws->stream);
    }
}

void websocket_close(websocket *ws, unsigned code, const char *reason) {
    if (ws->state == WEBSOCKET_OPENING) {
        websocket_abort(ws);
        return;
    }
    if (ws->state != WEBSOCKET_OPEN) {
        return;
    }
    slice text = fitting_reason(reason);
    websocket_keep_reason(ws, code, text);
    ws->state = WEBSOCKET_CLOSING;
    if (!send_close(ws, code, text)) {
        return;
    }
    ev_timer_start(net_loop(ws->net), &ws->timer, CLOSE_TIMEOUT_MS);
    ws->paused = false; /* to see the peer's answer */
    ev_defer(net_loop(ws->net), &ws->again);
}

void websocket_abort(websocket *ws) {
    if (ws->state == WEBSOCKET_OPEN || ws->state == WEBSOCKET_OPENING) {
        ws->code = WEBSOCKET_CUT;
    }
    ws->state = WEBSOCKET_ENDING;
    ev_timer_stop(&ws->timer);
    net_stream_abort(ws->stream);
}

static void on_timer(void *argument) {
    websocket *ws = argument;
    if (ws->state == WEBSOCKET_OPENING) {
        websocket_fail(ws, WEBSOCKET_CUT, "the server took too long to answer");
    } else {
        websocket_abort(ws);
    }
}

void websocket_message(websocket *ws, slice message, bool is_text) {
    if (is_text && !slice_is_utf8(message)) {
        websocket_fail(ws, WEBSOCKET_BAD_DATA, "the text is not UTF-8");
    } else if (ws->state == WEBSOCKET_OPEN) {
        ws->handlers->on_message(ws->context, message, is_text);
    }
}

/* RFC 6455 §7.4: what may stand in a close frame. */
static bool is_sendable_code(unsigned code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static void peer_closes(websocket *ws, slice payload) {
    unsigned code =
        payload.length >= 2 ? (unsigned)payload.data[0] << 8 | payload.data[1] : (unsigned)WEBSOCKET_NO_CODE;
    slice reason = slice_after(payload, 2);
    if (payload.length == 1 || (payload.length >= 2 && !is_sendable_code(code))) {
        websocket_fail(ws, WEBSOCKET_PROTOCOL_ERROR, "the close code is not allowed");
        return;
    }
    if (!slice_is_utf8(reason)) {
        websocket_fail(ws, WEBSOCKET_BAD_DATA, "the close reason is not UTF-8");
        return;
    }
    bool answer = ws->state == WEBSOCKET_OPEN;
    ws->peer_closed = true;
    if (answer) {
        websocket_keep_reason(ws, code, reason);
        ws->state = WEBSOCKET_ENDING;
        if (!frame_send(ws, WSLAY_CONNECTION_CLOSE, slice_part(payload, 0, 2))) {
            return;
        }
    }
    end_connection(ws);
}

void websocket_control(websocket *ws, uint8_t opcode, slice payload) {
    if (opcode == WSLAY_CONNECTION_CLOSE) {
        peer_closes(ws, payload);
    } else if (opcode == WSLAY_PING && ws->state == WEBSOCKET_OPEN && !frame_send(ws, WSLAY_PONG, payload)) {
        websocket_abort(ws);
    }
}

static void keep_rest(websocket *ws, slice rest) {
    if (rest.length > 0 && ws->state != WEBSOCKET_ENDING && !buffer_append(&ws->early, rest)) {
        websocket_abort(ws);
    }
}

static void settle(websocket *ws) {
    if (ws->state == WEBSOCKET_ENDING) {
        buffer_free(&ws->early);
        buffer_free(&ws->message);
        frame_reader_free(ws);
    } else if (ws->paused || buffer_length(&ws->early) > 0) {
        net_stream_pause_reading(ws->stream);
    } else {
        buffer_free(&ws->early);
        net_stream_resume_reading(ws->stream);
    }
}

static void on_again(void *argument) {
    websocket *ws = argument;
    if (ws->state == WEBSOCKET_OPEN || ws->state == WEBSOCKET_CLOSING) {
        size_t there = buffer_length(&ws->early);
        slice rest = frames_take(ws, buffer_slice(&ws->early));
        buffer_consume(&ws->early, there - rest.length);
    }
    settle(ws);
}

void websocket_take_early(websocket *ws, slice bytes) {
    keep_rest(ws, bytes);
    net_stream_pause_reading(ws->stream);
    ev_defer(net_loop(ws->net), &ws->again);
}

static void on_open(void *context) {
    websocket_opening_connected(context);
}

static void on_data(void *context, slice bytes) {
    websocket *ws = context;
    ws->last_heard = ev_now_ms(net_loop(ws->net));
    if (ws->state == WEBSOCKET_OPENING) {
        websocket_opening_data(ws, bytes);
        return;
    }
    if (ws->state == WEBSOCKET_ENDING) {
        return;
    }
    if (buffer_length(&ws->early) > 0) { /* an earlier piece waits: this one behind it */
        keep_rest(ws, bytes);
    } else {
        keep_rest(ws, frames_take(ws, bytes));
    }
    settle(ws);
}

static void on_end(void *context) {
    websocket *ws = context;
    if (ws->state == WEBSOCKET_OPENING) {
        websocket_fail(ws, WEBSOCKET_CUT, "the server hung up during the handshake");
    } else if (ws->state != WEBSOCKET_ENDING) {
        websocket_abort(ws);
    }
}

static void on_drained(void *context) {
    websocket *ws = context;
    if (ws->state == WEBSOCKET_OPEN && ws->handlers->on_drained != NULL) {
        ws->handlers->on_drained(ws->context);
    }
}

static void on_closed(void *context, const error *cause) {
    websocket *ws = context;
    if (cause != NULL && ws->code == WEBSOCKET_CUT && ws->reason == NULL) {
        websocket_keep_reason(ws, WEBSOCKET_CUT, slice_part(slice_of_text(cause->text), 0, UINT8_MAX));
    }
    ws->state = WEBSOCKET_ENDING;
    ws->handlers->on_closed(ws->context, ws->code, slice_of(ws->reason, ws->reason_length));
    websocket_free(ws);
}

const net_stream_handlers websocket_stream_handlers = {.on_open = on_open,
                                                       .on_data = on_data,
                                                       .on_end = on_end,
                                                       .on_drained = on_drained,
                                                       .on_closed = on_closed};

void websocket_limit_messages(websocket *ws, size_t limit) {
    size_t there = buffer_length(&ws->message);
    ws->message_limit = limit < there ? there : limit;
    ws->message.limit = ws->message_limit;
}

static bool send_if_room(websocket *ws, uint8_t opcode, slice payload) {
    size_t pending = websocket_pending(ws);
    if (ws->state != WEBSOCKET_OPEN) {
        return false;
    }
    if (pending > ws->queue_limit || payload.length > ws->queue_limit - pending) {
        net_stream_want_drained(ws->stream);
        return false;
    }
    return frame_send(ws, opcode, payload);
}

bool websocket_send_text(websocket *ws, slice text) {
    return send_if_room(ws, WSLAY_TEXT_FRAME, text);
}

bool websocket_send_binary(websocket *ws, slice bytes) {
    return send_if_room(ws, WSLAY_BINARY_FRAME, bytes);
}

bool websocket_ping(websocket *ws) {
    return send_if_room(ws, WSLAY_PING, slice_of(NULL, 0));
}

size_t websocket_pending(const websocket *ws) {
    return net_stream_pending(ws->stream);
}

void websocket_pause_reading(websocket *ws) {
    if (!ws->paused && ws->state == WEBSOCKET_OPEN) {
        ws->paused = true;
        net_stream_pause_reading(ws->stream);
    }
}

void websocket_resume_reading(websocket *ws) {
    if (ws->paused) {
        ws->paused = false;
        ev_defer(net_loop(ws->net), &ws->again);
    }
}

void websocket_peer(const websocket *ws, char text[NET_ADDRESS_SIZE]) {
    net_stream_peer(ws->stream, text);
}

bool websocket_peer_closed(const websocket *ws) {
    return ws->peer_closed;
}

uint64_t websocket_last_heard(const websocket *ws) {
    return ws->last_heard;
}

bool websocket_peer_certificate(const websocket *ws, char name[NET_PEER_NAME_SIZE], uint64_t *ends_unix_ms) {
    return net_stream_peer_certificate(ws->stream, name, ends_unix_ms);
}

bool websocket_tls_exporter(const websocket *ws, const char *label, uint8_t out[32], error *err) {
    return net_stream_tls_exporter(ws->stream, label, out, err);
}
