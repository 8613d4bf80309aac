#ifndef POOL_MEMORY_SENDING_H
#define POOL_MEMORY_SENDING_H

#include "base/buffer.h"
#include "http/server.h"
#include "memory/reading.h"

/* A file that is written page by page beside the loop, as fast as the client takes it. The owner fills `page`
 * and calls sending_go; what has gone out is wiped. */
typedef struct sending {
    reading reading;
    pool *pool;
    http_request *request;
    slice media_type;
    slice disposition;
    buffer page;
    void (*go_on)(void *context); /* the page is out, after sending_go has said that it isn't */
    void *context;
    bool waits;
} sending;

enum { SENDING_PAGE_MAX = 32 * 1024 * 1024 };

/* `on_closed` comes as reading_start's `gone`. ERROR_LIMIT as there. */
MUST_CHECK bool sending_start(sending *s, const account *who, void (*on_closed)(void *context), error *err);
/* True: all of the page is on its way. False: go_on comes, or on_closed. */
MUST_CHECK bool sending_go(sending *s);
/* The end of the request: of a whole file where `failure` is NULL; else of one that nobody can take for it.
 * `what` is said where it isn't there: "conversation". */
void sending_end(sending *s, const error *failure, const char *what);
/* Wipes what is left. */
void sending_wipe(sending *s);

#endif
