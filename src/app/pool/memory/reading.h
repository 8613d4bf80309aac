#ifndef POOL_MEMORY_READING_H
#define POOL_MEMORY_READING_H

#include "base/list.h"
#include "http/server.h"
#include "state.h"

/* A request that reads much of what its user keeps: an export, a search. It ends with the right of who asked,
 * and a user has few of them at once, since each has pages in memory. Loop thread. */
enum { READINGS_OF_USER_MAX = 4, READINGS_MAX = 64 };

typedef struct reading {
    list_node node;        /* in pool.readings */
    http_request *request; /* NULL: it isn't under way */
    uint64_t user_id;
    uint64_t key_id;
    uint64_t login;
    uint64_t waits_ms;           /* monotonic: since when the client hasn't taken a page; 0: it has */
    bool begun;                  /* the answer's head is out */
    void (*gone)(void *context); /* the request is over, as if the client had left */
    void *context;
} reading;

/* `gone` comes when the client leaves, or when its right does; nothing may be done with the request from then
 * on. `r` stays until then, or until reading_stop. ERROR_LIMIT: as many are under way as may be. */
MUST_CHECK bool reading_start(pool *p, reading *r, http_request *request, const account *who,
                              void (*gone)(void *context), void *context, error *err);
/* Nothing is called any more. Harmless where it isn't under way; zeroed memory may be given. */
void reading_stop(reading *r);

/* Which of them: those that fit all that isn't 0. */
typedef struct readings_of {
    uint64_t user_id;
    uint64_t key_id;
    uint64_t login;
} readings_of;
/* Cuts off what has begun, and answers the rest with an error. */
void readings_end(pool *p, const readings_of *which, unsigned status, const char *code, const char *text);
/* Those whose key or session has expired, and those whose client has left a page lying for as long as a vault
 * stays open unused (KEYRING_IDLE_MS); every minute. */
void readings_keep_house(pool *p);

#endif
