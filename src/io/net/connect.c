#include "base/memory.h"
#include "egress_internal.h"
#include "net_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

enum { CONNECT_TIMEOUT_MS = 10000 };

/* The name service may block: it is asked in the thread pool. Outlives the stream when that is closed. */
struct lookup {
    net_stream *stream; /* NULL once nobody waits for it */
    char host[HOST_SIZE];
    char port[8];
    struct addrinfo *found;
    int result;
};

void connecting_free(net_stream *stream) {
    if (stream->connecting == NULL) {
        return;
    }
    if (stream->connecting->lookup != NULL) {
        stream->connecting->lookup->stream = NULL;
    }
    ev_defer_cancel(&stream->connecting->start);
    memory_free(stream->connecting);
    stream->connecting = NULL;
}

static int ask(const char *host, const char *port, int flags, struct addrinfo **found) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    return getaddrinfo(host, port, &hints, found);
}

static void take_addresses(net_stream *stream, struct addrinfo *found) {
    connecting *c = stream->connecting;
    for (struct addrinfo *one = found; one != NULL && c->count < ADDRESSES_TRIED; one = one->ai_next) {
        if (one->ai_addrlen <= sizeof(net_address)) {
            memcpy(&c->addresses[c->count++], one->ai_addr, one->ai_addrlen);
        }
    }
    freeaddrinfo(found);
}

static void work_lookup(void *argument) {
    lookup *l = argument;
    l->result = ask(l->host, l->port, AI_ADDRCONFIG | AI_NUMERICSERV, &l->found);
}

static void lookup_done(void *argument) {
    lookup *l = argument;
    net_stream *stream = l->stream;
    if (stream == NULL) {
        if (l->result == 0) {
            freeaddrinfo(l->found);
        }
    } else if (l->result != 0) {
        error cause;
        error_set(&cause, ERROR_NOT_FOUND, "cannot find the address of %s: %s", l->host,
                  gai_strerror(l->result));
        stream_finish(stream, &cause);
    } else {
        stream->connecting->lookup = NULL;
        take_addresses(stream, l->found);
        connect_next(stream);
    }
    memory_free(l);
}

/* Tries the next address; when there is none left, the stream fails with the last one's reason. */
static void try_after(net_stream *stream, int reason) {
    connecting *c = stream->connecting;
    if (c->next < c->count) {
        connect_next(stream);
        return;
    }
    char address[NET_ADDRESS_SIZE];
    net_stream_peer(stream, address);
    error cause;
    error_set_errno(
        &cause, ERROR_IO, reason, "cannot connect to %s, port %u", address,
        ntohs(stream->peer.any.sa_family == AF_INET6 ? stream->peer.v6.sin6_port : stream->peer.v4.sin_port));
    stream_finish(stream, &cause);
}

void connect_next(net_stream *stream) {
    connecting *c = stream->connecting;
    if (c->next >= c->count) {
        stream_fail(stream, ERROR_NOT_FOUND, "the host has no address to connect to");
        return;
    }
    stream->peer = c->addresses[c->next++];
    bool v4 = stream->peer.any.sa_family == AF_INET;
    error err;
    int descriptor = net_egress_socket(c->host, &stream->peer.any, &err);
    if (descriptor < 0) {
        if (c->next < c->count) {
            connect_next(stream);
        } else {
            stream_finish(stream, &err);
        }
        return;
    }
    int on = 1;
    (void)setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (!stream_set_descriptor(stream, descriptor, &err)) {
        stream_finish(stream, &err);
        return;
    }
    stream->state = STREAM_CONNECTING;
    socklen_t size = v4 ? sizeof stream->peer.v4 : sizeof stream->peer.v6;
    if (connect(descriptor, &stream->peer.any, size) != 0 && errno != EINPROGRESS) {
        int reason = errno;
        stream_drop_descriptor(stream);
        try_after(stream, reason);
        return;
    }
    ev_watch_set(stream->watch, EV_WRITABLE);
}

void connect_finished(net_stream *stream) {
    int reason = 0;
    socklen_t size = sizeof reason;
    if (getsockopt(stream->descriptor, SOL_SOCKET, SO_ERROR, &reason, &size) != 0) {
        reason = errno;
    }
    if (reason != 0) {
        stream_drop_descriptor(stream);
        try_after(stream, reason);
        return;
    }
    stream_begin(stream);
}

static bool start_lookup(net_stream *stream, const char *port, error *err) {
    lookup *l = memory_allocate_zeroed(1, sizeof *l);
    if (l == NULL) {
        return error_memory(err);
    }
    l->stream = stream;
    snprintf(l->host, sizeof l->host, "%s", stream->connecting->host);
    snprintf(l->port, sizeof l->port, "%s", port);
    if (!ev_work(stream->owner->loop, work_lookup, lookup_done, l, err)) {
        memory_free(l);
        return false;
    }
    stream->connecting->lookup = l;
    return true;
}

static void on_start(void *argument) {
    connect_next(argument);
}

static bool start(net_stream *stream, const net_connect_options *options, error *err) {
    stream->connecting = memory_allocate_zeroed(1, sizeof *stream->connecting);
    if (stream->connecting == NULL) {
        return error_memory(err);
    }
    connecting *c = stream->connecting;
    ev_deferred_init(&c->start, on_start, stream);
    if (snprintf(c->host, sizeof c->host, "%s", options->host) >= (int)sizeof c->host) {
        return error_set(err, ERROR_INVALID, "the host's name is too long");
    }
    char port[8];
    snprintf(port, sizeof port, "%u", options->port);
    struct addrinfo *found = NULL;
    if (ask(c->host, port, AI_NUMERICHOST | AI_NUMERICSERV, &found) == 0) {
        take_addresses(stream, found);
        ev_defer(stream->owner->loop, &c->start);
        return true;
    }
    return net_egress_may_look_up(c->host, options->port, err) && start_lookup(stream, port, err);
}

net_stream *net_connect(net *n, const net_connect_options *options, const net_stream_handlers *handlers,
                        void *context, error *err) {
    if (options->tls != NULL && options->tls->is_server) {
        error_set(err, ERROR_INTERNAL, "connecting needs a client's TLS settings");
        return NULL;
    }
    net_stream *stream = stream_new(n, -1, err);
    if (stream == NULL) {
        return NULL;
    }
    if (!start(stream, options, err)) {
        stream_destroy(stream); /* without handlers: nobody is told */
        return NULL;
    }
    stream->tls = tls_hold(options->tls);
    net_stream_set_handlers(stream, handlers, context);
    ev_timer_start(n->loop, &stream->timer,
                   options->timeout_ms == 0 ? CONNECT_TIMEOUT_MS : options->timeout_ms);
    return stream;
}

static size_t keep_permitted(const char *host, const struct addrinfo *found,
                             struct sockaddr_storage *addresses, size_t limit, error *err) {
    size_t count = 0;
    for (; found != NULL && count < limit; found = found->ai_next) {
        if (found->ai_addrlen <= sizeof *addresses && net_egress_permits(host, found->ai_addr, err)) {
            memcpy(&addresses[count++], found->ai_addr, found->ai_addrlen);
        }
    }
    return count;
}

size_t net_egress_look_up(const char *host, uint16_t port, struct sockaddr_storage *addresses, size_t limit,
                          error *err) {
    char service[8];
    struct addrinfo *found = NULL;
    snprintf(service, sizeof service, "%u", port);
    if (ask(host, service, AI_NUMERICHOST | AI_NUMERICSERV, &found) != 0) {
        int result = net_egress_names(host, port) ? ask(host, service, AI_ADDRCONFIG | AI_NUMERICSERV, &found)
                                                  : EAI_FAIL;
        if (result != 0) {
            error_set(err, ERROR_NOT_FOUND, "cannot find the address of %s: %s", host,
                      result == EAI_FAIL ? "it isn't to be looked up, or the name service failed"
                                         : gai_strerror(result));
            return 0;
        }
    }
    error_set(err, ERROR_NOT_FOUND, "%s has no address", host);
    size_t count = keep_permitted(host, found, addresses, limit, err);
    freeaddrinfo(found);
    return count;
}
