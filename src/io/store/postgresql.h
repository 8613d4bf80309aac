#ifndef STORE_POSTGRESQL_H
#define STORE_POSTGRESQL_H

#include "database_driver.h"
#include "postgresql_target.h"

#include <libpq-fe.h>

/* For the postgresql*.c: the only files that speak to libpq. One connection, in pipeline mode but for
 * migrations and scrubbing. Nothing waits without an end: a server that gives no answer for that long is
 * lost. */
enum {
    POSTGRESQL_STATEMENT_MAX = 256,
    POSTGRESQL_PARAMETER_MAX = 32,
    POSTGRESQL_PENDING_MAX = 8192,
    POSTGRESQL_OPENER_SIZE = 16
};

typedef struct postgresql_statement {
    const char *sql; /* as the repository has it: found by its address */
    char name[8];
    int parameters;
    bool prepared; /* on this connection, unless what was sent before it fails */
} postgresql_statement;

/* A command whose outcome is still to be read. */
typedef struct postgresql_pending {
    postgresql_statement *prepares; /* NULL: it runs one */
    bool synchronises;
} postgresql_pending;

typedef struct postgresql {
    database base;
    postgresql_target *target;
    PGconn *connection; /* NULL: there is none */
    bool dying;         /* the server has said, unasked, that it ends the connection */
    bool ready;         /* the connection was set up, and the lock is ours */
    uint32_t lock_wait_ms;
    uint8_t opener[POSTGRESQL_OPENER_SIZE]; /* drawn at opening: says who used the database last */
    bool stamped;                           /* it stands in the database */
    bool wipe_noted;                        /* in the database, that something is still to be scrubbed */
    uint64_t dead_rows;                     /* that a table which was written anew has taken along */
    bool transaction;
    bool write;
    bool committing;
    bool ahead;           /* see database_run_ahead */
    uint64_t next_try_ms; /* of connecting */
    uint32_t pause_ms;

    size_t pending_first, pending_count;
    postgresql_pending pending[POSTGRESQL_PENDING_MAX];
    bool failed; /* and what was sent behind it won't be run, until postgresql_recover */
    error failure;

    bool reading; /* rows of the last query, which is the oldest pending */
    PGresult *rows;
    int row;
    uint64_t changes;

    int parameter_count;
    Oid types[POSTGRESQL_PARAMETER_MAX];
    const char *values[POSTGRESQL_PARAMETER_MAX];
    int lengths[POSTGRESQL_PARAMETER_MAX];
    uint8_t numbers[POSTGRESQL_PARAMETER_MAX][8];
    void *lists[POSTGRESQL_PARAMETER_MAX]; /* of parameters that are lists; until the statement is sent */

    size_t statement_count;
    postgresql_statement statements[POSTGRESQL_STATEMENT_MAX];
} postgresql;

extern const database_driver postgresql_driver;

static inline postgresql *postgresql_of(const database *d) {
    return (postgresql *)(uintptr_t)d;
}

/* Files that each connection reads; 0 if it is no such database. */
size_t postgresql_files(const database *d, const char **files, size_t limit);

/* postgresql_connection.c */
/* One try, which ends by `until_ms` of the monotonic clock; asks for the advisory lock too. */
MUST_CHECK bool postgresql_connect(postgresql *p, uint64_t until_ms, error *err);
/* There is a connection, if need be after some tries for a while. */
MUST_CHECK bool postgresql_ensure(postgresql *p, error *err);
uint64_t postgresql_tend(database *d);
/* The connection is of no use any more. Always returns false. */
bool postgresql_lose(postgresql *p, const char *why, error *err);
void postgresql_disconnect(postgresql *p);
uint64_t postgresql_now_ms(void);
/* Of a result that says so, or of a whole connection. Always return false. */
bool postgresql_error(const PGresult *result, error *err);
bool postgresql_connection_error(PGconn *connection, error *err);

/* postgresql_pipeline.c */
/* NULL: there are too many. */
postgresql_statement *postgresql_find(postgresql *p, const char *sql);
/* Sends it with the parameters that stand in `p`; doesn't wait. */
MUST_CHECK bool postgresql_send(postgresql *p, postgresql_statement *s, error *err);
MUST_CHECK bool postgresql_send_plain(postgresql *p, const char *sql, error *err);
/* Reads outcomes until `leave` are pending. False: one of them was a failure. */
MUST_CHECK bool postgresql_collect(postgresql *p, size_t leave, error *err);
MUST_CHECK bool postgresql_synchronise(postgresql *p, error *err);
/* After a failure: what is pending is dropped, and the server listens again. */
MUST_CHECK bool postgresql_recover(postgresql *p, error *err);
/* Waits for the next result of the oldest pending command; NULL: there are no more of it. */
MUST_CHECK bool postgresql_next(postgresql *p, PGresult **result, error *err);
/* The oldest pending command is done. */
void postgresql_done(postgresql *p, bool succeeded);
/* Statements without parameters, outside of the pipeline; each with its own end. */
MUST_CHECK bool postgresql_execute(database *d, const char *sql, error *err);

/* postgresql_query.c */
void postgresql_query_start(query *q, const char *sql);
void postgresql_query_bind(query *q, const database_value *value);
void postgresql_query_bind_values(query *q, const database_value *values, size_t count);
void postgresql_free_lists(postgresql *p);
bool postgresql_query_row(query *q, bool *row, error *err);
bool postgresql_query_run(query *q, error *err);
database_value postgresql_query_column(query *q, int at);
bool postgresql_query_is_null(const query *q, int at);
void postgresql_end_queries(database *d);
uint64_t postgresql_changes(database *d);

/* postgresql_list.c */
/* As the server takes an array of at least one, to be freed by the caller. NULL: memory is out, or with a
 * *type of 0 there is no such list. */
void *postgresql_list_encode(const database_value *values, size_t count, Oid *type, size_t *length);

/* postgresql_scrub.c */
bool postgresql_scrub(database *d, error *err);
void postgresql_take_report(postgresql *p, const PGresult *notice);
/* In the transaction that wipes: whoever opens the database next knows of it, if this process is killed. */
MUST_CHECK bool postgresql_note_wipe(postgresql *p, error *err);
MUST_CHECK bool postgresql_remember_wipe(postgresql *p, error *err);
/* At the end, if it is due and there is a connection. */
void postgresql_scrub_last(postgresql *p);

/* postgresql_version.c */
MUST_CHECK bool postgresql_read_version(database *d, uint64_t *version, error *err);
MUST_CHECK bool postgresql_write_version(database *d, uint32_t version, error *err);
/* Notes, if there is a place for it, that this opener uses the database. */
MUST_CHECK bool postgresql_stamp(postgresql *p, error *err);

#endif
