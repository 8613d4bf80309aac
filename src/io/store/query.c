#include "database_driver.h"

void query_start(query *q, database *d, const char *sql) {
    *q = (query){.database = d};
    d->driver->start(q, sql);
}

void query_value(query *q, const database_value *value) {
    q->database->driver->bind(q, value);
}

/* A database that knows no lists refuses it as any other misfit. */
void query_values(query *q, const database_value *values, size_t count) {
    if (q->database->driver->bind_values == NULL) {
        query_value(q, &(database_value){.type = DATABASE_INTEGER, .integer = -1});
    } else {
        q->database->driver->bind_values(q, values, count);
    }
}

/* Beyond the range of an integer: kept as negative, which every driver refuses. */
void query_u64(query *q, uint64_t value) {
    query_value(
        q, &(database_value){.type = DATABASE_INTEGER, .integer = value > INT64_MAX ? -1 : (int64_t)value});
}

void query_text(query *q, slice text) {
    query_value(q, &(database_value){.type = DATABASE_TEXT, .bytes = text});
}

void query_bytes(query *q, const void *bytes, size_t length) {
    query_value(q, &(database_value){.type = DATABASE_BYTES, .bytes = slice_of(bytes, length)});
}

void query_f64(query *q, double value) {
    query_value(q, &(database_value){.type = DATABASE_REAL, .real = value});
}

void query_null(query *q) {
    query_value(q, &(database_value){.type = DATABASE_NULL});
}

bool query_row(query *q, bool *row, error *err) {
    *row = false;
    q->column = 0;
    return q->database->driver->row(q, row, err);
}

bool query_run(query *q, error *err) {
    return q->database->driver->run(q, err);
}

database_value query_read_value(query *q) {
    return q->database->driver->column(q, q->column++);
}

uint64_t query_read_u64(query *q) {
    database_value v = query_read_value(q);
    bool fits = v.type == DATABASE_NULL || (v.type == DATABASE_INTEGER && v.integer >= 0);
    q->misfit = q->misfit || !fits;
    return fits && v.type == DATABASE_INTEGER ? (uint64_t)v.integer : 0;
}

double query_read_f64(query *q) {
    database_value v = query_read_value(q);
    q->misfit = q->misfit || v.type != DATABASE_REAL;
    return v.type == DATABASE_REAL ? v.real : 0;
}

bool query_column_is_null(const query *q) {
    return q->database->driver->is_null(q, q->column);
}

static slice read_bytes(query *q, bool *present) {
    database_value v = query_read_value(q);
    *present = v.type != DATABASE_NULL;
    bool fits = v.type == DATABASE_TEXT || v.type == DATABASE_BYTES || v.type == DATABASE_NULL;
    q->misfit = q->misfit || !fits;
    return fits ? v.bytes : (slice){NULL, 0};
}

bool query_read_bytes(query *q, void *bytes, size_t length) {
    bool present = false;
    slice found = read_bytes(q, &present);
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
    bool present = false;
    q->memory_out = !arena_copy(memory, read_bytes(q, &present), &copy) || q->memory_out;
    return copy;
}

bool query_column_equals(query *q, const void *bytes, size_t length) {
    bool present = false;
    slice found = read_bytes(q, &present);
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
