#include "sqlite.h"

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

bool sqlite_read_version(database *d, uint64_t *version, error *err) {
    uint64_t application = 0;
    bool empty = false;
    if (!database_read_number(d, "PRAGMA application_id", &application, err) ||
        !database_read_number(d, "PRAGMA user_version", version, err) || !is_empty(d, &empty, err)) {
        return false;
    }
    return application == APPLICATION_ID || (application == 0 && *version == 0 && empty) ||
           error_set(err, ERROR_UNSUPPORTED, "this file is another program's database; name another file");
}

bool sqlite_write_version(database *d, uint32_t version, error *err) {
    char stamp[96];
    snprintf(stamp, sizeof stamp, "PRAGMA application_id = %d; PRAGMA user_version = %u", (int)APPLICATION_ID,
             version);
    return database_execute(d, stamp, err);
}
