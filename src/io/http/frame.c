#include "base/memory.h"
#include "websocket_internal.h"

#include <openssl/rand.h>

static ssize_t give_input(uint8_t *bytes, size_t length, int flags, void *context) {
    (void)flags;
    frame_reader *reader = context;
    size_t count = reader->input.length < length ? reader->input.length : length;
    if (count == 0) {
        return -1;
    }
    memcpy(bytes, reader->input.data, count);
    reader->input = slice_after(reader->input, count);
    reader->given += count;
    return (ssize_t)count;
}

static bool reader_make(websocket *ws) {
    if (ws->reader != NULL) {
        return true;
    }
    frame_reader *reader = memory_allocate_zeroed(1, sizeof *reader);
    struct wslay_frame_callbacks callbacks = {.recv_callback = give_input};
    if (reader == NULL || wslay_frame_context_init(&reader->context, &callbacks, reader) != 0) {
        memory_free(reader);
        return false;
    }
    ws->reader = reader;
    return true;
}

void frame_reader_free(websocket *ws) {
    if (ws->reader != NULL) {
        memory_forget_block(ws->reader->context); /* what came last lies in it */
        wslay_frame_context_free(ws->reader->context);
        memory_free(ws->reader);
        ws->reader = NULL;
    }
}

static bool refuse(websocket *ws, unsigned code, const char *reason) {
    websocket_fail(ws, code, reason);
    return false;
}

/* RFC 6455 §5.1, §5.2, §5.4, §5.5 for a frame whose header is there. */
static bool check_header(websocket *ws, const struct wslay_frame_iocb *frame) {
    if (frame->rsv != 0) {
        return refuse(ws, WEBSOCKET_PROTOCOL_ERROR, "reserved bits are set");
    }
    if ((frame->mask != 0) == ws->is_client) {
        return refuse(ws, WEBSOCKET_PROTOCOL_ERROR, "a client masks its frames, a server doesn't");
    }
    switch (frame->opcode) {
    case WSLAY_CONNECTION_CLOSE:
    case WSLAY_PING:
    case WSLAY_PONG:
        return (frame->fin != 0 && frame->payload_length <= WEBSOCKET_CONTROL_MAX) ||
               refuse(ws, WEBSOCKET_PROTOCOL_ERROR, "a control frame is long or in pieces");
    case WSLAY_TEXT_FRAME:
    case WSLAY_BINARY_FRAME:
        if (ws->message_opcode != 0) {
            return refuse(ws, WEBSOCKET_PROTOCOL_ERROR, "a message begins inside another");
        }
        break;
    case WSLAY_CONTINUATION_FRAME:
        if (ws->message_opcode == 0) {
            return refuse(ws, WEBSOCKET_PROTOCOL_ERROR, "there is no message to continue");
        }
        break;
    default:
        return refuse(ws, WEBSOCKET_PROTOCOL_ERROR, "the opcode is unknown");
    }
    return frame->payload_length <= ws->message_limit - buffer_length(&ws->message) ||
           refuse(ws, WEBSOCKET_TOO_BIG, "the message is too large");
}

static uint64_t header_length(const struct wslay_frame_iocb *frame) {
    uint64_t extended = frame->payload_length > 65535 ? 8 : frame->payload_length > 125 ? 2 : 0;
    return 2 + extended + (frame->mask != 0 ? 4 : 0);
}

static bool begin_frame(websocket *ws, const struct wslay_frame_iocb *frame) {
    frame_reader *reader = ws->reader;
    if (!check_header(ws, frame)) {
        return false;
    }
    reader->in_frame = true;
    reader->opcode = frame->opcode;
    reader->final = frame->fin != 0;
    reader->left = frame->payload_length;
    reader->control_length = 0;
    reader->whole += header_length(frame) + frame->payload_length;
    if (frame->opcode == WSLAY_TEXT_FRAME || frame->opcode == WSLAY_BINARY_FRAME) {
        ws->message_opcode = frame->opcode;
    }
    return true;
}

static void end_message(websocket *ws, slice message) {
    bool is_text = ws->message_opcode == WSLAY_TEXT_FRAME;
    ws->message_opcode = 0;
    websocket_message(ws, message, is_text);
    buffer_free(&ws->message);
}

/* `data` is the last of its frame if nothing is left. */
static void take_payload(websocket *ws, slice data) {
    frame_reader *reader = ws->reader;
    reader->left -= data.length;
    bool frame_ends = reader->left == 0;
    reader->in_frame = !frame_ends;
    if (wslay_is_ctrl_frame(reader->opcode) != 0) {
        memcpy(reader->control + reader->control_length, data.data, data.length);
        reader->control_length += data.length;
        if (frame_ends) {
            websocket_control(ws, reader->opcode, slice_of(reader->control, reader->control_length));
        }
        return;
    }
    bool message_ends = frame_ends && reader->final;
    if (message_ends && buffer_length(&ws->message) == 0) {
        end_message(ws, data); /* in one piece: not copied */
        return;
    }
    if (!buffer_append(&ws->message, data)) {
        websocket_abort(ws);
    } else if (message_ends) {
        end_message(ws, buffer_slice(&ws->message));
    }
}

static bool may_take(const websocket *ws) {
    return (ws->state == WEBSOCKET_OPEN && !ws->paused) || ws->state == WEBSOCKET_CLOSING;
}

slice frames_take(websocket *ws, slice input) {
    if (input.length == 0 && ws->reader == NULL) {
        return input;
    }
    if (!reader_make(ws)) {
        websocket_abort(ws);
        return slice_of(NULL, 0);
    }
    frame_reader *reader = ws->reader;
    reader->input = input;
    while (may_take(ws)) {
        struct wslay_frame_iocb frame = {0};
        ssize_t length = wslay_frame_recv(reader->context, &frame);
        if (length == WSLAY_ERR_WANT_READ) {
            break;
        }
        if (length < 0) {
            websocket_fail(ws, WEBSOCKET_PROTOCOL_ERROR, "the frame is malformed");
            break;
        }
        if (!reader->in_frame && !begin_frame(ws, &frame)) {
            break;
        }
        take_payload(ws, slice_of(frame.data, (size_t)length));
    }
    slice rest = reader->input;
    reader->input = slice_of(NULL, 0);
    if (!reader->in_frame && reader->given == reader->whole) {
        frame_reader_free(ws);
    }
    return rest;
}

static ssize_t take_output(const uint8_t *bytes, size_t length, int flags, void *context) {
    (void)flags;
    websocket *ws = context;
    return net_stream_write(ws->stream, slice_of(bytes, length)) ? (ssize_t)length : -1;
}

/* RFC 6455 §10.3: unpredictable to whoever chose the payload. */
static int make_mask(uint8_t *mask, size_t length, void *context) {
    (void)context;
    return RAND_bytes(mask, (int)length) == 1 ? 0 : -1;
}

bool frame_send(websocket *ws, uint8_t opcode, slice payload) {
    struct wslay_frame_callbacks callbacks = {.send_callback = take_output, .genmask_callback = make_mask};
    wslay_frame_context_ptr context = NULL;
    if (wslay_frame_context_init(&context, &callbacks, ws) != 0) {
        return false;
    }
    static const uint8_t nothing = 0;
    struct wslay_frame_iocb frame = {.fin = 1,
                                     .opcode = opcode,
                                     .payload_length = payload.length,
                                     .mask = ws->is_client ? 1 : 0,
                                     .data = payload.data == NULL ? &nothing : payload.data,
                                     .data_length = payload.length};
    bool sent = true;
    do {
        ssize_t length = wslay_frame_send(context, &frame);
        sent = length >= 0;
        if (sent) {
            frame.data += length;
            frame.data_length -= (size_t)length;
        }
    } while (sent && frame.data_length > 0);
    memory_forget_block(context);
    wslay_frame_context_free(context);
    if (!sent) {
        websocket_abort(ws); /* half a frame may be queued */
    }
    return sent;
}
