#ifndef TRAIN_QUESTIONS_H
#define TRAIN_QUESTIONS_H

#include "base/arena.h"

/* The questions and answers of demo/questions (the format is described in its README). */
enum { QUESTION_PHRASINGS_MAX = 512, QUESTIONS_MAX = 4096 };

typedef struct question {
    slice answer;
    const slice *phrasings; /* trained on */
    size_t phrasing_count;
    const slice *held_out; /* only measured */
    size_t held_out_count;
} question;

typedef struct question_set {
    question *questions;
    size_t count;
} question_set;

/* Reads one file's text, which stays referred to; appends to `set`, whose array has room for QUESTIONS_MAX.
 * `name` is for messages. Text that isn't printable ASCII is refused: the trainer's splitter knows no more.
 */
MUST_CHECK bool questions_parse(arena *a, slice text, const char *name, question_set *set, error *err);
/* Reads each *.txt of the folder, in the order of their names. */
MUST_CHECK bool questions_load(arena *a, const char *folder, question_set *set, error *err);

#endif
