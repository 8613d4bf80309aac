#include "memory/sending.h"

#include "memory/task.h"
#include "reply.h"

enum { BEHIND_BYTES = 256 * 1024 };

static bool send_head(sending *s) {
    const http_header headers[] = {{SLICE_LITERAL("Content-Type"), s->media_type},
                                   {SLICE_LITERAL("Content-Disposition"), s->disposition},
                                   {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store")}};
    s->reading.begun = true;
    return http_stream_begin(s->request, 200, headers, sizeof headers / sizeof headers[0]);
}

static bool wait(sending *s) {
    s->waits = true;
    if (s->reading.waits_ms == 0) {
        s->reading.waits_ms = ev_now_ms(s->pool->loop);
    }
    return false;
}

/* A page may be larger than what may wait for a client: piece by piece then. Where nothing can be written the
 * connection is cut, and on_closed follows; or the client is behind, and on_drained does. */
bool sending_go(sending *s) {
    if (!s->reading.begun && !send_head(s)) {
        return wait(s);
    }
    while (buffer_length(&s->page) > 0) {
        slice piece = slice_part(buffer_slice(&s->page), 0, BEHIND_BYTES);
        if (http_stream_pending(s->request) > BEHIND_BYTES || !http_stream_write(s->request, piece)) {
            return wait(s);
        }
        buffer_consume(&s->page, piece.length);
    }
    buffer_wipe(&s->page);
    s->reading.waits_ms = 0;
    return true;
}

static void drained(void *context, http_request *request) {
    sending *s = context;
    (void)request;
    if (s->waits) {
        s->waits = false;
        if (sending_go(s)) {
            s->go_on(s->context);
        }
    }
}

bool sending_start(sending *s, const account *who, void (*on_closed)(void *context), error *err) {
    s->page = buffer_make(SENDING_PAGE_MAX);
    if (!reading_start(s->pool, &s->reading, s->request, who, on_closed, s->context, err)) {
        return false;
    }
    http_request_on_drained(s->request, drained, s);
    return true;
}

void sending_wipe(sending *s) {
    buffer_wipe(&s->page);
}

void sending_end(sending *s, const error *failure, const char *what) {
    reading_stop(&s->reading);
    sending_wipe(s);
    if (failure == NULL) {
        http_stream_end(s->request);
    } else if (s->reading.begun) {
        http_stream_abort(s->request);
    } else if (failure->code == ERROR_NOT_FOUND) {
        memory_not_found(s->request, what);
    } else {
        reply_failure(s->request, failure);
    }
}
