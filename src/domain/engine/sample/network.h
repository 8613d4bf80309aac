#ifndef ENGINE_SAMPLE_NETWORK_H
#define ENGINE_SAMPLE_NETWORK_H

#include "base/error.h"
#include "base/slice.h"

/* A grammar as a recursive transition network over bytes (Woods 1970): a rule is a graph of states; an edge
 * takes a byte of a range, takes nothing, or takes what a rule takes. Pieces are built as by Thompson (1968).
 * Failure is sticky: check network_finish once, at the end. */
enum {
    NETWORK_STATES_MAX = 1 << 17,
    NETWORK_EDGES_MAX = 1 << 19,
    NETWORK_RULES_MAX = 1 << 14,
};
#define NETWORK_NONE UINT32_MAX
#define NETWORK_UNBOUNDED UINT32_MAX

typedef enum edge_kind { EDGE_BYTES, EDGE_EMPTY, EDGE_RULE } edge_kind;

typedef struct edge {
    uint32_t next; /* of the same state; NETWORK_NONE ends */
    uint32_t target;
    uint32_t rule;
    uint8_t kind;
    uint8_t low;
    uint8_t high;
} edge;

typedef struct rule {
    uint32_t start; /* NETWORK_NONE: not defined yet */
    uint32_t end;
} rule;

typedef struct network {
    uint32_t *states; /* first edge of each */
    uint32_t state_count;
    uint32_t state_capacity;
    edge *edges;
    uint32_t edge_count;
    uint32_t edge_capacity;
    rule *rules; /* the first is the root */
    uint32_t rule_count;
    uint32_t rule_capacity;
    bool failed;
    error failure; /* of the first failure */
} network;

/* A part of a rule. Its states are [from, to), which nothing outside leads into but by `start`. */
typedef struct piece {
    uint32_t from;
    uint32_t to;
    uint32_t start;
    uint32_t end;
} piece;

/* Characters of Unicode, as ranges. All zero is the empty set. */
enum { CHARACTERS_RANGES_MAX = 512, CHARACTER_MOST = 0x10ffff };
typedef struct characters {
    struct {
        uint32_t low;
        uint32_t high;
    } ranges[CHARACTERS_RANGES_MAX];
    size_t count;
} characters;
/* False when there are too many ranges. */
MUST_CHECK bool characters_add(characters *set, uint32_t low, uint32_t high);
/* Sorts and joins the ranges; leaves out surrogates. These too are false when there are too many ranges. */
MUST_CHECK bool characters_normalise(characters *set);
MUST_CHECK bool characters_negate(characters *set);
/* Leaves out [low, high]. */
MUST_CHECK bool characters_remove(characters *set, uint32_t low, uint32_t high);

void network_free(network *n); /* all zero is allowed */
bool network_fail(network *n, error_code code, const char *format, ...) PRINTF_LIKE(3, 4);

uint32_t network_rule(network *n); /* a new one, to be defined */
void network_define(network *n, uint32_t rule_id, piece body);

uint32_t network_state(network *n);
void network_bytes_edge(network *n, uint32_t from, uint8_t low, uint8_t high, uint32_t target);
void network_empty_edge(network *n, uint32_t from, uint32_t target);
void network_rule_edge(network *n, uint32_t from, uint32_t rule_id, uint32_t target);

piece network_nothing(network *n); /* takes the empty text */
piece network_never(network *n);   /* takes no text at all */
piece network_literal(network *n, slice bytes);
piece network_characters(network *n, const characters *set); /* normalised; one of them in UTF-8 */
piece network_call(network *n, uint32_t rule_id);
/* Pieces are joined in the order in which they were built, each used once. */
piece network_join(network *n, piece first, piece second);
piece network_either(network *n, piece first, piece second);
piece network_repeat(network *n, piece body, uint32_t least, uint32_t most);

/* Leaves out what can't be completed. Errors: the first failure; ERROR_INVALID when the root takes no text.
 */
MUST_CHECK bool network_finish(network *n, error *err);

#endif
