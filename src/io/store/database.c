#include "sqlite.h"

bool postgresql_is_url(const char *path) {
    slice text = slice_of_text(path);
    return slice_starts_with(text, SLICE_LITERAL("postgresql://")) ||
           slice_starts_with(text, SLICE_LITERAL("postgres://"));
}

database *database_open(const char *path, uint32_t busy_timeout_ms, error *err) {
    return postgresql_is_url(path) ? postgresql_open(path, busy_timeout_ms, err)
                                   : sqlite_open(path, busy_timeout_ms, err);
}

void database_keep_files(database *d) {
    d->driver->keep_files(d);
}

bool database_prepare(database *d, uint64_t size_limit, error *err) {
    return d->driver->prepare(d, size_limit, err);
}

void database_close(database *d) {
    if (d != NULL) {
        d->driver->close(d);
    }
}

const char *database_choose(const database *d, const char *sqlite, const char *postgresql) {
    return d->driver == &sqlite_driver ? sqlite : postgresql;
}

bool database_begin(database *d, database_mode mode, error *err) {
    return d->driver->begin(d, mode, err);
}

bool database_commit(database *d, error *err) {
    return d->driver->commit(d, err);
}

void database_rollback(database *d) {
    d->rollbacks++;
    d->driver->rollback(d);
}

uint64_t database_rollbacks(const database *d) {
    return d->rollbacks;
}

void database_forget_noted(database *d) {
    d->rollbacks++;
}

bool database_in_transaction(const database *d) {
    return d->driver->in_transaction(d);
}

bool database_savepoint(database *d, error *err) {
    return d->driver->savepoint(d, err);
}

bool database_keep_savepoint(database *d, error *err) {
    return d->driver->keep_savepoint(d, err);
}

bool database_drop_savepoint(database *d, error *err) {
    return d->driver->drop_savepoint(d, err);
}

bool database_run_ahead(database *d) {
    return d->driver->run_ahead != NULL && d->driver->run_ahead(d);
}

bool database_end_ahead(database *d, error *err) {
    return d->driver->end_ahead == NULL || d->driver->end_ahead(d, err);
}

bool database_execute(database *d, const char *sql, error *err) {
    return d->driver->execute(d, sql, err);
}

bool database_read_number(database *d, const char *sql, uint64_t *number, error *err) {
    query q;
    query_start(&q, d, sql);
    bool row = false;
    bool done = query_row(&q, &row, err);
    if (done) {
        *number = row ? query_read_u64(&q) : 0;
        done = query_columns_fit(&q, err);
    }
    database_end_queries(d);
    return done;
}

uint64_t database_changes(database *d) {
    return d->driver->changes(d);
}

uint64_t database_last_id(database *d) {
    return d->driver->last_id(d);
}

void database_end_queries(database *d) {
    d->driver->end_queries(d);
}

void database_note_wipe(database *d) {
    d->wiped = true;
}

bool database_wants_scrub(const database *d) {
    return d->wiped;
}

bool database_scrub(database *d, error *err) {
    return d->driver->scrub(d, err);
}

uint64_t database_tend(database *d) {
    return d->driver->tend == NULL ? 0 : d->driver->tend(d);
}
