#include "postgresql.h"

#include <stdio.h>

/* The version of the schema stands in a table that each migration's transaction writes. */

static bool has_table(database *d, bool *has, error *err) {
    uint64_t found = 0;
    bool read = database_read_number(d, "SELECT to_regclass('cellule_schema') IS NOT NULL", &found, err);
    *has = found == 1;
    return read;
}

static bool is_empty(database *d, bool *empty, error *err) {
    uint64_t tables = 0;
    bool read =
        database_read_number(d,
                             "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f') "
                             "AND relnamespace = CAST(current_schema() AS regnamespace)",
                             &tables, err);
    *empty = tables == 0;
    return read;
}

bool postgresql_read_version(database *d, uint64_t *version, error *err) {
    bool ours = false;
    bool empty = false;
    *version = 0;
    if (!has_table(d, &ours, err)) {
        return false;
    }
    if (ours) {
        return database_read_number(d, "SELECT version FROM cellule_schema", version, err);
    }
    return is_empty(d, &empty, err) &&
           (empty || error_set(err, ERROR_UNSUPPORTED,
                               "this database holds tables of another program; name an empty one"));
}

bool postgresql_write_version(database *d, uint32_t version, error *err) {
    char sql[400];
    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS cellule_schema (one bigint PRIMARY KEY CHECK (one = 1), "
             "version bigint NOT NULL, opener bytea); INSERT INTO cellule_schema (one, version) "
             "VALUES (1, %u) ON CONFLICT (one) DO UPDATE SET version = %u",
             version, version);
    return database_execute(d, sql, err) && postgresql_stamp(postgresql_of(d), err);
}

bool postgresql_stamp(postgresql *p, error *err) {
    query q;
    bool ours = false;
    if (!has_table(&p->base, &ours, err)) {
        return false;
    }
    if (!ours) {
        return true;
    }
    query_start(&q, &p->base, "UPDATE cellule_schema SET opener = ?");
    query_bytes(&q, p->opener, sizeof p->opener);
    p->stamped = query_run(&q, err);
    return p->stamped;
}
