#include "database.h"

#include <errno.h>
#include <sqlite3.h>

void query_start(query *q, database *d, const char *sql) {
    *q = (query){.database = d, .code = SQLITE_OK};
    q->statement = database_statement(d, sql, &q->code);
}

static void note(query *q, int code) {
    if (q->code == SQLITE_OK) {
        q->code = code;
    }
}

void query_u64(query *q, uint64_t value) {
    if (q->code == SQLITE_OK) {
        note(q, value > INT64_MAX ? SQLITE_RANGE
                                  : sqlite3_bind_int64(q->statement, ++q->parameter, (sqlite3_int64)value));
    }
}

void query_text(query *q, slice text) {
    if (q->code == SQLITE_OK) {
        const char *start = text.length == 0 ? "" : (const char *)text.data;
        note(q, sqlite3_bind_text64(q->statement, ++q->parameter, start, text.length, SQLITE_STATIC,
                                    SQLITE_UTF8));
    }
}

void query_bytes(query *q, const void *bytes, size_t length) {
    if (q->code == SQLITE_OK) {
        /* A NULL pointer would be SQL's NULL. */
        note(q, sqlite3_bind_blob64(q->statement, ++q->parameter, length == 0 ? "" : bytes, length,
                                    SQLITE_STATIC));
    }
}

void query_f64(query *q, double value) {
    if (q->code == SQLITE_OK) {
        note(q, sqlite3_bind_double(q->statement, ++q->parameter, value));
    }
}

void query_null(query *q) {
    if (q->code == SQLITE_OK) {
        note(q, sqlite3_bind_null(q->statement, ++q->parameter));
    }
}

bool query_row(query *q, bool *row, error *err) {
    *row = false;
    if (q->code == SQLITE_OK) {
        errno = 0;
        int code = sqlite3_step(q->statement);
        q->cause = errno;
        *row = code == SQLITE_ROW;
        q->column = 0;
        note(q, code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code);
    }
    return q->code == SQLITE_OK || database_error(q->database, q->code, q->cause, err);
}

bool query_run(query *q, error *err) {
    for (bool row = true; row;) {
        if (!query_row(q, &row, err)) {
            return false;
        }
    }
    return true;
}

uint64_t query_read_u64(query *q) {
    int type = sqlite3_column_type(q->statement, q->column);
    sqlite3_int64 value = sqlite3_column_int64(q->statement, q->column++);
    q->misfit = q->misfit || (type != SQLITE_INTEGER && type != SQLITE_NULL) || value < 0;
    return value < 0 ? 0 : (uint64_t)value;
}

double query_read_f64(query *q) {
    q->misfit = q->misfit || sqlite3_column_type(q->statement, q->column) != SQLITE_FLOAT;
    return sqlite3_column_double(q->statement, q->column++);
}

bool query_column_is_null(const query *q) {
    return sqlite3_column_type(q->statement, q->column) == SQLITE_NULL;
}

/* What SQLite holds of the column; valid until the next step. */
static slice peek(query *q) {
    int type = sqlite3_column_type(q->statement, q->column);
    const void *bytes = type == SQLITE_NULL ? NULL : sqlite3_column_blob(q->statement, q->column);
    int length = bytes == NULL ? 0 : sqlite3_column_bytes(q->statement, q->column);
    q->misfit = q->misfit || (type != SQLITE_TEXT && type != SQLITE_BLOB && type != SQLITE_NULL);
    q->memory_out =
        q->memory_out || (bytes == NULL && sqlite3_errcode(database_connection(q->database)) == SQLITE_NOMEM);
    q->column++;
    return slice_of(bytes, (size_t)length);
}

bool query_read_bytes(query *q, void *bytes, size_t length) {
    bool present = sqlite3_column_type(q->statement, q->column) != SQLITE_NULL;
    slice found = peek(q);
    if (found.length == length && found.data != NULL) {
        memcpy(bytes, found.data, length);
    } else {
        memset(bytes, 0, length);
        q->misfit = q->misfit || present;
    }
    return present;
}

slice query_read_slice(query *q, arena *memory) {
    slice copy = {NULL, 0};
    q->memory_out = !arena_copy(memory, peek(q), &copy) || q->memory_out;
    return copy;
}

bool query_column_equals(query *q, const void *bytes, size_t length) {
    slice found = peek(q);
    volatile uint8_t difference = found.length == length ? 0 : 1;
    for (size_t i = 0; i < found.length && i < length; i++) {
        difference = (uint8_t)(difference | (found.data[i] ^ ((const uint8_t *)bytes)[i]));
    }
    return difference == 0;
}

bool query_columns_fit(query *q, error *err) {
    if (q->memory_out) {
        return error_memory(err);
    }
    return !q->misfit || error_set(err, ERROR_CORRUPT,
                                   "a row of the database doesn't hold what it should; restore a backup");
}
