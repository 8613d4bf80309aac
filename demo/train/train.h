#ifndef TRAIN_TRAIN_H
#define TRAIN_TRAIN_H

#include "model.h"
#include "questions.h"
#include "tokenizer.h"

typedef struct train_settings {
    uint64_t seed;
    uint32_t epochs;    /* how often each phrasing is seen */
    uint32_t sequences; /* conversations per step */
    float rate;         /* the highest learning rate */
    float decay;
    float dropped; /* share of the activations left out at random */
} train_settings;

/* Trains a model, already made and initialised. Two threads each take half of every step's conversations and
 * their gradients are added in a fixed order: the same seed gives the same model on one kind of processor
 * (OpenBLAS chooses its kernels by the processor). Progress goes to standard output. */
MUST_CHECK bool train(arena *a, const question_set *set, const tokenizer *t, const train_settings *settings,
                      model *m, error *err);

#endif
