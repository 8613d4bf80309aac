#ifndef STORE_REQUEST_H
#define STORE_REQUEST_H

#include "database.h"
#include "store/store.h"

/* One call of one operation, from the loop thread to the store's thread and back. Each operation has a struct
 * that begins with a `request` and holds its inputs, its results, its callback and the callback's context. */
typedef struct request request;

/* BLIND: its `run` takes no result into the request, and may be run twice: the store needn't wait for each
 * statement where the database is far away. TOGETHER: it is the base of an operation_together. */
enum { OPERATION_BLIND = 4, OPERATION_TOGETHER = 8 };

typedef struct operation {
    unsigned mode; /* a database_mode, maybe with OPERATION_BLIND and with it OPERATION_TOGETHER */
    /* On the store's thread, in a transaction. False: whatever it wrote is undone. */
    bool (*run)(request *r, database *d, error *err);
    /* On the loop thread, after the commit: gives the caller the results, or zeros with `failure`. */
    void (*answer)(request *r, const error *failure);
} operation;

typedef struct operation_together {
    operation base;
    /* Where nothing is waited for (database_run_ahead): runs *next, and with it as many of those behind it,
     * up to `end`, as it can, which may be of other operations. *next is behind them then. False: any of them
     * failed. */
    bool (*run_many)(request **next, const request *end, database *d, error *err);
} operation_together;

struct request {
    const operation *operation;
    request *next;
    arena *memory;   /* holds the request itself, its inputs and its results */
    bool memory_out; /* a copy of an input failed */
    bool failed;
    error failure;
};

/* A request of `size` bytes, zeroed but for the first member. */
MUST_CHECK void *request_new(const operation *o, size_t size, error *err);
/* A copy that lives as long as the request; if memory is out, request_submit says so. */
slice request_copy(request *r, slice input);
/* Room for one more of `size` bytes at the end of an array that grows: NULL if memory is out. */
MUST_CHECK void *request_add_row(request *r, void **rows, size_t *count, size_t size, error *err);
void request_free(request *r); /* NULL is allowed */

/* Takes the request over, also when it fails. */
MUST_CHECK bool request_submit(store *s, request *r, error *err);

database *store_database(const store *s);

typedef struct batch_result {
    uint64_t requests;
    uint64_t failures;
    bool wrote;
    bool synced;
    bool broken; /* a failure that was the database's, not the request's own */
    uint64_t commit_us;
} batch_result;
/* Runs a chain of requests in one transaction and commits it: each is then done, or has failed. */
batch_result batch_run(database *d, request *first);

MUST_CHECK bool request_check_list(size_t limit, error *err);
/* "off", "spot", "every", "proved", "required" (verify/policy.h). */
bool request_mode_is_known(slice mode);
/* UTF-8 without control characters, at most `most` bytes. */
bool request_text_is_valid(slice text, size_t most);

#endif
