#ifndef POOL_EMBEDDINGS_H
#define POOL_EMBEDDINGS_H

#include "state.h"

/* POST /v1/embeddings: vectors as OpenAI's API reference shapes them. Many texts are split over several jobs;
 * the answer comes when all of them have ended, or fails with the first that does. */
void embeddings_create(pool *p, http_request *request, const account *who, slice segment);

/* Which requests under way: those that fit all that isn't 0. */
typedef struct embeddings_of {
    uint64_t user_id;
    uint64_t key_id;
    uint64_t login;
    bool waiting; /* some of it has no worker yet */
} embeddings_of;

/* Ends them with an error. */
void embeddings_end(pool *p, const embeddings_of *which, unsigned status, const char *code, const char *text);

#endif
