#include "sqlite.h"

#include <errno.h>
#include <sqlite3.h>

void sqlite_query_start(query *q, const char *sql) {
    q->statement = sqlite_statement(q->database, sql, &q->code);
}

static void note(query *q, int code) {
    if (q->code == SQLITE_OK) {
        q->code = code;
    }
}

/* A NULL pointer would be SQL's NULL. */
static int bind(query *q, int at, const database_value *v) {
    const void *start = v->bytes.length == 0 ? "" : (const void *)v->bytes.data;
    switch (v->type) {
    case DATABASE_INTEGER:
        return v->integer < 0 ? SQLITE_RANGE : sqlite3_bind_int64(q->statement, at, v->integer);
    case DATABASE_REAL:
        return sqlite3_bind_double(q->statement, at, v->real);
    case DATABASE_TEXT:
        return sqlite3_bind_text64(q->statement, at, start, v->bytes.length, SQLITE_STATIC, SQLITE_UTF8);
    case DATABASE_BYTES:
        return sqlite3_bind_blob64(q->statement, at, start, v->bytes.length, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(q->statement, at);
    }
}

void sqlite_query_bind(query *q, const database_value *value) {
    if (q->code == SQLITE_OK) {
        note(q, bind(q, ++q->parameter, value));
    }
}

bool sqlite_query_row(query *q, bool *row, error *err) {
    if (q->code == SQLITE_OK) {
        errno = 0;
        int code = sqlite3_step(q->statement);
        q->cause = errno;
        *row = code == SQLITE_ROW;
        note(q, code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code);
    }
    return q->code == SQLITE_OK || sqlite_error(q->database, q->code, q->cause, err);
}

bool sqlite_query_run(query *q, error *err) {
    for (bool row = true; row;) {
        row = false;
        if (!sqlite_query_row(q, &row, err)) {
            return false;
        }
    }
    return true;
}

/* What SQLite holds of the column; valid until the next step. */
static slice bytes_of(query *q, int at) {
    const void *bytes = sqlite3_column_blob(q->statement, at);
    int length = bytes == NULL ? 0 : sqlite3_column_bytes(q->statement, at);
    q->memory_out =
        q->memory_out || (bytes == NULL && sqlite3_errcode(sqlite_connection(q->database)) == SQLITE_NOMEM);
    return slice_of(bytes, (size_t)length);
}

database_value sqlite_query_column(query *q, int at) {
    switch (sqlite3_column_type(q->statement, at)) {
    case SQLITE_INTEGER:
        return (database_value){.type = DATABASE_INTEGER, .integer = sqlite3_column_int64(q->statement, at)};
    case SQLITE_FLOAT:
        return (database_value){.type = DATABASE_REAL, .real = sqlite3_column_double(q->statement, at)};
    case SQLITE_TEXT:
        return (database_value){.type = DATABASE_TEXT, .bytes = bytes_of(q, at)};
    case SQLITE_BLOB:
        return (database_value){.type = DATABASE_BYTES, .bytes = bytes_of(q, at)};
    default:
        return (database_value){.type = DATABASE_NULL};
    }
}

bool sqlite_query_is_null(const query *q, int at) {
    return sqlite3_column_type(q->statement, at) == SQLITE_NULL;
}
