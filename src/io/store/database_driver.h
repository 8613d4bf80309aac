#ifndef STORE_DATABASE_DRIVER_H
#define STORE_DATABASE_DRIVER_H

#include "database.h"
#include "migrations.h"

/* What a kind of database has to do; sqlite*.c and postgresql*.c each fill one in. Functions without a
 * comment are those of database.h with the same name. */
typedef struct database_driver {
    const migration *migrations;
    const size_t *migration_count;
    void (*keep_files)(database *d);
    bool (*prepare)(database *d, uint64_t size_limit, error *err);
    void (*close)(database *d);
    bool (*begin)(database *d, database_mode mode, error *err);
    bool (*commit)(database *d, error *err);
    void (*rollback)(database *d);
    bool (*in_transaction)(const database *d);
    bool (*savepoint)(database *d, error *err);
    bool (*keep_savepoint)(database *d, error *err);
    bool (*drop_savepoint)(database *d, error *err);
    bool (*run_ahead)(database *d); /* NULL: there is no such thing */
    bool (*end_ahead)(database *d, error *err);
    bool (*execute)(database *d, const char *sql, error *err);
    uint64_t (*changes)(database *d);
    uint64_t (*last_id)(database *d);
    void (*end_queries)(database *d);
    bool (*scrub)(database *d, error *err);
    uint64_t (*tend)(database *d); /* NULL: there is nothing to tend */
    /* Version 0: nothing of ours is in it yet. ERROR_UNSUPPORTED: it is another program's. */
    bool (*read_version)(database *d, uint64_t *version, error *err);
    bool (*write_version)(database *d, uint32_t version, error *err);
    /* A failure of these is kept in `code`, and told by `row`. */
    void (*start)(query *q, const char *sql);
    void (*bind)(query *q, const database_value *value);
    void (*bind_values)(query *q, const database_value *values, size_t count); /* NULL: as run_ahead */
    bool (*row)(query *q, bool *row, error *err);
    bool (*run)(query *q, error *err);
    /* Of the column `at`; sets `memory_out` when that is why it can't. */
    database_value (*column)(query *q, int at);
    bool (*is_null)(const query *q, int at);
} database_driver;

/* What each driver's own struct begins with. */
struct database {
    const database_driver *driver;
    uint64_t rollbacks;
    bool wiped; /* there may be something left of what was to be wiped */
};

MUST_CHECK database *sqlite_open(const char *path, uint32_t busy_timeout_ms, error *err);
MUST_CHECK database *postgresql_open(const char *url, uint32_t busy_timeout_ms, error *err);
/* It begins with "postgresql://" or "postgres://". */
bool postgresql_is_url(const char *path);

#endif
