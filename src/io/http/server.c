#include "base/memory.h"
#include "server_internal.h"

#include <stdio.h>
#include <time.h>

http_server_config http_server_config_default(void) {
    return (http_server_config){.head_limit = 16384,
                                .body_limit = 1024 * 1024,
                                .memory_limit = 1024 * 1024,
                                .output_limit = 256 * 1024,
                                .head_timeout_ms = 10000,
                                .body_timeout_ms = 10000,
                                .body_rate = 256,
                                .idle_timeout_ms = 75000,
                                .write_timeout_ms = 30000,
                                .max_requests = 0,
                                .websocket_limit = 1024 * 1024,
                                .websocket_queue = 4 * 1024 * 1024};
}

const char *server_date(http_server *server) {
    time_t now = time(NULL);
    if ((uint64_t)now != server->date_second) {
        struct tm parts;
        server->date_second = (uint64_t)now;
        static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        gmtime_r(&now, &parts);
        snprintf(server->date, sizeof server->date, "%s, %02u %s %04u %02u:%02u:%02u GMT",
                 days[parts.tm_wday % 7], (unsigned)parts.tm_mday % 100U, months[parts.tm_mon % 12],
                 (unsigned)(parts.tm_year + 1900) % 10000U, (unsigned)parts.tm_hour % 100U,
                 (unsigned)parts.tm_min % 100U, (unsigned)parts.tm_sec % 100U);
    }
    return server->date;
}

static void tell_empty(void *argument) {
    http_server *server = argument;
    void (*on_empty)(void *) = server->on_empty;
    server->on_empty = NULL;
    if (on_empty != NULL) {
        on_empty(server->empty_context);
    }
}

static void check_empty(http_server *server) {
    if (server->draining && server->connection_count == 0) {
        ev_defer(net_loop(server->net), &server->empty);
    }
}

void server_connection_gone(http_server *server) {
    server->connection_count--;
    check_empty(server);
}

http_server *http_server_new(net *n, const http_server_config *config, const http_server_handlers *handlers,
                             void *context, error *err) {
    http_server *server = memory_allocate_zeroed(1, sizeof *server);
    if (server == NULL) {
        error_memory(err);
        return NULL;
    }
    server->net = n;
    server->config = config == NULL ? http_server_config_default() : *config;
    server->limits = http1_limits_default(UINT64_MAX); /* the body's limit depends on who takes it */
    server->limits.head =
        server->config.head_limit < HTTP1_HEAD_MAX ? server->config.head_limit : HTTP1_HEAD_MAX;
    server->handlers = handlers;
    server->context = context;
    server->head = buffer_make(HTTP1_HEAD_MAX);
    list_init(&server->connections);
    ev_deferred_init(&server->empty, tell_empty, server);
    return server;
}

bool http_server_listen(http_server *server, const char *address, uint16_t port, net_tls *tls,
                        uint16_t *bound, error *err) {
    http_listener *listener = memory_allocate(sizeof *listener);
    if (listener == NULL) {
        return error_memory(err);
    }
    listener->listener = net_listen(server->net, address, port, tls, connection_accept, server, err);
    if (listener->listener == NULL) {
        memory_free(listener);
        return false;
    }
    listener->next = server->listeners;
    server->listeners = listener;
    if (bound != NULL) {
        *bound = net_listener_port(listener->listener);
    }
    return true;
}

uint16_t http_server_port(const http_server *server) {
    const http_listener *listener = server->listeners;
    while (listener != NULL && listener->next != NULL) {
        listener = listener->next;
    }
    return listener == NULL ? 0 : net_listener_port(listener->listener);
}

static void free_listeners(http_server *server) {
    while (server->listeners != NULL) {
        http_listener *next = server->listeners->next;
        net_listener_free(server->listeners->listener);
        memory_free(server->listeners);
        server->listeners = next;
    }
}

void http_server_drain(http_server *server, void (*on_empty)(void *context), void *context) {
    server->draining = true;
    server->on_empty = on_empty;
    server->empty_context = context;
    free_listeners(server);
    list_node *next = NULL;
    for (list_node *node = server->connections.next; node != &server->connections; node = next) {
        next = node->next;
        http_connection *connection = LIST_ENTRY(node, http_connection, node);
        if (connection->state == CONNECTION_IDLE) {
            connection->state = CONNECTION_CLOSING;
            net_stream_close(connection->stream);
        }
    }
    check_empty(server);
}

size_t http_server_connection_count(const http_server *server) {
    return server->connection_count;
}

void http_server_free(http_server *server) {
    if (server == NULL) {
        return;
    }
    free_listeners(server);
    for (list_node *node = list_first(&server->connections); node != NULL;
         node = list_first(&server->connections)) {
        http_connection *connection = LIST_ENTRY(node, http_connection, node);
        connection_cut(connection);
        net_stream_set_handlers(connection->stream, NULL, NULL);
        connection_free(connection);
    }
    ev_defer_cancel(&server->empty);
    for (size_t i = 0; i < server->spare_count; i++) {
        arena_free(server->spares[i]);
    }
    buffer_free(&server->head);
    memory_free(server);
}
