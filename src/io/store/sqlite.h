#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "database_driver.h"

struct sqlite3;
struct sqlite3_stmt;

extern const database_driver sqlite_driver;

/* For the sqlite*.c: the only files that speak to SQLite. */
struct sqlite3 *sqlite_connection(const database *d);
struct sqlite3_stmt *sqlite_statement(database *base, const char *sql, int *code);
/* SQLite's code as an error that says what to do. `cause`: errno after the failed call, as SQLite doesn't
 * keep it when a commit fails; 0 if not known. Always returns false. */
bool sqlite_error(const database *d, int code, int cause, error *err);
/* Gives SQLite the program's allocator, once per process, before anything else. */
MUST_CHECK bool sqlite_memory_install(error *err);

/* sqlite_version.c */
MUST_CHECK bool sqlite_read_version(database *d, uint64_t *version, error *err);
MUST_CHECK bool sqlite_write_version(database *d, uint32_t version, error *err);

/* sqlite_query.c */
void sqlite_query_start(query *q, const char *sql);
void sqlite_query_bind(query *q, const database_value *value);
bool sqlite_query_row(query *q, bool *row, error *err);
bool sqlite_query_run(query *q, error *err);
database_value sqlite_query_column(query *q, int at);
bool sqlite_query_is_null(const query *q, int at);

#endif
