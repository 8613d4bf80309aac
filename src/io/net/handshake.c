#include "base/memory.h"
#include "net_internal.h"

#include <openssl/err.h>

/* A step costs up to 300 µs, so steps are queued and a bounded number is taken per turn. A handshake that is
 * under way holds some 40 KiB: those are finished first, and while many are under way only a trickle begins,
 * so that a storm neither fills nor fragments the memory. (A trickle and not none: clients that stop in the
 * middle must not shut out the others.) */
enum { HANDSHAKES_AT_ONCE = 128 };

static void take_turn_soon(net *n) {
    if (!list_is_empty(&n->handshakes)) {
        ev_timer_start(n->loop, &n->handshake_turn, 0);
    } else if (!list_is_empty(&n->arrivals) && !ev_timer_is_running(&n->handshake_turn)) {
        ev_timer_start(n->loop, &n->handshake_turn, n->handshakes_begun < HANDSHAKES_AT_ONCE ? 0 : 1);
    }
}

void handshake_ready(net_stream *stream) {
    net *n = stream->owner;
    ev_watch_set(stream->watch, 0);
    if (list_is_empty(&stream->queued)) {
        list_append(stream->handshake_begun ? &n->handshakes : &n->arrivals, &stream->queued);
    }
    if (stream->accepted && !stream->handshake_begun) {
        ev_timer_stop(&stream->timer); /* from here on it is we who keep it waiting */
    }
    take_turn_soon(n);
}

void handshake_over(net_stream *stream) {
    if (stream->handshake_begun) {
        stream->handshake_begun = false;
        stream->owner->handshakes_begun--;
    }
}

/* What has come is read first: closing with it unread would reset the connection and take the answer back. */
static void answer_in_the_clear(net_stream *stream) {
    net *n = stream->owner;
    int reason = ERR_GET_REASON(ERR_peek_error());
    bool is_http = reason == SSL_R_HTTP_REQUEST || reason == SSL_R_HTTPS_PROXY_REQUEST;
    if (stream->accepted && is_http && n->config.plain_answer.length > 0) {
        ssize_t got = recv(stream->descriptor, n->scratch, sizeof n->scratch, MSG_DONTWAIT);
        memory_forget(n->scratch, got > 0 ? (size_t)got : 0);
        (void)!send(stream->descriptor, n->config.plain_answer.data, n->config.plain_answer.length,
                    MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

static void handshake_failed(net_stream *stream) {
    error cause;
    answer_in_the_clear(stream);
    long verified = SSL_get_verify_result(stream->ssl);
    if (!stream->accepted && verified != X509_V_OK) {
        error_set(&cause, ERROR_DENIED, "the server's certificate is not trusted: %s",
                  X509_verify_cert_error_string(verified));
        ERR_clear_error();
    } else {
        tls_error(&cause, "the TLS handshake failed");
        cause.code = cause.code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_IO;
    }
    stream_finish(stream, &cause);
}

static void handshake_step(net_stream *stream) {
    tls_clear_errors();
    int returned = SSL_do_handshake(stream->ssl);
    if (returned == 1) {
        stream_opened(stream);
        return;
    }
    switch (SSL_get_error(stream->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
        ev_watch_set(stream->watch, EV_READABLE);
        break;
    case SSL_ERROR_WANT_WRITE:
        ev_watch_set(stream->watch, EV_WRITABLE);
        break;
    default:
        handshake_failed(stream);
        break;
    }
}

static bool handshake_begin(net_stream *stream) {
    error err;
    const char *name = stream->accepted ? NULL : stream->connecting->host;
    stream->handshake_begun = true;
    stream->owner->handshakes_begun++;
    if (!stream_set_tls(stream, stream->tls, name, &err)) {
        stream_finish(stream, &err);
        return false;
    }
    connecting_free(stream);
    if (stream->accepted) {
        ev_timer_start(stream->owner->loop, &stream->timer, stream->owner->config.handshake_timeout_ms);
    }
    return true;
}

static net_stream *next_step(net *n) {
    list_node *node = list_first(&n->handshakes);
    if (node == NULL && !list_is_empty(&n->arrivals)) {
        uint64_t now = ev_now_ms(n->loop);
        if (n->handshakes_begun < HANDSHAKES_AT_ONCE || n->arrival_at != now) {
            n->arrival_at = n->handshakes_begun < HANDSHAKES_AT_ONCE ? n->arrival_at : now;
            node = list_first(&n->arrivals);
        }
    }
    return node == NULL ? NULL : LIST_ENTRY(node, net_stream, queued);
}

void run_handshakes(void *argument) {
    net *n = argument;
    for (unsigned i = 0; i < n->config.handshake_budget; i++) {
        net_stream *stream = next_step(n);
        if (stream == NULL) {
            break;
        }
        list_remove(&stream->queued);
        if (stream->handshake_begun || handshake_begin(stream)) {
            handshake_step(stream);
        }
    }
    take_turn_soon(n);
}
