#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/error.h"
#include "base/slice.h"

typedef struct ev_loop ev_loop;

/* A site's database: SQLite in one file, or PostgreSQL (store/server.h), owned by one thread. Operations (the
 * headers beside this one) are called on the loop thread, copy their inputs, queue, and never block. The
 * thread runs everything that has queued up in one transaction, and each answer is given on the loop thread
 * after that transaction is committed: what was answered is kept. Operations run in the order of the calls,
 * so a read sees the writes before it.
 *
 * An operation returns false, with nothing queued and no callback to come, when an input is out of bounds
 * (ERROR_INVALID), the queue is full (ERROR_LIMIT), memory is out, or the store is closing (ERROR_CONFLICT).
 * When it returns true its callback comes exactly once. What a callback is given belongs to the store and
 * lives until the callback returns. `failure` is NULL on success; otherwise the other results are zero, NULL
 * or empty, and nothing of that operation was kept. A callback may call operations, not store_close. */
typedef struct store store;

typedef struct store_options {
    const char *path;   /* the file; made with mode 0600 if absent; its folder must exist. Or a URL */
    ev_loop *loop;      /* NULL: no thread; each operation runs at once and calls back before it returns */
    size_t queue_limit; /* most operations waiting; 0 means 4096 */
    uint32_t busy_timeout_ms; /* how long to wait for a lock another program holds; 0 means 2000 */
    uint64_t size_limit;      /* most bytes the database may grow to; 0 means no limit but the disk's */
    bool keeps_files;         /* closing leaves its log and index files behind, empty, and opens no file */
    uint32_t scrub_after_ms;  /* how long a wiped payload may stand in the write-ahead log; 0 means 30000 */
} store_options;

/* Opens, brings the schema up to this program's, and checks the content when the last user didn't close it.
 * Blocks. ERROR_CONFLICT: another process has it open. ERROR_UNSUPPORTED: made by a newer program, or not a
 * Cellule database. ERROR_CORRUPT: damaged. */
MUST_CHECK store *store_open(const store_options *options, error *err);
/* Gives a store that was opened without a loop one, and its thread. */
MUST_CHECK bool store_start(store *s, ev_loop *loop, error *err);
/* The opposite: runs what is queued, gives the answers that are due, ends the thread. From then on each
 * operation runs at once. Blocks. Loop thread. NULL is allowed. */
void store_settle(store *s);
/* Runs what is queued, gives the answers that are due, closes. Blocks. Loop thread. NULL is allowed. */
void store_close(store *s);

typedef struct store_statistics {
    size_t queued; /* waiting or running now */
    size_t queue_limit;
    uint64_t requests;       /* run since opening */
    uint64_t failures;       /* of these, answered with an error */
    uint64_t refused;        /* turned away because the queue was full */
    uint64_t commits;        /* transactions that wrote */
    uint64_t synced_commits; /* of these, made durable against power loss before the answer */
    uint64_t last_commit_us; /* duration of the last commit alone */
    uint64_t last_batch;     /* operations in the last transaction */
    bool failing;            /* disk, lock or memory failed it, and nothing was written since */
} store_statistics;

/* Any thread. */
void store_stats(store *s, store_statistics *statistics);

/* The answer of an operation that gives nothing but its outcome. */
typedef void store_done(void *context, const error *failure);

enum {
    STORE_HASH_SIZE = 32,
    STORE_KEY_SIZE = 32,
    STORE_SIGNATURE_SIZE = 64,
    STORE_NAME_MAX = 64, /* bytes of a user's, owner's or machine's name */
    STORE_LABEL_MAX = 128,
    STORE_TIERS_MAX = 256,
    STORE_LIST_MAX = 1000,    /* rows of one list call */
    STORE_LOAD_MAX = 1000000, /* rows of one load call; more is ERROR_LIMIT */
};

/* 1 to 64 of a-z 0-9 . _ @ - */
bool store_user_name_is_valid(slice name);
/* 1 to 64 bytes of UTF-8 without control characters: a machine's name, an owner, a class. */
bool store_display_name_is_valid(slice name);

#endif
