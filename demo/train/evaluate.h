#ifndef TRAIN_EVALUATE_H
#define TRAIN_EVALUATE_H

#include "model.h"
#include "questions.h"
#include "tokenizer.h"

/* How many questions the model answers word for word, greedily, with activations rounded to 8 bits as the
 * engine does. Each answer is checked in one pass over the question and the right answer: greedy decoding
 * gives that answer exactly if every token of it is the likeliest after those before. */
typedef struct evaluate_result {
    size_t right;
    size_t count;
} evaluate_result;

/* `wrong`: print the questions answered wrongly. */
MUST_CHECK bool evaluate(arena *a, const question_set *set, bool held_out, bool wrong, const model *m,
                         const tokenizer *t, evaluate_result *result, error *err);
/* Prints the model's greedy answer to standard output. */
MUST_CHECK bool evaluate_ask(arena *a, slice asked, const model *m, const tokenizer *t, error *err);

#endif
