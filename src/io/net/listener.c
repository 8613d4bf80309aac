#include "base/log.h"
#include "base/memory.h"
#include "net_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAUSE_MS = 100 };

static void accept_if_room(net_listener *listener) {
    net *n = listener->owner;
    bool room = n->accepted_count < n->config.connection_limit && !ev_timer_is_running(&listener->pause);
    ev_watch_set(listener->watch, room ? EV_READABLE : 0);
}

void listener_accept_again(net *n) {
    if (n->accepted_count + 1 != n->config.connection_limit) {
        return; /* there was room already */
    }
    for (list_node *node = n->listeners.next; node != &n->listeners; node = node->next) {
        accept_if_room(LIST_ENTRY(node, net_listener, node));
    }
}

static void on_pause_over(void *argument) {
    accept_if_room(argument);
}

static void take(net_listener *listener, int descriptor, const net_address *peer) {
    net *n = listener->owner;
    error err;
    net_stream *stream = stream_new(n, descriptor, &err);
    if (stream == NULL) {
        return; /* closed: the client sees it and comes again */
    }
    stream->peer = *peer;
    stream->accepted = true;
    stream->listener = listener;
    n->accepted_count++;
    stream->tls = tls_hold(listener->tls);
    if (listener->tls != NULL) {
        ev_timer_start(n->loop, &stream->timer, n->config.handshake_timeout_ms);
    }
    stream_begin(stream);
}

/* No descriptor or memory for one more: without a pause the level-triggered watch would spin. */
static void hold_back(net_listener *listener) {
    log_warning("cannot accept a connection, trying again shortly", LOG_TEXT("cause", strerror(errno)));
    ev_timer_start(listener->owner->loop, &listener->pause, PAUSE_MS);
    accept_if_room(listener);
}

static void on_ready(void *argument, unsigned events) {
    (void)events;
    net_listener *listener = argument;
    net *n = listener->owner;
    for (unsigned i = 0; i < n->config.accept_budget && n->accepted_count < n->config.connection_limit; i++) {
        net_address peer = {0};
        socklen_t size = sizeof peer;
        int descriptor = accept4(listener->descriptor, &peer.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (descriptor >= 0) {
            take(listener, descriptor, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            hold_back(listener);
            return;
        }
        if (errno != ECONNABORTED && errno != EINTR) {
            break;
        }
    }
    accept_if_room(listener);
}

static bool parse_address(const char *text, uint16_t port, net_address *address, socklen_t *size) {
    *address = (net_address){0};
    if (inet_pton(AF_INET, text, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(port);
        *size = sizeof address->v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(port);
        *size = sizeof address->v6;
        return true;
    }
    return false;
}

/* Accepted sockets inherit what is set here: no system call per connection. */
static void set_options(int descriptor, bool is_v6) {
    static const struct {
        int level;
        int name;
        int value;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},   {IPPROTO_TCP, TCP_NODELAY, 1},    {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60}, {IPPROTO_TCP, TCP_KEEPINTVL, 15}, {IPPROTO_TCP, TCP_KEEPCNT, 4},
        {IPPROTO_IPV6, IPV6_V6ONLY, 1},
    };
    size_t count = sizeof options / sizeof *options - (is_v6 ? 0 : 1);
    for (size_t i = 0; i < count; i++) {
        (void)setsockopt(descriptor, options[i].level, options[i].name, &options[i].value,
                         sizeof options[i].value);
    }
}

static int open_socket(const char *text, uint16_t port, unsigned backlog, uint16_t *bound, error *err) {
    net_address address;
    socklen_t size = 0;
    if (!parse_address(text, port, &address, &size)) {
        error_set(err, ERROR_INVALID, "\"%s\" is not an IPv4 or IPv6 address to listen on", text);
        return -1;
    }
    int descriptor = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor >= 0) {
        set_options(descriptor, address.any.sa_family == AF_INET6);
    }
    if (descriptor < 0 || bind(descriptor, &address.any, size) != 0 ||
        listen(descriptor, (int)(backlog > INT32_MAX ? INT32_MAX : backlog)) != 0 ||
        getsockname(descriptor, &address.any, &size) != 0) {
        error_set_errno(err, errno == EADDRINUSE ? ERROR_CONFLICT : ERROR_IO, errno,
                        "cannot listen on %s, port %u", text, port);
        if (descriptor >= 0) {
            close(descriptor);
        }
        return -1;
    }
    *bound = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return descriptor;
}

net_listener *net_listen(net *n, const char *address, uint16_t port, net_tls *tls,
                         void (*on_accept)(void *context, net_stream *stream), void *context, error *err) {
    if (tls != NULL && !tls->is_server) {
        error_set(err, ERROR_INTERNAL, "a listener needs a server's TLS settings");
        return NULL;
    }
    net_listener *listener = memory_allocate_zeroed(1, sizeof *listener);
    if (listener == NULL) {
        error_memory(err);
        return NULL;
    }
    listener->owner = n;
    listener->on_accept = on_accept;
    listener->context = context;
    list_init(&listener->node);
    ev_timer_init(&listener->pause, on_pause_over, listener);
    listener->descriptor = open_socket(address, port, n->config.backlog, &listener->port, err);
    listener->watch = listener->descriptor < 0
                          ? NULL
                          : ev_watch_new(n->loop, listener->descriptor, on_ready, listener, err);
    if (listener->watch == NULL) {
        net_listener_free(listener);
        return NULL;
    }
    listener->tls = tls_hold(tls);
    list_append(&n->listeners, &listener->node);
    accept_if_room(listener);
    return listener;
}

uint16_t net_listener_port(const net_listener *listener) {
    return listener->port;
}

/* Connections whose handshake isn't over belong to the listener still. */
static void cut_unfinished(net_listener *listener) {
    net *n = listener->owner;
    list_node *next = NULL;
    for (list_node *node = n->streams.next; node != &n->streams; node = next) {
        next = node->next;
        net_stream *stream = LIST_ENTRY(node, net_stream, node);
        if (stream->listener == listener) {
            stream->listener = NULL;
            stream_finish(stream, NULL);
        }
    }
}

void net_listener_free(net_listener *listener) {
    if (listener == NULL) {
        return;
    }
    cut_unfinished(listener);
    list_remove(&listener->node);
    ev_timer_stop(&listener->pause);
    ev_watch_free(listener->watch);
    if (listener->descriptor >= 0) {
        close(listener->descriptor);
    }
    net_tls_free(listener->tls);
    memory_free(listener);
}
