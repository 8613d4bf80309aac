#include "base/memory.h"
#include "postgresql.h"

#include <endian.h>
#include <stdlib.h>

/* Types by their number in the server's catalogue (pg_type.dat), which never changes. */
enum { BOOL = 16, BYTEA = 17, INT8 = 20, INT2 = 21, INT4 = 23, TEXT = 25, FLOAT8 = 701, VARCHAR = 1043 };
enum { FRESH, SENT, FAILED }; /* a query's `code` */

static bool drain(postgresql *p, error *err);

void postgresql_end_queries(database *d) {
    error ignored; /* a failure stays noted, a lost connection is found by the next */
    (void)!drain(postgresql_of(d), &ignored);
}

void postgresql_free_lists(postgresql *p) {
    for (int i = 0; i < POSTGRESQL_PARAMETER_MAX; i++) {
        memory_free(p->lists[i]);
        p->lists[i] = NULL;
    }
}

void postgresql_query_start(query *q, const char *sql) {
    postgresql *p = postgresql_of(q->database);
    postgresql_end_queries(q->database);
    q->statement = postgresql_find(p, sql);
    q->code = q->statement == NULL ? FAILED : FRESH;
    postgresql_free_lists(p);
    p->parameter_count = 0;
}

static void give(postgresql *p, int at, Oid type, const void *bytes, size_t length) {
    p->types[at] = type;
    p->values[at] = bytes;
    p->lengths[at] = (int)length;
}

static void give_number(postgresql *p, int at, Oid type, uint64_t bits) {
    uint64_t big = htobe64(bits);
    memcpy(p->numbers[at], &big, sizeof big);
    give(p, at, type, p->numbers[at], sizeof big);
}

void postgresql_query_bind(query *q, const database_value *value) {
    postgresql *p = postgresql_of(q->database);
    int at = p->parameter_count;
    uint64_t bits = 0;
    bool fits = at < POSTGRESQL_PARAMETER_MAX && value->bytes.length <= INT32_MAX &&
                (value->type != DATABASE_INTEGER || value->integer >= 0);
    if (!fits) {
        q->code = FAILED;
        return;
    }
    p->parameter_count++;
    const void *start = value->bytes.length == 0 ? (const void *)"" : value->bytes.data;
    switch (value->type) {
    case DATABASE_INTEGER:
        give_number(p, at, INT8, (uint64_t)value->integer);
        break;
    case DATABASE_REAL:
        memcpy(&bits, &value->real, sizeof bits);
        give_number(p, at, FLOAT8, bits);
        break;
    case DATABASE_TEXT:
        give(p, at, TEXT, start, value->bytes.length);
        break;
    case DATABASE_BYTES:
        give(p, at, BYTEA, start, value->bytes.length);
        break;
    default:
        give(p, at, 0, NULL, 0);
    }
}

void postgresql_query_bind_values(query *q, const database_value *values, size_t count) {
    postgresql *p = postgresql_of(q->database);
    int at = p->parameter_count;
    size_t length = 0;
    Oid type = 0;
    void *list = at < POSTGRESQL_PARAMETER_MAX ? postgresql_list_encode(values, count, &type, &length) : NULL;
    if (list == NULL) {
        q->memory_out = type != 0;
        q->code = FAILED;
        return;
    }
    p->parameter_count++;
    p->lists[at] = list;
    give(p, at, type, list, length);
}

static bool send_query(query *q, error *err) {
    postgresql *p = postgresql_of(q->database);
    if (q->code == FAILED) {
        return q->memory_out ? error_memory(err)
                             : error_set(err, ERROR_INVALID, "a value is too large for the database");
    }
    q->code = SENT;
    bool sent = postgresql_send(p, q->statement, err);
    postgresql_free_lists(p);
    return sent;
}

static void note_changes(postgresql *p, const PGresult *result) {
    const char *count = PQcmdTuples((PGresult *)(uintptr_t)result);
    if (count[0] != '\0') {
        p->changes = strtoull(count, NULL, 10);
    }
}

static bool fail(postgresql *p, const PGresult *result, error *err) {
    if (!p->failed) {
        (void)postgresql_error(result, &p->failure);
        p->failed = true;
    }
    *err = p->failure;
    return false;
}

/* The next result of the query that is read, until one has a row or there are no more. */
static bool fetch(postgresql *p, error *err) {
    bool good = true;
    for (;;) {
        PQclear(p->rows);
        p->rows = NULL;
        PGresult *result = NULL;
        if (!postgresql_next(p, &result, err)) {
            return false;
        }
        if (result == NULL) {
            p->reading = false;
            postgresql_done(p, good);
            return good;
        }
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
            good = fail(p, result, err);
        } else {
            note_changes(p, result);
        }
        p->rows = result;
        p->row = 0;
        if (good && PQntuples(result) > 0) {
            return true;
        }
    }
}

static bool drain(postgresql *p, error *err) {
    bool good = true;
    while (p->reading && good) {
        good = fetch(p, err);
    }
    PQclear(p->rows);
    p->rows = NULL;
    return good;
}

/* Row by row, so that a page that ends early, as its rows are large, isn't held whole. */
static bool begin_reading(query *q, error *err) {
    postgresql *p = postgresql_of(q->database);
    if (!send_query(q, err)) {
        return false;
    }
    bool before = postgresql_collect(p, 1, err);
    if (p->connection == NULL) {
        return false;
    }
    if (PQsendFlushRequest(p->connection) == 0) {
        return postgresql_lose(p, "", err);
    }
    p->reading = before;
    p->changes = 0;
    if (before) {
        (void)PQsetSingleRowMode(p->connection); /* if not: as many rows in one result */
    }
    return before;
}

bool postgresql_query_row(query *q, bool *row, error *err) {
    postgresql *p = postgresql_of(q->database);
    if (q->code != SENT) {
        if (!begin_reading(q, err)) {
            return false;
        }
    } else if (p->rows != NULL && p->row + 1 < PQntuples(p->rows)) {
        p->row++;
        *row = true;
        return true;
    }
    if (p->reading && !fetch(p, err)) {
        return false;
    }
    *row = p->reading;
    return true;
}

bool postgresql_query_run(query *q, error *err) {
    postgresql *p = postgresql_of(q->database);
    if (q->code == SENT) {
        return drain(p, err);
    }
    return send_query(q, err) && (p->ahead || postgresql_collect(p, 0, err));
}

uint64_t postgresql_changes(database *d) {
    postgresql *p = postgresql_of(d);
    error ignored; /* the failure stays noted, and is told by what comes next */
    return p->pending_count > 0 && !p->reading && !postgresql_collect(p, 0, &ignored) ? 0 : p->changes;
}

bool postgresql_query_is_null(const query *q, int at) {
    const postgresql *p = postgresql_of(q->database);
    return p->rows == NULL || PQgetisnull(p->rows, p->row, at) != 0;
}

static int64_t integer_of(Oid type, const char *bytes) {
    uint64_t eight = 0;
    uint32_t four = 0;
    uint16_t two = 0;
    switch (type) {
    case INT8:
        memcpy(&eight, bytes, sizeof eight);
        return (int64_t)be64toh(eight);
    case INT4:
        memcpy(&four, bytes, sizeof four);
        return (int32_t)be32toh(four);
    case INT2:
        memcpy(&two, bytes, sizeof two);
        return (int16_t)be16toh(two);
    default:
        return bytes[0] != 0;
    }
}

database_value postgresql_query_column(query *q, int at) {
    const postgresql *p = postgresql_of(q->database);
    uint64_t bits = 0;
    database_value v = {.type = DATABASE_NULL};
    if (postgresql_query_is_null(q, at)) {
        return v;
    }
    const char *bytes = PQgetvalue(p->rows, p->row, at);
    Oid type = PQftype(p->rows, at);
    switch (type) {
    case BOOL:
    case INT2:
    case INT4:
    case INT8:
        return (database_value){.type = DATABASE_INTEGER, .integer = integer_of(type, bytes)};
    case FLOAT8:
        memcpy(&bits, bytes, sizeof bits);
        bits = be64toh(bits);
        v.type = DATABASE_REAL;
        memcpy(&v.real, &bits, sizeof bits);
        return v;
    case TEXT:
    case VARCHAR:
    case BYTEA:
        return (database_value){.type = type == BYTEA ? DATABASE_BYTES : DATABASE_TEXT,
                                .bytes = slice_of(bytes, (size_t)PQgetlength(p->rows, p->row, at))};
    default:
        q->misfit = true;
        return v;
    }
}
