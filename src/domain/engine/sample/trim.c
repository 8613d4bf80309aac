#include "base/memory.h"
#include "sample/network.h"

/* Finds, backwards from the ends of the rules, the states from which an end can be reached through rules that
 * have one.
 */
typedef struct search {
    network *net;
    bool *live;             /* states */
    bool *rule_live;        /* rules whose start is live */
    uint32_t *rule_of;      /* the rule that starts at a state */
    uint32_t *source;       /* of each edge */
    uint32_t *first_into;   /* edges into a state */
    uint32_t *next_into;    /* of each edge */
    uint32_t *first_taking; /* edges that take a rule */
    uint32_t *next_taking;  /* of each edge */
    uint32_t *waiting;      /* live states whose edges haven't been followed */
    uint32_t waiting_count;
} search;

static uint32_t *make_indices(size_t count) {
    uint32_t *indices = memory_allocate((count + 1) * sizeof *indices);
    for (size_t i = 0; indices != NULL && i < count; i++) {
        indices[i] = NETWORK_NONE;
    }
    return indices;
}

static bool search_start(search *s, network *n) {
    *s = (search){.net = n,
                  .live = memory_allocate_zeroed(n->state_count + 1, sizeof *s->live),
                  .rule_live = memory_allocate_zeroed(n->rule_count + 1, sizeof *s->rule_live),
                  .rule_of = make_indices(n->state_count),
                  .source = make_indices(n->edge_count),
                  .first_into = make_indices(n->state_count),
                  .next_into = make_indices(n->edge_count),
                  .first_taking = make_indices(n->rule_count),
                  .next_taking = make_indices(n->edge_count),
                  .waiting = make_indices(n->state_count)};
    return s->live != NULL && s->rule_live != NULL && s->rule_of != NULL && s->source != NULL &&
           s->first_into != NULL && s->next_into != NULL && s->first_taking != NULL &&
           s->next_taking != NULL && s->waiting != NULL;
}

static void search_free(search *s) {
    memory_free(s->live);
    memory_free(s->rule_live);
    memory_free(s->rule_of);
    memory_free(s->source);
    memory_free(s->first_into);
    memory_free(s->next_into);
    memory_free(s->first_taking);
    memory_free(s->next_taking);
    memory_free(s->waiting);
}

static void index_edges(search *s) {
    network *n = s->net;
    for (uint32_t state = 0; state < n->state_count; state++) {
        for (uint32_t i = n->states[state]; i != NETWORK_NONE; i = n->edges[i].next) {
            const edge *e = &n->edges[i];
            s->source[i] = state;
            s->next_into[i] = s->first_into[e->target];
            s->first_into[e->target] = i;
            if (e->kind == EDGE_RULE) {
                s->next_taking[i] = s->first_taking[e->rule];
                s->first_taking[e->rule] = i;
            }
        }
    }
}

static void mark(search *s, uint32_t state) {
    if (!s->live[state]) {
        s->live[state] = true;
        s->waiting[s->waiting_count++] = state;
    }
}

static void follow(search *s, uint32_t state) {
    const network *n = s->net;
    for (uint32_t i = s->first_into[state]; i != NETWORK_NONE; i = s->next_into[i]) {
        if (n->edges[i].kind != EDGE_RULE || s->rule_live[n->edges[i].rule]) {
            mark(s, s->source[i]);
        }
    }
    uint32_t started = s->rule_of[state];
    if (started != NETWORK_NONE) {
        s->rule_live[started] = true;
        for (uint32_t i = s->first_taking[started]; i != NETWORK_NONE; i = s->next_taking[i]) {
            if (s->live[n->edges[i].target]) {
                mark(s, s->source[i]);
            }
        }
    }
}

static void remove_dead(search *s) {
    network *n = s->net;
    for (uint32_t state = 0; state < n->state_count; state++) {
        uint32_t *place = &n->states[state];
        while (*place != NETWORK_NONE) {
            edge *e = &n->edges[*place];
            if (!s->live[e->target] || (e->kind == EDGE_RULE && !s->rule_live[e->rule])) {
                *place = e->next;
            } else {
                place = &e->next;
            }
        }
    }
}

bool network_finish(network *n, error *err) {
    if (n->failed) {
        *err = n->failure;
        return false;
    }
    search s;
    if (!search_start(&s, n)) {
        search_free(&s);
        return error_memory(err);
    }
    for (uint32_t i = 0; i < n->rule_count; i++) {
        s.rule_of[n->rules[i].start] = i;
    }
    index_edges(&s);
    for (uint32_t i = 0; i < n->rule_count; i++) {
        mark(&s, n->rules[i].end);
    }
    while (s.waiting_count > 0) {
        follow(&s, s.waiting[--s.waiting_count]);
    }
    remove_dead(&s);
    bool good =
        s.rule_live[0] || error_set(err, ERROR_INVALID, "no text follows the grammar: some rule never ends");
    search_free(&s);
    return good;
}
