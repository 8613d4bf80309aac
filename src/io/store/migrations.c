#include "migrations.h"

#include <stdio.h>

/* "Cell": says in the file's header whose it is (SQLite file format, 1.2, offset 68). */
enum { APPLICATION_ID = 0x43656C6C };

static bool is_empty(database *d, bool *empty, error *err) {
    query q;
    query_start(&q, d, "SELECT 1 FROM sqlite_schema LIMIT 1");
    bool row = false;
    bool done = query_row(&q, &row, err);
    database_end_queries(d);
    *empty = !row;
    return done;
}

bool migrations_check(database *d, const migration *steps, size_t count, error *err) {
    uint64_t application = 0;
    uint64_t version = 0;
    bool empty = false;
    if (!database_read_number(d, "PRAGMA application_id", &application, err) ||
        !database_read_number(d, "PRAGMA user_version", &version, err) || !is_empty(d, &empty, err)) {
        return false;
    }
    if (application != APPLICATION_ID && (application != 0 || version != 0 || !empty)) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "this file is another program's database; name another file");
    }
    uint32_t newest = count == 0 ? 0 : steps[count - 1].version;
    if (version > newest) {
        return error_set(
            err, ERROR_UNSUPPORTED,
            "this database was made by a newer version of cellule (its schema is %llu, this program "
            "knows up to %u); install that version",
            (unsigned long long)version, newest);
    }
    return true;
}

static bool apply(database *d, const migration *step, error *err) {
    char stamp[96];
    snprintf(stamp, sizeof stamp, "PRAGMA application_id = %d; PRAGMA user_version = %u", (int)APPLICATION_ID,
             step->version);
    if (!database_begin(d, DATABASE_WRITE_SYNCED, err)) {
        return false;
    }
    if (!database_execute(d, step->sql, err) || !database_execute(d, stamp, err) ||
        !database_commit(d, err)) {
        database_rollback(d);
        return error_context(err, "migration %s", step->name);
    }
    return true;
}

bool migrations_apply(database *d, const migration *steps, size_t count, error *err) {
    uint64_t version = 0;
    if (!database_read_number(d, "PRAGMA user_version", &version, err)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (steps[i].version > version && !apply(d, &steps[i], err)) {
            return false;
        }
    }
    return true;
}
