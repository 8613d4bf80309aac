#include "base/memory.h"
#include "net_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    OUTPUT_LIMIT = 1024 * 1024,
    WRITES_PER_TURN = 16, /* of one stream, then others have their turn */
    CLOSE_TIMEOUT_MS = 10000,
    LINGER_MS = 2000,
    LARGEST_READ_ROUND = 4,
};

static void on_again(void *argument);
static void on_timer(void *argument);
static void on_ready(void *argument, unsigned events);

static const error cut_by_memory = {ERROR_MEMORY, "out of memory"};

bool stream_set_descriptor(net_stream *stream, int descriptor, error *err) {
    stream->watch = ev_watch_new(stream->owner->loop, descriptor, on_ready, stream, err);
    if (stream->watch == NULL) {
        close(descriptor);
        return false;
    }
    stream->descriptor = descriptor;
    return true;
}

void stream_drop_descriptor(net_stream *stream) {
    ev_watch_free(stream->watch);
    stream->watch = NULL;
    if (stream->descriptor >= 0) {
        close(stream->descriptor);
        stream->descriptor = -1;
    }
}

net_stream *stream_new(net *n, int descriptor, error *err) {
    net_stream *stream = memory_allocate_zeroed(1, sizeof *stream);
    if (stream == NULL) {
        if (descriptor >= 0) {
            close(descriptor);
        }
        error_memory(err);
        return NULL;
    }
    stream->owner = n;
    stream->transport = &transport_plain;
    stream->descriptor = -1;
    stream->output = buffer_make(OUTPUT_LIMIT);
    list_init(&stream->queued);
    ev_timer_init(&stream->timer, on_timer, stream);
    ev_deferred_init(&stream->again, on_again, stream);
    if (descriptor >= 0 && !stream_set_descriptor(stream, descriptor, err)) {
        memory_free(stream);
        return NULL;
    }
    list_append(&n->streams, &stream->node);
    n->stream_count++;
    return stream;
}

bool stream_set_tls(net_stream *stream, net_tls *tls, const char *server_name, error *err) {
    stream->ssl = tls_new_session(tls, stream->descriptor, server_name, err);
    stream->transport = stream->ssl == NULL ? &transport_plain : &transport_tls;
    return stream->ssl != NULL;
}

/* Gives back descriptor, TLS and buffers. */
static void release(net_stream *stream) {
    if (stream->state == STREAM_CLOSED) {
        return;
    }
    stream->state = STREAM_CLOSED;
    handshake_over(stream);
    connecting_free(stream);
    list_remove(&stream->queued);
    ev_timer_stop(&stream->timer);
    SSL_free(stream->ssl);
    stream->ssl = NULL;
    stream->transport = &transport_plain;
    net_tls_free(stream->tls);
    stream->tls = NULL;
    buffer_free(&stream->output);
    stream_drop_descriptor(stream);
}

static void keep_cause(net_stream *stream, const error *cause) {
    if (cause == NULL || stream->cause != NULL) {
        return;
    }
    stream->cause = memory_allocate(sizeof *cause);
    if (stream->cause == NULL) {
        stream->cause = (error *)(uintptr_t)&cut_by_memory;
    } else {
        *stream->cause = *cause;
    }
}

void stream_finish(net_stream *stream, const error *cause) {
    if (stream->state == STREAM_CLOSED) {
        return;
    }
    keep_cause(stream, cause);
    release(stream);
    ev_defer(stream->owner->loop, &stream->again);
}

void stream_fail(net_stream *stream, error_code code, const char *text) {
    error cause;
    error_set(&cause, code, "%s", text);
    stream_finish(stream, &cause);
}

void stream_destroy(net_stream *stream) {
    net *n = stream->owner;
    release(stream);
    const net_stream_handlers *handlers = stream->handlers;
    stream->handlers = NULL;
    if (handlers != NULL) {
        handlers->on_closed(stream->context, stream->cause);
    }
    ev_defer_cancel(&stream->again);
    list_remove(&stream->node);
    n->stream_count--;
    if (stream->accepted) {
        n->accepted_count--;
        listener_accept_again(n);
    }
    if (stream->cause != &cut_by_memory) {
        memory_free(stream->cause);
    }
    memory_free(stream);
}

/* The system's reason, for a descriptor that failed. */
static void fail_of_system(net_stream *stream, int reason) {
    error cause;
    if (reason == 0) {
        socklen_t size = sizeof reason;
        (void)getsockopt(stream->descriptor, SOL_SOCKET, SO_ERROR, &reason, &size);
    }
    if (reason != 0) {
        error_set_errno(&cause, ERROR_IO, reason, "the connection failed");
    } else {
        error_set(&cause, ERROR_IO, "the peer cut the connection");
    }
    stream_finish(stream, &cause);
}

void stream_watch(net_stream *stream) {
    if (stream->watch == NULL) {
        return;
    }
    unsigned events = stream->output_waits || stream->read_wants_write ? (unsigned)EV_WRITABLE : 0U;
    if (stream->state == STREAM_LINGERING) {
        events |= EV_READABLE;
    } else if (!stream->input_ended && !stream->reading_paused && stream->state == STREAM_OPEN) {
        events |= EV_READABLE;
    } else if (!stream->input_ended && !stream->end_told && stream->state == STREAM_OPEN) {
        events |= EV_HANGUP;
    }
    ev_watch_set(stream->watch, events);
}

static void tell_end(net_stream *stream) {
    if (stream->end_told || stream->state != STREAM_OPEN) {
        return;
    }
    stream->end_told = true;
    if (stream->handlers != NULL) {
        stream->handlers->on_end(stream->context);
    }
}

static void read_failed(net_stream *stream, transfer result) {
    if (result == TRANSFER_END) {
        stream->input_ended = true;
        stream_watch(stream);
        tell_end(stream);
    } else {
        fail_of_system(stream, errno);
    }
}

/* One scratch buffer full at most, so that a fast sender doesn't keep the others waiting. */
static void read_input(net_stream *stream) {
    net *n = stream->owner;
    size_t length = 0;
    transfer result = TRANSFER_DONE;
    stream->read_wants_write = false;
    do {
        size_t moved = 0;
        result = stream->transport->read(stream, n->scratch + length, SCRATCH_SIZE - length, &moved);
        length += moved;
    } while (result == TRANSFER_DONE && length < SCRATCH_SIZE && stream->transport->holds_input(stream));
    int reason = errno;
    if (length > 0 && stream->handlers != NULL) {
        stream->handlers->on_data(stream->context, slice_of(n->scratch, length));
    }
    memory_forget(n->scratch, length);
    if (stream->state != STREAM_OPEN) {
        return;
    }
    if (result == TRANSFER_END || result == TRANSFER_FAILED) {
        errno = reason;
        read_failed(stream, result);
    } else if (result == TRANSFER_WANT_WRITE) {
        stream->read_wants_write = true;
        stream_watch(stream);
    } else if (result == TRANSFER_DONE && !stream->reading_paused && stream->transport->holds_input(stream)) {
        ev_defer(n->loop, &stream->again);
    }
}

/* Takes and drops what still comes, until the peer has closed as well. */
static void linger(net_stream *stream) {
    net *n = stream->owner;
    for (int round = 0; round < LARGEST_READ_ROUND; round++) {
        ssize_t got = recv(stream->descriptor, n->scratch, SCRATCH_SIZE, 0);
        if (got > 0) {
            memory_forget(n->scratch, (size_t)got);
            continue;
        }
        if (got == 0 || errno != EAGAIN) {
            stream_finish(stream, NULL);
        }
        return;
    }
}

static void on_again(void *argument) {
    net_stream *stream = argument;
    if (stream->state == STREAM_CLOSED) {
        stream_destroy(stream);
    } else if (stream->state == STREAM_OPEN && !stream->reading_paused && !stream->input_ended) {
        read_input(stream);
    }
}

void net_stream_pause_reading(net_stream *stream) {
    if (!stream->reading_paused) {
        stream->reading_paused = true;
        stream_watch(stream);
    }
}

void net_stream_resume_reading(net_stream *stream) {
    if (!stream->reading_paused) {
        return;
    }
    stream->reading_paused = false;
    stream_watch(stream);
    if (stream->state == STREAM_OPEN && stream->transport->holds_input(stream)) {
        ev_defer(stream->owner->loop, &stream->again);
    }
}

/* All is sent: on_closed is told now, the descriptor stays a little for the peer's sake. */
static void output_finished(net_stream *stream) {
    stream->transport->say_goodbye(stream);
    const net_stream_handlers *handlers = stream->handlers;
    stream->handlers = NULL;
    if (stream->input_ended || shutdown(stream->descriptor, SHUT_WR) != 0) {
        stream_finish(stream, NULL);
    } else {
        stream->state = STREAM_LINGERING;
        SSL_free(stream->ssl);
        stream->ssl = NULL;
        stream->transport = &transport_plain;
        buffer_free(&stream->output);
        ev_timer_start(stream->owner->loop, &stream->timer, LINGER_MS);
        stream_watch(stream);
    }
    if (handlers != NULL) {
        handlers->on_closed(stream->context, NULL);
    }
}

static transfer send_output(net_stream *stream) {
    transfer result = TRANSFER_DONE;
    for (int i = 0; i < WRITES_PER_TURN && buffer_length(&stream->output) > 0; i++) {
        size_t moved = 0;
        result = stream->transport->write(stream, buffer_slice(&stream->output), &moved);
        if (result != TRANSFER_DONE) {
            break;
        }
        stream->last_progress = ev_now_ms(stream->owner->loop);
        buffer_consume(&stream->output, moved);
    }
    return result;
}

void stream_flush(net_stream *stream) {
    if (stream->state != STREAM_OPEN && stream->state != STREAM_CLOSING) {
        return;
    }
    bool waited = stream->output_waits;
    bool tell = waited || stream->wants_drained;
    if (send_output(stream) == TRANSFER_FAILED) {
        fail_of_system(stream, errno);
        return;
    }
    bool empty = buffer_length(&stream->output) == 0;
    stream->output_waits = !empty;
    if (waited != stream->output_waits) {
        stream_watch(stream);
    }
    if (!empty) {
        return;
    }
    buffer_free(&stream->output);
    if (stream->state == STREAM_CLOSING) {
        output_finished(stream);
    } else if (tell && stream->handlers != NULL && stream->handlers->on_drained != NULL) {
        stream->wants_drained = false;
        stream->handlers->on_drained(stream->context);
    }
}

static void flush_this_turn(net_stream *stream) {
    if (stream->output_waits || !list_is_empty(&stream->queued)) {
        return;
    }
    list_append(&stream->owner->dirty, &stream->queued);
    ev_defer(stream->owner->loop, &stream->owner->flush);
}

bool net_stream_is_open(const net_stream *stream) {
    return stream->state == STREAM_OPEN;
}

bool net_stream_write_parts(net_stream *stream, const slice *parts, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (__builtin_add_overflow(total, parts[i].length, &total)) {
            return false;
        }
    }
    if (stream->state != STREAM_OPEN) {
        return false;
    }
    if (total > stream->output.limit - buffer_length(&stream->output)) {
        stream->wants_drained = true;
        return false;
    }
    if (total == 0) {
        return true;
    }
    if (buffer_length(&stream->output) == 0) {
        stream->last_progress = ev_now_ms(stream->owner->loop);
    }
    if (buffer_reserve(&stream->output, total) == NULL) {
        stream->output.failed = false; /* nothing was added: a later write may do */
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        (void)buffer_append(&stream->output, parts[i]);
    }
    flush_this_turn(stream);
    return true;
}

bool net_stream_write(net_stream *stream, slice bytes) {
    return net_stream_write_parts(stream, &bytes, 1);
}

void net_stream_set_output_limit(net_stream *stream, size_t limit) {
    size_t there = buffer_length(&stream->output);
    stream->output.limit = limit < there ? there : limit;
}

void net_stream_want_drained(net_stream *stream) {
    stream->wants_drained = buffer_length(&stream->output) > 0;
}

size_t net_stream_pending(const net_stream *stream) {
    return buffer_length(&stream->output);
}

uint64_t net_stream_last_progress(const net_stream *stream) {
    return stream->last_progress;
}

void net_stream_close(net_stream *stream) {
    if (stream->state == STREAM_OPEN) {
        stream->state = STREAM_CLOSING;
        ev_timer_start(stream->owner->loop, &stream->timer, CLOSE_TIMEOUT_MS);
        stream_watch(stream);
        flush_this_turn(stream);
    } else if (stream->state < STREAM_OPEN) {
        stream_finish(stream, NULL);
    }
}

void net_stream_abort(net_stream *stream) {
    if (stream->descriptor >= 0) {
        struct linger reset = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(stream->descriptor, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    }
    stream_finish(stream, NULL);
}

/* A slow peer may take its time as long as it takes anything. */
static void close_or_wait(net_stream *stream) {
    ev_loop *loop = stream->owner->loop;
    if (ev_now_ms(loop) - stream->last_progress < CLOSE_TIMEOUT_MS) {
        ev_timer_start(loop, &stream->timer, CLOSE_TIMEOUT_MS);
    } else {
        net_stream_abort(stream);
    }
}

static void on_timer(void *argument) {
    net_stream *stream = argument;
    switch (stream->state) {
    case STREAM_LINGERING:
        stream_finish(stream, NULL);
        break;
    case STREAM_CLOSING:
        close_or_wait(stream);
        break;
    default:
        stream_fail(stream, ERROR_TIMEOUT,
                    stream->state == STREAM_HANDSHAKING ? "the TLS handshake took too long"
                                                        : "the connection took too long to come about");
        break;
    }
}

void stream_begin(net_stream *stream) {
    if (stream->tls == NULL) {
        stream_opened(stream);
    } else if (stream->accepted) { /* the client speaks first */
        stream->state = STREAM_HANDSHAKING;
        ev_watch_set(stream->watch, EV_READABLE);
    } else {
        stream->state = STREAM_HANDSHAKING;
        handshake_ready(stream);
    }
}

void stream_opened(net_stream *stream) {
    handshake_over(stream);
    connecting_free(stream);
    stream->state = STREAM_OPEN;
    ev_timer_stop(&stream->timer);
    stream_watch(stream);
    net_listener *listener = stream->listener;
    stream->listener = NULL;
    if (listener != NULL) {
        listener->on_accept(listener->context, stream);
    } else if (stream->handlers != NULL && stream->handlers->on_open != NULL) {
        stream->handlers->on_open(stream->context);
    }
    if (stream->state == STREAM_OPEN && stream->transport->holds_input(stream)) {
        ev_defer(stream->owner->loop, &stream->again);
    }
}

static void on_open_ready(net_stream *stream, unsigned events) {
    if ((events & EV_WRITABLE) != 0 && stream->output_waits) {
        stream_flush(stream);
    }
    if (stream->state != STREAM_OPEN) {
        return;
    }
    bool may_read = !stream->reading_paused && !stream->input_ended;
    if ((events & EV_READABLE) != 0 && may_read) {
        read_input(stream);
    } else if ((events & EV_WRITABLE) != 0 && stream->read_wants_write && may_read) {
        read_input(stream);
        stream_watch(stream);
    } else if ((events & EV_HANGUP) != 0) {
        tell_end(stream);
        stream_watch(stream);
    }
}

static void on_ready(void *argument, unsigned events) {
    net_stream *stream = argument;
    switch (stream->state) {
    case STREAM_CONNECTING:
        connect_finished(stream);
        break;
    case STREAM_HANDSHAKING:
        handshake_ready(stream);
        break;
    case STREAM_OPEN:
        if ((events & EV_ERROR) != 0) {
            fail_of_system(stream, 0);
        } else {
            on_open_ready(stream, events);
        }
        break;
    case STREAM_CLOSING:
        if ((events & EV_ERROR) != 0) {
            fail_of_system(stream, 0);
        } else {
            stream_flush(stream);
        }
        break;
    case STREAM_LINGERING:
        linger(stream);
        break;
    case STREAM_LOOKING_UP:
    case STREAM_CLOSED:
        break;
    }
}

void net_stream_set_handlers(net_stream *stream, const net_stream_handlers *handlers, void *context) {
    stream->handlers = handlers;
    stream->context = context;
}

void net_stream_peer(const net_stream *stream, char text[NET_ADDRESS_SIZE]) {
    const struct in6_addr *v6 = &stream->peer.v6.sin6_addr;
    const char *written = NULL;
    if (stream->peer.any.sa_family == AF_INET) {
        written = inet_ntop(AF_INET, &stream->peer.v4.sin_addr, text, NET_ADDRESS_SIZE);
    } else if (stream->peer.any.sa_family == AF_INET6) {
        written = inet_ntop(AF_INET6, v6, text, NET_ADDRESS_SIZE);
    }
    if (written == NULL) {
        snprintf(text, NET_ADDRESS_SIZE, "unknown");
    }
}

bool net_stream_is_tls(const net_stream *stream) {
    return stream->tls != NULL;
}

bool net_stream_is_resumed(const net_stream *stream) {
    return stream->ssl != NULL && SSL_session_reused(stream->ssl) == 1;
}

bool net_stream_peer_certificate(const net_stream *stream, char name[NET_PEER_NAME_SIZE],
                                 uint64_t *ends_unix_ms) {
    const SSL *ssl = stream->ssl;
    const X509 *certificate = ssl == NULL || !stream->accepted ? NULL : SSL_get0_peer_certificate(ssl);
    struct tm end;
    if (certificate == NULL || SSL_get_verify_result(ssl) != X509_V_OK ||
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                  NET_PEER_NAME_SIZE) <= 0 ||
        ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) {
        tls_clear_errors();
        return false;
    }
    time_t seconds = timegm(&end);
    *ends_unix_ms = seconds > 0 ? (uint64_t)seconds * 1000 : 0;
    return true;
}

bool net_stream_tls_exporter(const net_stream *stream, const char *label, uint8_t out[32], error *err) {
    if (stream->ssl == NULL || stream->state != STREAM_OPEN) {
        return error_set(err, ERROR_UNSUPPORTED, "this connection is not protected by TLS");
    }
    if (SSL_version(stream->ssl) < TLS1_3_VERSION && SSL_get_extms_support(stream->ssl) != 1) {
        return error_set(err, ERROR_UNSUPPORTED, "this TLS 1.2 connection lacks extended master secret");
    }
    tls_clear_errors();
    return SSL_export_keying_material(stream->ssl, out, 32, label, strlen(label), NULL, 0, 0) == 1 ||
           tls_error(err, "cannot derive keying material from the TLS connection");
}
