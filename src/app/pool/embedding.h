#ifndef POOL_EMBEDDING_H
#define POOL_EMBEDDING_H

#include "proto/message.h"
#include "state.h"

/* Vectors of a few texts, computed by a worker: for whatever in the pool wants some (POST /v1/embeddings:
 * embeddings.h). One job of the dispatcher; a worker that is lost is replaced silently. Vectors have no
 * receipt and nobody checks them: where a site, model or tier asks for `proved` or `required` there are none.
 */
typedef struct embedding embedding;

typedef struct embedding_answer {
    const float *values; /* count × dimension, finite; valid during the call */
    size_t count;        /* of texts */
    uint32_t dimension;
    uint64_t tokens; /* that the worker says the texts had */
    /* Of the model's file, as the worker offers it: vectors of different files can't be compared. */
    uint8_t digest[PROTO_DIGEST_SIZE];
} embedding_answer;

/* As an HTTP answer would say it. */
typedef struct embedding_failure {
    unsigned status;
    const char *code;
    const char *text; /* valid during the call */
} embedding_failure;

/* One of `answer` and `failure` is NULL. The embedding is over: its handle is invalid from here on. It may
 * come while the dispatcher is at work for somebody else: what ends other things is to be deferred. */
typedef void embedding_done(void *context, const embedding_answer *answer, const embedding_failure *failure);

typedef struct embedding_wish {
    uint64_t user_id; /* whose share of the queue it takes */
    slice model;
    const slice *texts; /* within the bounds of an `embed` job (embedding_fits); copied */
    size_t count;
    embedding_done *done;
    void *context;
} embedding_wish;

/* `done` is called later, once; never after embedding_cancel. ERROR_NOT_FOUND: no connected worker embeds
 * with this model. ERROR_LIMIT: the queue, or this user's share of it, is full. ERROR_UNSUPPORTED: the site
 * wants nothing of this model that isn't proved. ERROR_INVALID: texts out of bounds. ERROR_IO, ERROR_MEMORY.
 */
MUST_CHECK embedding *embedding_ask(pool *p, const embedding_wish *wish, error *err);
void embedding_cancel(embedding *e);
/* No worker has it yet. */
bool embedding_waits(const embedding *e);
/* How many of these texts, from the first on, one job holds: at least 1, unless the first alone is out of
 * bounds (empty, too long, with U+0000, no UTF-8). */
size_t embedding_fits(const slice *texts, size_t count);
/* The pool is going down. */
void embedding_end_all(pool *p, const embedding_failure *failure);

#endif
