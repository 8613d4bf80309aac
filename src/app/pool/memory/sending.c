#include "memory/sending.h"

#include "memory/task.h"
#include "reply.h"

enum { BEHIND_BYTES = 256 * 1024 };

static bool send_head(sending *s) {
    const http_header headers[] = {{SLICE_LITERAL("Content-Type"), s->media_type},
                                   {SLICE_LITERAL("Content-Disposition"), s->disposition},
                                   {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store")}};
    s->begun = true;
    return http_stream_begin(s->request, 200, headers, sizeof headers / sizeof headers[0]);
}

/* A page may be larger than what may wait for a client: piece by piece then. Where nothing can be written the
 * connection is cut, and on_closed follows; or the client is behind, and on_drained does. */
bool sending_go(sending *s) {
    if (!s->begun && !send_head(s)) {
        s->waits = true;
        return false;
    }
    while (buffer_length(&s->page) > 0) {
        slice piece = slice_part(buffer_slice(&s->page), 0, BEHIND_BYTES);
        if (http_stream_pending(s->request) > BEHIND_BYTES || !http_stream_write(s->request, piece)) {
            s->waits = true;
            return false;
        }
        buffer_consume(&s->page, piece.length);
    }
    buffer_wipe(&s->page);
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

void sending_start(sending *s, void (*on_closed)(void *context)) {
    s->page = buffer_make(SENDING_PAGE_MAX);
    http_request_on_closed(s->request, on_closed, s->context);
    http_request_on_drained(s->request, drained, s);
}

void sending_wipe(sending *s) {
    buffer_wipe(&s->page);
}

void sending_end(sending *s, const error *failure, const char *what) {
    http_request_on_closed(s->request, NULL, NULL);
    http_request_on_drained(s->request, NULL, NULL);
    sending_wipe(s);
    if (failure == NULL) {
        http_stream_end(s->request);
    } else if (s->begun) {
        http_stream_abort(s->request);
    } else if (failure->code == ERROR_NOT_FOUND) {
        memory_not_found(s->request, what);
    } else {
        reply_failure(s->request, failure);
    }
}
