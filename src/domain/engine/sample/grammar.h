#ifndef ENGINE_SAMPLE_GRAMMAR_H
#define ENGINE_SAMPLE_GRAMMAR_H

#include "sample/network.h"

/* A network made deterministic within each rule, as far as it is needed (subset construction, lazily). */
typedef struct grammar grammar;

/* Bounds of a text in either language. */
enum { GRAMMAR_TEXT_MAX = 64 * 1024, GRAMMAR_DEPTH_MAX = 64 };

/* GBNF, llama.cpp's notation. ERROR_INVALID names line and column. The README beside says what is followed.
 */
MUST_CHECK grammar *grammar_from_gbnf(slice text, error *err);
/* JSON schema, after json_start. ERROR_UNSUPPORTED names the keyword. */
MUST_CHECK grammar *grammar_from_schema(slice text, error *err);
/* Takes the network, also on failure. */
MUST_CHECK grammar *grammar_new(network *net, error *err);
void grammar_free(grammar *g); /* NULL is allowed */

/* What the vocabulary's tokens do from a frame: see mask.c. One block. */
typedef struct token_mask token_mask;

/* A set of states of one rule. */
typedef struct frame {
    uint32_t first_member; /* in the grammar's list */
    uint32_t member_count;
    uint32_t first_call; /* edges that take a rule */
    uint32_t call_count;
    bool takes_bytes;
    bool ends;        /* the rule may end here */
    bool only_end;    /* and can do nothing else */
    token_mask *mask; /* NULL: not computed; freed with the grammar */
} frame;

enum { FRAME_DEAD = 0 };

/* FRAME_DEAD: no way on, or failure, which grammar_failure tells. Frames move when new ones are made: no
 * pointer outlives these calls. */
uint32_t grammar_move(grammar *g, uint32_t frame_id, uint8_t byte);
/* Of a state of the network alone. */
uint32_t grammar_frame_of(grammar *g, uint32_t state);
uint32_t grammar_rule_start(const grammar *g, uint32_t rule_id); /* a state */
uint32_t grammar_rule_count(const grammar *g);
frame *grammar_frame(const grammar *g, uint32_t frame_id);
/* What call `index` of a frame takes, and the state that it comes back to. */
void grammar_call(const grammar *g, const frame *f, uint32_t index, uint32_t *rule_id, uint32_t *back);
/* Bytes that masks may still hold. */
size_t *grammar_mask_room(grammar *g);
/* NULL: none. Sticky. */
const error *grammar_failure(const grammar *g);

#endif
