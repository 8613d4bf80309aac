#include "base/memory.h"
#include "net_internal.h"

net_config net_config_default(void) {
    return (net_config){.connection_limit = 65536,
                        .backlog = 4096,
                        .accept_budget = 64,
                        .handshake_budget = 8,
                        .handshake_timeout_ms = 20000};
}

/* The end of a turn: what was written in it leaves. */
static void flush_dirty(void *argument) {
    net *n = argument;
    for (list_node *node = list_first(&n->dirty); node != NULL; node = list_first(&n->dirty)) {
        list_remove(node);
        stream_flush(LIST_ENTRY(node, net_stream, queued));
    }
}

net *net_new(ev_loop *loop, const net_config *config, error *err) {
    net *n = memory_allocate(sizeof *n);
    if (n == NULL) {
        error_memory(err);
        return NULL;
    }
    n->loop = loop;
    n->config = config == NULL ? net_config_default() : *config;
    n->stream_count = 0;
    n->accepted_count = 0;
    list_init(&n->streams);
    list_init(&n->listeners);
    list_init(&n->dirty);
    list_init(&n->handshakes);
    list_init(&n->arrivals);
    n->handshakes_begun = 0;
    n->arrival_at = 0;
    ev_deferred_init(&n->flush, flush_dirty, n);
    ev_timer_init(&n->handshake_turn, run_handshakes, n);
    return n;
}

void net_free(net *n) {
    if (n == NULL) {
        return;
    }
    for (list_node *node = list_first(&n->listeners); node != NULL; node = list_first(&n->listeners)) {
        net_listener_free(LIST_ENTRY(node, net_listener, node));
    }
    for (list_node *node = list_first(&n->streams); node != NULL; node = list_first(&n->streams)) {
        stream_destroy(LIST_ENTRY(node, net_stream, node));
    }
    ev_defer_cancel(&n->flush);
    ev_timer_stop(&n->handshake_turn);
    memory_free(n);
}

ev_loop *net_loop(const net *n) {
    return n->loop;
}

size_t net_connection_count(const net *n) {
    return n->stream_count;
}
