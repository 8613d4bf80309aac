#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

#include "database.h"

/* One step of the schema: migrations/NNNN_name.sql for SQLite, migrations/postgresql/NNNN_name.sql for
 * PostgreSQL, embedded at build time. A version means the same in both. */
typedef struct migration {
    uint32_t version; /* 1, 2, 3 ... */
    const char *name;
    const char *sql;
} migration;

extern const migration store_migrations[];
extern const size_t store_migration_count;
extern const migration postgresql_migrations[];
extern const size_t postgresql_migration_count;

/* Refuses a database that isn't ours (ERROR_UNSUPPORTED) or whose schema is newer than the last of `steps`.
 */
MUST_CHECK bool migrations_check(database *d, const migration *steps, size_t count, error *err);
/* Applies, in order and each in a transaction of its own, the steps the database doesn't have yet. */
MUST_CHECK bool migrations_apply(database *d, const migration *steps, size_t count, error *err);
/* Both with all steps that this database's kind has. */
MUST_CHECK bool migrations_check_store(database *d, error *err);
MUST_CHECK bool migrations_apply_store(database *d, error *err);

#endif
