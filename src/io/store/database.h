#ifndef STORE_DATABASE_H
#define STORE_DATABASE_H

#include "base/arena.h"

/* The connection: opening, transactions, statements. Which database it is shows in its path alone: a file of
 * SQLite's, or "postgresql://..." (database_driver.h). One thread at a time.
 *
 * SQL is what both speak: coalesce, CAST, ON CONFLICT, RETURNING; parameters are ? or ?1, ?2; integers have
 * 64 bits, 0 and 1 are what is true or false. last_insert_rowid() is known to both. */
typedef struct database database;

/* Opens or makes it, alone: a second opener, in this process or another, gets ERROR_CONFLICT. Changes nothing
 * in it yet. */
MUST_CHECK database *database_open(const char *path, uint32_t busy_timeout_ms, error *err);
/* Closing leaves the write-ahead log, emptied, and its index behind: for who may not remove files then. */
void database_keep_files(database *d);
/* Sets what the store relies on, and checks the content if the last user didn't close it. `size_limit`:
 * bytes; 0 for none. */
MUST_CHECK bool database_prepare(database *d, uint64_t size_limit, error *err);
void database_close(database *d);

/* The one of the two that this database understands. */
const char *database_choose(const database *d, const char *sqlite, const char *postgresql);

typedef enum database_mode { DATABASE_READ, DATABASE_WRITE, DATABASE_WRITE_SYNCED } database_mode;

/* A transaction. Synced: its commit is on the disk when database_commit returns. When a commit fails nothing
 * of the transaction is kept, once database_rollback was called; if the connection was lost meanwhile that
 * isn't known, and the error says so. */
MUST_CHECK bool database_begin(database *d, database_mode mode, error *err);
MUST_CHECK bool database_commit(database *d, error *err);
void database_rollback(database *d);
/* How often that was called: what was noted in memory of a transaction may not have come to be. */
uint64_t database_rollbacks(const database *d);
/* The same for a part of a transaction. */
void database_forget_noted(database *d);
/* False when the database has given the transaction up by itself, as it may when the disk or memory is full
 * or the connection is lost. */
bool database_in_transaction(const database *d);

/* A part of the transaction that can fail alone. One at a time. */
MUST_CHECK bool database_savepoint(database *d, error *err);
MUST_CHECK bool database_keep_savepoint(database *d, error *err);
MUST_CHECK bool database_drop_savepoint(database *d, error *err);

/* From here to database_end_ahead, or the transaction's end, the outcome of query_run isn't waited for:
 * statements go out one behind the other, and each says that it succeeded. False: this database has no such
 * thing, nothing changes. */
bool database_run_ahead(database *d);
/* Waits for all of them; false with what the first that failed says. None behind that one was run. */
MUST_CHECK bool database_end_ahead(database *d, error *err);

/* Statements without parameters or results, as a migration's. */
MUST_CHECK bool database_execute(database *d, const char *sql, error *err);
/* The one number that `sql` gives. */
MUST_CHECK bool database_read_number(database *d, const char *sql, uint64_t *number, error *err);
/* Rows changed by the last statement; the id of the row it added. */
uint64_t database_changes(database *d);
uint64_t database_last_id(database *d);

/* What a column holds or a parameter is given. Bytes belong to whoever gives them. */
typedef enum database_type {
    DATABASE_NULL,
    DATABASE_INTEGER,
    DATABASE_REAL,
    DATABASE_TEXT,
    DATABASE_BYTES
} database_type;

typedef struct database_value {
    database_type type;
    int64_t integer;
    double real;
    slice bytes;
} database_value;

/* One run of a statement: query_start, the parameters in order, then query_run or query_row, then the columns
 * in order. Prepared once per connection: `sql` must be a string literal. A failure is kept and reported by
 * query_run or query_row. Bytes given are not copied: they outlive the operation. The rows of one query are
 * read before the next is started. */
typedef struct query {
    database *database;
    void *statement; /* the driver's, as are `code` and `cause` */
    int code;
    int cause;
    int parameter;
    int column;
    bool memory_out; /* while reading columns */
    bool misfit;     /* a column didn't hold what it should */
} query;

void query_start(query *q, database *d, const char *sql);
void query_u64(query *q, uint64_t value);
void query_text(query *q, slice text);
void query_bytes(query *q, const void *bytes, size_t length);
void query_f64(query *q, double value);
void query_null(query *q);
void query_value(query *q, const database_value *value);
/* Several, all integers or all bytes: unnest(?) gives them as rows. Only where database_run_ahead is true. */
void query_values(query *q, const database_value *values, size_t count);
/* Runs to the end. */
MUST_CHECK bool query_run(query *q, error *err);
/* The next row, if there is one. */
MUST_CHECK bool query_row(query *q, bool *row, error *err);
/* Reads; NULL reads as 0, empty and `present` false. */
uint64_t query_read_u64(query *q);
double query_read_f64(query *q);
bool query_read_bytes(query *q, void *bytes, size_t length);
/* Is the next column NULL? It is still to be read. */
bool query_column_is_null(const query *q);
slice query_read_slice(query *q, arena *memory);
/* Is the column exactly those bytes? In constant time. */
bool query_column_equals(query *q, const void *bytes, size_t length);
/* The next column, whatever it is; its bytes live until the next row. */
database_value query_read_value(query *q);
/* After the columns: were they what they should be? ERROR_CORRUPT or ERROR_MEMORY if not. */
MUST_CHECK bool query_columns_fit(query *q, error *err);
/* Ends every query that is open; the runner of operations calls it after each. */
void database_end_queries(database *d);

/* Something was deleted that must not stay behind: pages of the file are zeroed anyway, but older ones stand
 * in the write-ahead log until database_scrub. */
void database_note_wipe(database *d);
bool database_wants_scrub(const database *d);
/* Takes what was wiped out of the files, as far as the database can. Not in a transaction. ERROR_TIMEOUT, at
 * once, while another program (a backup) reads. */
MUST_CHECK bool database_scrub(database *d, error *err);

/* Between transactions, from time to time: a connection that is lost is made anew before somebody needs it.
 * When it wants to be called again, on the monotonic clock; 0: not of its own. */
uint64_t database_tend(database *d);

#endif
