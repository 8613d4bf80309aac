#ifndef POOL_MEMORY_TASK_H
#define POOL_MEMORY_TASK_H

#include "memory/gate.h"
#include "memory/record.h"
#include "store/conversations.h"

/* A request about what its user keeps, while the store works for it. It holds the vault. The client may leave
 * meanwhile: then `request` is NULL when the store's callback comes. Loop thread. */
typedef struct memory_task {
    pool *pool;
    http_request *request;
    open_vault *vault;
    uint64_t user_id;
    uint8_t id[RECORD_ID_SIZE]; /* of what it is about */
    uint8_t *key;               /* a slot, for another key; NULL: none was taken */
    uint64_t after;             /* of a list: where its page begins */
    size_t limit;               /* and how long it is */
    uint64_t last;              /* what the list ends with */
    slice title;                /* in the request's arena */
} memory_task;

/* NULL: the request was answered: memory is out, or too many of this user's are under way. */
MUST_CHECK memory_task *memory_task_new(pool *p, http_request *request, open_vault *v);
/* The same about what the address names, which `what` is: "conversation". `v` may be NULL. NULL: it was
 * answered, also with 404 where there is nothing at such an address. */
MUST_CHECK memory_task *memory_task_about(pool *p, http_request *request, slice segment, const char *what,
                                          open_vault *v);
/* A conversation's head: its title and key go into the task, whose client is still there. */
MUST_CHECK bool memory_task_open_head(memory_task *t, const store_conversation *found, error *err);
/* The task is over: frees it and gives the request to be answered; NULL when the client has left. */
http_request *memory_task_end(memory_task *t);
/* The same, with an answer that says why not. `what` is named where it isn't there: "conversation". */
void memory_task_fail(memory_task *t, const char *what, const error *failure);

/* 404: the user has none with that id. */
void memory_not_found(http_request *request, const char *what);
/* The id in an address, 32 hexadecimal digits. False: there is nothing at such an address, and that was
 * answered. */
MUST_CHECK bool memory_read_id(http_request *request, slice segment, const char *what,
                               uint8_t id[RECORD_ID_SIZE]);
/* ?name=NUMBER in the query, or `fallback` if it isn't there; cut to `most`. False: it isn't a whole number,
 * or is there twice, and that was answered: who pages with a wrong mark must not begin anew. */
MUST_CHECK bool memory_query_number(http_request *request, const char *name, uint64_t fallback, uint64_t most,
                                    uint64_t *number);
/* The same for ?limit, which is 1 at least. */
MUST_CHECK bool memory_query_limit(http_request *request, uint64_t fallback, uint64_t most, size_t *limit);

#endif
