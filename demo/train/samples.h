#ifndef TRAIN_SAMPLES_H
#define TRAIN_SAMPLES_H

#include "pass.h"
#include "questions.h"
#include "tokenizer.h"

/* What the model is trained on and measured with: conversations in ChatML,
 *   <|im_start|>user\nQUESTION<|im_end|>\n<|im_start|>assistant\nANSWER<|im_end|>\n
 * of which the answers and their <|im_end|> are to be learned. */
typedef struct pairing {
    slice question;
    slice answer;
} pairing;

typedef struct pairings {
    pairing *items;
    size_t count;
} pairings;

/* Every training phrasing (or every held-out one) with its answer, in the order of the files. */
MUST_CHECK bool samples_pair(arena *a, const question_set *set, bool held_out, pairings *result, error *err);
void samples_shuffle(pairings *p, random_source *random);

/* Sequences being gathered for one pass. */
typedef struct gathering {
    uint32_t *tokens;
    uint32_t *targets;
    size_t *starts;
    size_t count;
    size_t capacity;
    size_t sequences;
    size_t sequences_max;
} gathering;

MUST_CHECK bool gathering_make(arena *a, size_t capacity, size_t sequences, gathering *g, error *err);
void gathering_clear(gathering *g);
batch gathering_batch(const gathering *g);

/* How conversations differ from what stands in the files. */
typedef struct sample_changes {
    random_source *random;
    uint32_t varied_percent; /* of the questions, as people vary them (case, missing words, typing errors) */
    size_t answer_tokens;    /* the last answer breaks off after these */
} sample_changes;

/* Adds a conversation of `turns` pairings; with `changes` a system message may come first, NULL takes them as
 * they are. False if it doesn't fit: then nothing was added. */
MUST_CHECK bool gathering_add(gathering *g, const tokenizer *t, const pairing *turns, size_t count,
                              const sample_changes *changes);
/* Adds a question that waits for its answer; every token has a target, of no meaning, so that logits exist.
 */
MUST_CHECK bool gathering_add_prompt(gathering *g, const tokenizer *t, slice asked);

#endif
