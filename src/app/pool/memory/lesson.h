#ifndef POOL_MEMORY_LESSON_H
#define POOL_MEMORY_LESSON_H

#include "state.h"

/* One question of the pool's own, on behalf of a user and in his share of the queue: a model reads a
 * conversation and lists what lasts of it. Its answer has no receipt and nobody checks it: where a site, model
 * or tier asks for `proved` or `required` there is none. Loop thread. */
enum { LESSON_PROMPT_MAX = 64 * 1024, LESSON_ANSWER_MAX = 32 * 1024, LESSON_TOKENS = 1024 };

typedef struct lesson lesson;

/* As an HTTP answer would say it. */
typedef struct lesson_failure {
    unsigned status;
    const char *code;
    const char *text; /* during the call */
} lesson_failure;

/* The answer, or why there is none. The lesson is over. */
typedef void lesson_done(void *context, slice answer, const lesson_failure *failure);

/* ERROR_NOT_FOUND: nobody has the model. ERROR_LIMIT: the queue, or the user's share of it, is full.
 * ERROR_UNSUPPORTED: the site wants nothing of this model that isn't proved. The prompt is copied. */
MUST_CHECK lesson *lesson_start(pool *p, const account *who, slice model, slice prompt, lesson_done *done,
                                void *context, error *err);
/* No call comes any more. */
void lesson_cancel(lesson *l);

/* Which of them: those that fit all that isn't 0. */
typedef struct lessons_of {
    uint64_t user_id;
    uint64_t key_id;
    uint64_t login;
    bool waiting; /* no worker has it yet */
} lessons_of;
/* Ends them with an error. */
void lessons_end(pool *p, const lessons_of *which, unsigned status, const char *code, const char *text);

#endif
