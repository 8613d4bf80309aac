#ifndef ENGINE_SERVE_SEQUENCE_H
#define ENGINE_SERVE_SEQUENCE_H

#include "crypto/hash.h"
#include "serve/commitment.h"
#include "serve/model.h"
#include "serve/text_filter.h"

typedef enum sequence_kind { SEQUENCE_GENERATE, SEQUENCE_SCORE, SEQUENCE_EMBED } sequence_kind;

struct engine_sequence {
    list_node node; /* in model->sequences until it has finished */
    engine_model *model;
    sequence_kind kind;
    engine_finish finish;
    error failure; /* of ENGINE_FAILED */

    uint32_t *tokens; /* prompt, then what was drawn or is claimed */
    uint32_t token_room;
    uint32_t prompt_count;
    uint32_t known;    /* tokens that may be computed */
    uint32_t computed; /* of them */
    uint32_t most;     /* tokens of an answer */
    uint32_t drawn;    /* or scored */
    uint32_t reused;

    /* Of the cache: `taken` pages of `page_count`, the first `indexed` of them shared or offered to others.
     */
    page **pages;
    prefix_entry **entries; /* NULL where the page is this sequence's alone */
    uint32_t page_count;
    uint32_t taken;
    uint32_t indexed;
    bool shares;
    uint8_t key[PREFIX_KEY_SIZE]; /* of page indexed - 1 */

    sampler *sampler;
    draw draw;
    text_filter text;
    commitment commitment;

    uint32_t *scored;
    hash *scored_text;
    uint8_t scored_text_digest[ENGINE_DIGEST_SIZE];
    uint32_t answer_count;
    uint32_t agreed;
    bool complete;
    bool stopped;

    float *embedding;
};

/* Joins what others left of the same beginning, and sets the memory for all positions aside. */
MUST_CHECK bool sequence_reserve(engine_sequence *s, uint32_t positions, error *err);
/* Has pages for all positions below `end`. */
MUST_CHECK bool sequence_take_pages(engine_sequence *s, uint32_t end, error *err);
/* Offers the pages that have become full to others. */
void sequence_share_pages(engine_sequence *s);
void sequence_release_pages(engine_sequence *s);

/* No more passes for it; its memory goes back but for what was asked for. */
void sequence_finish(engine_sequence *s, engine_finish finish);
/* The same as ENGINE_FAILED, with the cause in s->failure. */
void sequence_fail(engine_sequence *s, const error *cause);

/* A claimed token was wrong already: whatever can't be computed behind it changes nothing. */
bool score_is_settled(const engine_sequence *s);
/* Closes the commitment and the text of a score. */
MUST_CHECK bool score_close(engine_sequence *s, error *err);
/* What a row of logits says, before the sequence goes on with it. */
typedef struct answer_row {
    engine_sequence *sequence;
    const float *logits;
    uint32_t position; /* of the token that they give */
    bool read;
    bool good;
    error failure;
    draw draw;
    commitment_top top;
} answer_row;

/* Different rows may be read at once, each by its own hand, where sampler_draw allows it. */
void answer_read(answer_row *row, size_t hand);
/* What a row that was read gives: a token drawn (output->has_token) or scored. */
MUST_CHECK bool answer_add(engine_sequence *s, const answer_row *row, engine_output *output, error *err);
/* What a row of the final hidden state adds, and the end of it. */
void embed_row(engine_sequence *s, const float *hidden, uint32_t position);
MUST_CHECK bool embed_finish(engine_sequence *s, error *err);
/* How many of `count` tokens from `position` on give rows that are wanted: the last ones. */
uint32_t sequence_wanted(const engine_sequence *s, uint32_t position, uint32_t count);

#endif
