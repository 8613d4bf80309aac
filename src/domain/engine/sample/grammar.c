#include "sample/grammar.h"

#include "base/memory.h"

#include <stdlib.h>

enum {
    FRAMES_MAX = 1 << 16,
    MEMBERS_MAX = 1 << 21,
    MOVES_MAX = 1 << 22,
    MASK_ROOM = 8 * 1024 * 1024,
};
#define MOVE_UNKNOWN UINT32_MAX /* above every frame */

typedef struct indices {
    uint32_t *items;
    uint32_t count;
    uint32_t capacity;
} indices;

struct grammar {
    network net;
    bool *ends;            /* of each state: whether its rule ends there */
    uint8_t class_of[256]; /* bytes that no edge tells apart */
    uint32_t class_count;
    frame *frames; /* the first is FRAME_DEAD */
    uint32_t frame_count;
    uint32_t frame_capacity;
    indices moves;   /* class_count for each frame */
    indices members; /* of all frames */
    indices calls;   /* likewise: edges of the network */
    uint32_t *table; /* frame ids by the hash of their members, open addressing; 0: free */
    uint32_t table_size;
    uint32_t *alone;   /* frame of each state; MOVE_UNKNOWN: not made yet */
    uint32_t *visited; /* of each state: the closure that met it last */
    uint32_t closure_number;
    uint32_t *closure;
    uint32_t closure_count;
    size_t mask_room;
    bool failed;
    error failure;
};

static bool fail(grammar *g, error_code code, const char *text) {
    if (!g->failed) {
        g->failed = true;
        error_set(&g->failure, code, "%s", text);
    }
    return false;
}

static bool reserve(grammar *g, indices *list, uint32_t more, uint32_t most) {
    if (list->capacity - list->count >= more) {
        return true;
    }
    if (more > most - list->count) {
        return fail(g, ERROR_LIMIT, "the grammar has too many states for this engine: make it simpler");
    }
    uint32_t capacity = list->capacity == 0 ? 1024 : list->capacity;
    while (capacity - list->count < more) {
        capacity *= 2;
    }
    uint32_t *grown = memory_resize(list->items, capacity * sizeof *grown);
    if (grown == NULL) {
        return fail(g, ERROR_MEMORY, "out of memory");
    }
    list->items = grown;
    list->capacity = capacity;
    return true;
}

static void visit(grammar *g, uint32_t state) {
    if (g->visited[state] != g->closure_number) {
        g->visited[state] = g->closure_number;
        g->closure[g->closure_count++] = state;
    }
}

static void start_set(grammar *g) {
    g->closure_number++;
    g->closure_count = 0;
}

static int compare_states(const void *a, const void *b) {
    uint32_t first = *(const uint32_t *)a;
    uint32_t second = *(const uint32_t *)b;
    return first < second ? -1 : first > second;
}

/* Adds what the set reaches without taking anything; keeps, in order, those that can do more. */
static void close_set(grammar *g) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < g->closure_count; i++) {
        uint32_t state = g->closure[i];
        bool matters = g->ends[state];
        for (uint32_t e = g->net.states[state]; e != NETWORK_NONE; e = g->net.edges[e].next) {
            if (g->net.edges[e].kind == EDGE_EMPTY) {
                visit(g, g->net.edges[e].target);
            } else {
                matters = true;
            }
        }
        if (matters) {
            g->closure[kept++] = state;
        }
    }
    g->closure_count = kept;
    qsort(g->closure, kept, sizeof *g->closure, compare_states);
}

static uint32_t hash_set(const uint32_t *states, uint32_t count) {
    uint32_t hash = 2166136261U;
    for (uint32_t i = 0; i < count; i++) {
        hash = (hash ^ states[i]) * 16777619U;
        hash ^= hash >> 15;
    }
    return hash;
}

/* The place of the closure's frame, or the free place where it belongs. */
static uint32_t *find_place(const grammar *g, const uint32_t *states, uint32_t count) {
    uint32_t at = hash_set(states, count) & (g->table_size - 1);
    while (g->table[at] != 0) {
        const frame *f = &g->frames[g->table[at]];
        if (f->member_count == count &&
            memcmp(g->members.items + f->first_member, states, count * sizeof *states) == 0) {
            break;
        }
        at = (at + 1) & (g->table_size - 1);
    }
    return &g->table[at];
}

static bool grow_table(grammar *g) {
    if (g->table_size >= 2 * (g->frame_count + 1)) {
        return true;
    }
    uint32_t *old = g->table;
    uint32_t size = g->table_size == 0 ? 256 : 2 * g->table_size;
    g->table = memory_allocate_zeroed(size, sizeof *g->table);
    if (g->table == NULL) {
        g->table = old;
        return fail(g, ERROR_MEMORY, "out of memory");
    }
    g->table_size = size;
    for (uint32_t i = 1; i < g->frame_count; i++) {
        const frame *f = &g->frames[i];
        *find_place(g, g->members.items + f->first_member, f->member_count) = i;
    }
    memory_free(old);
    return true;
}

static bool grow_frames(grammar *g) {
    if (g->frame_count < g->frame_capacity) {
        return true;
    }
    if (g->frame_count >= FRAMES_MAX) {
        return fail(g, ERROR_LIMIT, "the grammar has too many states for this engine: make it simpler");
    }
    uint32_t capacity = g->frame_capacity == 0 ? 64 : 2 * g->frame_capacity;
    frame *frames = memory_resize(g->frames, capacity * sizeof *frames);
    if (frames == NULL) {
        return fail(g, ERROR_MEMORY, "out of memory");
    }
    g->frames = frames;
    g->frame_capacity = capacity;
    return true;
}

/* Adds the closure as a frame. */
static uint32_t add_frame(grammar *g) {
    if (!grow_frames(g) || !grow_table(g) || !reserve(g, &g->members, g->closure_count, MEMBERS_MAX) ||
        !reserve(g, &g->moves, g->class_count, MOVES_MAX)) {
        return FRAME_DEAD;
    }
    frame f = {
        .first_member = g->members.count, .member_count = g->closure_count, .first_call = g->calls.count};
    for (uint32_t i = 0; i < g->closure_count; i++) {
        uint32_t state = g->closure[i];
        f.ends = f.ends || g->ends[state];
        for (uint32_t e = g->net.states[state]; e != NETWORK_NONE; e = g->net.edges[e].next) {
            f.takes_bytes = f.takes_bytes || g->net.edges[e].kind == EDGE_BYTES;
            if (g->net.edges[e].kind == EDGE_RULE) {
                if (!reserve(g, &g->calls, 1, MEMBERS_MAX)) {
                    return FRAME_DEAD;
                }
                g->calls.items[g->calls.count++] = e;
            }
        }
        g->members.items[g->members.count + i] = state;
    }
    f.call_count = g->calls.count - f.first_call;
    f.only_end = f.ends && !f.takes_bytes && f.call_count == 0;
    g->members.count += g->closure_count;
    for (uint32_t i = 0; i < g->class_count; i++) {
        g->moves.items[g->moves.count++] = MOVE_UNKNOWN;
    }
    if (g->frame_count != FRAME_DEAD) {
        *find_place(g, g->closure, g->closure_count) = g->frame_count;
    }
    g->frames[g->frame_count] = f;
    return g->frame_count++;
}

static uint32_t frame_of_closure(grammar *g) {
    close_set(g);
    if (g->closure_count == 0) {
        return FRAME_DEAD;
    }
    uint32_t found = *find_place(g, g->closure, g->closure_count);
    return found != 0 ? found : add_frame(g);
}

uint32_t grammar_move(grammar *g, uint32_t frame_id, uint8_t byte) {
    size_t place = (size_t)frame_id * g->class_count + g->class_of[byte];
    if (g->moves.items[place] != MOVE_UNKNOWN) {
        return g->moves.items[place];
    }
    if (g->failed) {
        return FRAME_DEAD;
    }
    const frame *f = &g->frames[frame_id];
    start_set(g);
    for (uint32_t i = 0; i < f->member_count; i++) {
        uint32_t state = g->members.items[f->first_member + i];
        for (uint32_t e = g->net.states[state]; e != NETWORK_NONE; e = g->net.edges[e].next) {
            const edge *taken = &g->net.edges[e];
            if (taken->kind == EDGE_BYTES && taken->low <= byte && byte <= taken->high) {
                visit(g, taken->target);
            }
        }
    }
    uint32_t next = frame_of_closure(g);
    if (!g->failed) {
        g->moves.items[place] = next;
    }
    return next;
}

uint32_t grammar_frame_of(grammar *g, uint32_t state) {
    if (g->alone[state] == MOVE_UNKNOWN && !g->failed) {
        start_set(g);
        visit(g, state);
        uint32_t made = frame_of_closure(g);
        g->alone[state] = g->failed ? MOVE_UNKNOWN : made;
    }
    return g->alone[state] == MOVE_UNKNOWN ? FRAME_DEAD : g->alone[state];
}

uint32_t grammar_rule_start(const grammar *g, uint32_t rule_id) {
    return g->net.rules[rule_id].start;
}

uint32_t grammar_rule_count(const grammar *g) {
    return g->net.rule_count;
}

frame *grammar_frame(const grammar *g, uint32_t frame_id) {
    return &g->frames[frame_id];
}

void grammar_call(const grammar *g, const frame *f, uint32_t index, uint32_t *rule_id, uint32_t *back) {
    const edge *e = &g->net.edges[g->calls.items[f->first_call + index]];
    *rule_id = e->rule;
    *back = e->target;
}

size_t *grammar_mask_room(grammar *g) {
    return &g->mask_room;
}

const error *grammar_failure(const grammar *g) {
    return g->failed ? &g->failure : NULL;
}

static void find_classes(grammar *g) {
    bool begins[257] = {true};
    for (uint32_t i = 0; i < g->net.edge_count; i++) {
        if (g->net.edges[i].kind == EDGE_BYTES) {
            begins[g->net.edges[i].low] = true;
            begins[g->net.edges[i].high + 1] = true;
        }
    }
    for (unsigned b = 0; b < 256; b++) {
        if (begins[b]) {
            g->class_count++;
        }
        g->class_of[b] = (uint8_t)(g->class_count - 1);
    }
}

static bool prepare(grammar *g) {
    uint32_t states = g->net.state_count;
    g->ends = memory_allocate_zeroed(states, sizeof *g->ends);
    g->alone = memory_allocate_zeroed(states, sizeof *g->alone);
    g->visited = memory_allocate_zeroed(states, sizeof *g->visited);
    g->closure = memory_allocate_zeroed(states, sizeof *g->closure);
    if (g->ends == NULL || g->alone == NULL || g->visited == NULL || g->closure == NULL) {
        return fail(g, ERROR_MEMORY, "out of memory");
    }
    for (uint32_t i = 0; i < states; i++) {
        g->alone[i] = MOVE_UNKNOWN;
    }
    for (uint32_t i = 0; i < g->net.rule_count; i++) {
        g->ends[g->net.rules[i].end] = true;
    }
    find_classes(g);
    start_set(g);
    (void)add_frame(g);
    for (uint32_t i = 0; !g->failed && i < g->class_count; i++) {
        g->moves.items[i] = FRAME_DEAD;
    }
    return !g->failed;
}

grammar *grammar_new(network *net, error *err) {
    grammar *g = NULL;
    if (network_finish(net, err)) {
        g = memory_allocate_zeroed(1, sizeof *g);
        if (g == NULL) {
            error_memory(err);
        }
    }
    if (g == NULL) {
        network_free(net);
        return NULL;
    }
    g->net = *net;
    *net = (network){0};
    g->mask_room = MASK_ROOM;
    if (!prepare(g)) {
        *err = g->failure;
        grammar_free(g);
        return NULL;
    }
    return g;
}

void grammar_free(grammar *g) {
    if (g != NULL) {
        for (uint32_t i = 0; i < g->frame_count; i++) {
            memory_free(g->frames[i].mask);
        }
        network_free(&g->net);
        memory_free(g->ends);
        memory_free(g->frames);
        memory_free(g->moves.items);
        memory_free(g->members.items);
        memory_free(g->calls.items);
        memory_free(g->table);
        memory_free(g->alone);
        memory_free(g->visited);
        memory_free(g->closure);
        memory_free(g);
    }
}
