#include "net_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/socket.h>

enum { LARGEST_TRANSFER = 1 << 30 };

static transfer plain_result(ssize_t moved, transfer wait) {
    if (moved >= 0) {
        return TRANSFER_DONE;
    }
    return errno == EAGAIN || errno == EINTR ? wait : TRANSFER_FAILED;
}

static transfer plain_read(net_stream *stream, uint8_t *bytes, size_t length, size_t *moved) {
    ssize_t got = recv(stream->descriptor, bytes, length, 0);
    *moved = got > 0 ? (size_t)got : 0;
    return got == 0 ? TRANSFER_END : plain_result(got, TRANSFER_WANT_READ);
}

static transfer plain_write(net_stream *stream, slice bytes, size_t *moved) {
    ssize_t sent = send(stream->descriptor, bytes.data, bytes.length, MSG_NOSIGNAL);
    *moved = sent > 0 ? (size_t)sent : 0;
    return plain_result(sent, TRANSFER_WANT_WRITE);
}

static bool plain_holds_input(const net_stream *stream) {
    (void)stream;
    return false;
}

static void plain_say_goodbye(net_stream *stream) {
    (void)stream;
}

const transport transport_plain = {plain_read, plain_write, plain_holds_input, plain_say_goodbye};

static transfer tls_result(net_stream *stream, int returned) {
    switch (SSL_get_error(stream->ssl, returned)) {
    case SSL_ERROR_NONE:
        return TRANSFER_DONE;
    case SSL_ERROR_WANT_READ:
        return TRANSFER_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TRANSFER_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TRANSFER_END;
    default: /* an end without close_notify is a failure: it may be somebody else's cut */
        return TRANSFER_FAILED;
    }
}

static transfer tls_read(net_stream *stream, uint8_t *bytes, size_t length, size_t *moved) {
    tls_clear_errors();
    errno = 0;
    int got = SSL_read(stream->ssl, bytes, length > LARGEST_TRANSFER ? LARGEST_TRANSFER : (int)length);
    *moved = got > 0 ? (size_t)got : 0;
    return got > 0 ? TRANSFER_DONE : tls_result(stream, got);
}

static transfer tls_write(net_stream *stream, slice bytes, size_t *moved) {
    tls_clear_errors();
    errno = 0;
    int length = bytes.length > LARGEST_TRANSFER ? LARGEST_TRANSFER : (int)bytes.length;
    int sent = SSL_write(stream->ssl, bytes.data, length);
    *moved = sent > 0 ? (size_t)sent : 0;
    return sent > 0 ? TRANSFER_DONE : tls_result(stream, sent);
}

static bool tls_holds_input(const net_stream *stream) {
    return SSL_has_pending(stream->ssl) == 1;
}

static void tls_say_goodbye(net_stream *stream) {
    tls_clear_errors();
    (void)SSL_shutdown(stream->ssl); /* close_notify, once, if there is room */
}

const transport transport_tls = {tls_read, tls_write, tls_holds_input, tls_say_goodbye};
