#include "sample/network.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

bool network_fail(network *n, error_code code, const char *format, ...) {
    if (!n->failed) {
        char text[ERROR_TEXT_SIZE];
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        n->failed = true;
        error_set(&n->failure, code, "%s", text);
    }
    return false;
}

void network_free(network *n) {
    memory_free(n->states);
    memory_free(n->edges);
    memory_free(n->rules);
    *n = (network){0};
}

/* Room for one more; false after a failure. */
static bool grow(network *n, void **items, uint32_t count, uint32_t *capacity, uint32_t most, size_t size) {
    if (n->failed) {
        return false;
    }
    if (count < *capacity) {
        return true;
    }
    if (count >= most) {
        return network_fail(n, ERROR_LIMIT,
                            "the grammar is too large for this engine: use fewer or shorter rules, "
                            "repetitions and lengths");
    }
    uint32_t larger = *capacity == 0 ? 64 : 2 * *capacity;
    void *grown = memory_resize(*items, larger * size);
    if (grown == NULL) {
        return network_fail(n, ERROR_MEMORY, "out of memory");
    }
    *items = grown;
    *capacity = larger;
    return true;
}

uint32_t network_rule(network *n) {
    void *items = n->rules;
    if (!grow(n, &items, n->rule_count, &n->rule_capacity, NETWORK_RULES_MAX, sizeof *n->rules)) {
        return 0;
    }
    n->rules = items;
    n->rules[n->rule_count] = (rule){NETWORK_NONE, NETWORK_NONE};
    return n->rule_count++;
}

void network_define(network *n, uint32_t rule_id, piece body) {
    if (!n->failed) {
        n->rules[rule_id] = (rule){body.start, body.end};
    }
}

uint32_t network_state(network *n) {
    void *items = n->states;
    if (!grow(n, &items, n->state_count, &n->state_capacity, NETWORK_STATES_MAX, sizeof *n->states)) {
        return 0;
    }
    n->states = items;
    n->states[n->state_count] = NETWORK_NONE;
    return n->state_count++;
}

static void add_edge(network *n, uint32_t from, edge e) {
    void *items = n->edges;
    if (!grow(n, &items, n->edge_count, &n->edge_capacity, NETWORK_EDGES_MAX, sizeof *n->edges)) {
        return;
    }
    n->edges = items;
    e.next = n->states[from];
    n->states[from] = n->edge_count;
    n->edges[n->edge_count++] = e;
}

void network_bytes_edge(network *n, uint32_t from, uint8_t low, uint8_t high, uint32_t target) {
    add_edge(n, from, (edge){.target = target, .kind = EDGE_BYTES, .low = low, .high = high});
}

void network_empty_edge(network *n, uint32_t from, uint32_t target) {
    add_edge(n, from, (edge){.target = target, .kind = EDGE_EMPTY});
}

void network_rule_edge(network *n, uint32_t from, uint32_t rule_id, uint32_t target) {
    add_edge(n, from, (edge){.target = target, .kind = EDGE_RULE, .rule = rule_id});
}

piece network_never(network *n) {
    uint32_t start = network_state(n);
    uint32_t end = network_state(n);
    return (piece){start, n->state_count, start, end};
}

piece network_nothing(network *n) {
    piece p = network_never(n);
    network_empty_edge(n, p.start, p.end);
    return p;
}

piece network_literal(network *n, slice bytes) {
    piece p = network_nothing(n);
    uint32_t at = p.end;
    for (size_t i = 0; i < bytes.length && !n->failed; i++) {
        uint32_t next = network_state(n);
        network_bytes_edge(n, at, bytes.data[i], bytes.data[i], next);
        at = next;
    }
    return (piece){p.from, n->state_count, p.start, at};
}

piece network_call(network *n, uint32_t rule_id) {
    piece p = network_never(n);
    network_rule_edge(n, p.start, rule_id, p.end);
    return p;
}

piece network_join(network *n, piece first, piece second) {
    network_empty_edge(n, first.end, second.start);
    return (piece){first.from, n->state_count, first.start, second.end};
}

piece network_either(network *n, piece first, piece second) {
    piece p = network_never(n);
    network_empty_edge(n, p.start, first.start);
    network_empty_edge(n, p.start, second.start);
    network_empty_edge(n, first.end, p.end);
    network_empty_edge(n, second.end, p.end);
    return (piece){first.from, n->state_count, p.start, p.end};
}

/* Copies stand one behind the other, so copy i of state s is s + i * size, where the copied one may stand
 * apart. */
static void copy(network *n, piece body) {
    uint32_t shift = n->state_count - body.from;
    for (uint32_t s = body.from; s < body.to && !n->failed; s++) {
        (void)network_state(n);
    }
    for (uint32_t s = body.from; s < body.to && !n->failed; s++) {
        for (uint32_t i = n->states[s]; i != NETWORK_NONE && !n->failed; i = n->edges[i].next) {
            edge e = n->edges[i];
            e.target += shift;
            add_edge(n, s + shift, e);
        }
    }
}

piece network_repeat(network *n, piece body, uint32_t least, uint32_t most) {
    if (most == 0) {
        return network_nothing(n);
    }
    bool unbounded = most == NETWORK_UNBOUNDED;
    uint32_t count = unbounded ? (least > 0 ? least : 1) : most;
    uint32_t base = n->state_count;
    for (uint32_t i = 1; i < count && !n->failed; i++) {
        copy(n, body);
    }
    piece p = network_never(n);
    if (least == 0) {
        network_empty_edge(n, p.start, p.end);
    }
    uint32_t size = body.to - body.from;
    uint32_t before = p.start;
    for (uint32_t i = 0; i < count && !n->failed; i++) {
        uint32_t shift = i == 0 ? 0 : base - body.from + (i - 1) * size;
        network_empty_edge(n, before, body.start + shift);
        before = body.end + shift;
        if (i + 1 >= least) {
            network_empty_edge(n, before, p.end);
        }
        if (unbounded && i + 1 == count) {
            network_empty_edge(n, before, body.start + shift);
        }
    }
    return (piece){body.from, n->state_count, p.start, p.end};
}
