#include "database_driver.h"

bool migrations_check(database *d, const migration *steps, size_t count, error *err) {
    uint64_t version = 0;
    uint32_t newest = count == 0 ? 0 : steps[count - 1].version;
    if (!d->driver->read_version(d, &version, err)) {
        return false;
    }
    return version <= newest ||
           error_set(err, ERROR_UNSUPPORTED,
                     "this database was made by a newer version of cellule (its schema is %llu, this program "
                     "knows up to %u); install that version",
                     (unsigned long long)version, newest);
}

static bool apply(database *d, const migration *step, error *err) {
    if (!database_begin(d, DATABASE_WRITE_SYNCED, err)) {
        return false;
    }
    if (!database_execute(d, step->sql, err) || !d->driver->write_version(d, step->version, err) ||
        !database_commit(d, err)) {
        database_rollback(d);
        return error_context(err, "migration %s", step->name);
    }
    return true;
}

bool migrations_apply(database *d, const migration *steps, size_t count, error *err) {
    uint64_t version = 0;
    if (!d->driver->read_version(d, &version, err)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (steps[i].version > version && !apply(d, &steps[i], err)) {
            return false;
        }
    }
    return true;
}

bool migrations_check_store(database *d, error *err) {
    return migrations_check(d, d->driver->migrations, *d->driver->migration_count, err);
}

bool migrations_apply_store(database *d, error *err) {
    return migrations_apply(d, d->driver->migrations, *d->driver->migration_count, err);
}
