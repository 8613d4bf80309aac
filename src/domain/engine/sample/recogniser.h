#ifndef ENGINE_SAMPLE_RECOGNISER_H
#define ENGINE_SAMPLE_RECOGNISER_H

#include "sample/grammar.h"

/* Where a text stands in a grammar: all ways of reading it at once, with their stacks as one graph (Tomita
 * 1985), in which the calls of a rule at one place share a node. So ambiguity and left recursion cost little
 * and end. Levels are the state after each byte since level 0, so that steps can be taken back. */
typedef struct recogniser recogniser;

/* A way of reading: a frame, and who waits for its rule to end. */
typedef struct reading {
    uint32_t frame;
    uint32_t node;
} reading;

/* At the beginning of the root rule. The grammar must outlive it. */
MUST_CHECK recogniser *recogniser_new(grammar *g, error *err);
void recogniser_free(recogniser *r); /* NULL is allowed */

/* A new level. False, without one: the byte can't follow, or failure, which recogniser_failure tells. */
bool recogniser_step(recogniser *r, uint8_t byte);
/* A new level, in which whoever waits at a node goes on: what holds when its rule has just ended. */
bool recogniser_return(recogniser *r, uint32_t node);
void recogniser_take_back(recogniser *r);
/* Level 0 becomes one reading of a frame alone; nothing else waits. */
void recogniser_start_at(recogniser *r, uint32_t frame_id);
/* Takes the bytes for good, from level 0. False: they can't follow, and nothing has changed, or failure. */
bool recogniser_accept(recogniser *r, slice bytes);

/* Each accept, and whoever calls this, may do so much work and no more: a bound on what a grammar can cost.
 */
void recogniser_allow_work(recogniser *r);
/* What is left of it; and to take some for work that needn't be done again. False: there isn't so much. */
uint32_t recogniser_work_left(const recogniser *r);
bool recogniser_spend(recogniser *r, uint32_t amount);

/* Of the last level; valid until the next change. */
const reading *recogniser_readings(const recogniser *r, size_t *count);
/* The text may end here. */
bool recogniser_can_end(const recogniser *r);
/* NULL: none. Sticky: the text takes more than this engine's bounds, or memory is out. */
const error *recogniser_failure(const recogniser *r);

#endif
