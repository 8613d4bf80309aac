#include "net_internal.h"

#include <openssl/err.h>

/* Each step costs up to 300 µs, so steps are queued and a bounded number is taken per turn. */
void handshake_ready(net_stream *stream) {
    net *n = stream->owner;
    ev_watch_set(stream->watch, 0);
    if (list_is_empty(&stream->queued)) {
        list_append(&n->handshakes, &stream->queued);
    }
    if (!ev_timer_is_running(&n->handshake_turn)) {
        ev_timer_start(n->loop, &n->handshake_turn, 0);
    }
}

static void handshake_failed(net_stream *stream) {
    error cause;
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

void run_handshakes(void *argument) {
    net *n = argument;
    for (unsigned i = 0; i < n->config.handshake_budget; i++) {
        list_node *node = list_first(&n->handshakes);
        if (node == NULL) {
            return;
        }
        list_remove(node);
        handshake_step(LIST_ENTRY(node, net_stream, queued));
    }
    if (!list_is_empty(&n->handshakes)) {
        ev_timer_start(n->loop, &n->handshake_turn, 0);
    }
}
