#include "postgresql.h"

#include "base/memory.h"
#include "os/random.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#ifdef CELLULE_FAULTS
#define FIU_ENABLE 1
#include <fiu.h>
#define FAULT_HERE(name) (fiu_fail(name) != 0)
#else
#define FAULT_HERE(name) false
#endif

/* LOCK_WAIT: the server takes a while to see that a pool before us was killed. */
enum { OPEN_WAIT_MS = 10000, LOCK_WAIT_MS = 1500, LOCK_PAUSE_MS = 50 };

static void pg_keep_files(database *d) {
    (void)d;
}

/* A limit of the size is the server's business. */
static bool pg_prepare(database *d, uint64_t size_limit, error *err) {
    postgresql *p = postgresql_of(d);
    (void)size_limit;
    return postgresql_stamp(p, err) && postgresql_remember_wipe(p, err) && postgresql_synchronise(p, err);
}

static void pg_close(database *d) {
    postgresql *p = postgresql_of(d);
    postgresql_scrub_last(p);
    postgresql_disconnect(p);
    postgresql_free_lists(p);
    postgresql_target_free(p->target);
    memory_free(p);
}

static bool pg_begin(database *d, database_mode mode, error *err) {
    postgresql *p = postgresql_of(d);
    if (!postgresql_ensure(p, err) || !postgresql_recover(p, err)) {
        return false;
    }
    p->write = mode != DATABASE_READ;
    p->transaction = postgresql_send_plain(p, p->write ? "BEGIN" : "BEGIN READ ONLY", err);
    return p->transaction &&
           (mode != DATABASE_WRITE || postgresql_send_plain(p, "SET LOCAL synchronous_commit = off", err));
}

/* Sent behind what isn't known to have succeeded: of what follows a failure the server runs nothing. */
static bool pg_commit(database *d, error *err) {
    postgresql *p = postgresql_of(d);
    postgresql_end_queries(d);
    if (p->write && FAULT_HERE("disk")) {
        return error_set(err, ERROR_IO, "the database server's disk is full; make room and try again");
    }
    p->committing = p->write;
    bool notes = p->write && d->wiped && !p->wipe_noted;
    bool committed = (!notes || postgresql_note_wipe(p, err)) && postgresql_send_plain(p, "COMMIT", err) &&
                     postgresql_synchronise(p, err);
    p->committing = false;
    p->wipe_noted = p->wipe_noted || (notes && committed);
    p->ahead = p->ahead && !committed;
    p->transaction = p->transaction && !committed;
    return committed;
}

static void pg_rollback(database *d) {
    postgresql *p = postgresql_of(d);
    error ignored;
    postgresql_end_queries(d);
    p->ahead = false;
    if (!p->failed && p->connection != NULL) {
        (void)!postgresql_collect(p, 0, &ignored);
    }
    if (postgresql_recover(p, &ignored) && p->transaction &&
        !(postgresql_send_plain(p, "ROLLBACK", &ignored) && postgresql_synchronise(p, &ignored)) &&
        p->connection != NULL) {
        (void)postgresql_lose(p, "it can't be rolled back", &ignored);
    }
    p->transaction = false;
}

static bool pg_in_transaction(const database *d) {
    return postgresql_of(d)->transaction;
}

static bool pg_savepoint(database *d, error *err) {
    return postgresql_send_plain(postgresql_of(d), "SAVEPOINT part", err);
}

static bool pg_keep_savepoint(database *d, error *err) {
    postgresql_end_queries(d);
    return postgresql_send_plain(postgresql_of(d), "RELEASE part", err);
}

static bool pg_drop_savepoint(database *d, error *err) {
    postgresql *p = postgresql_of(d);
    postgresql_end_queries(d);
    return postgresql_recover(p, err) && postgresql_send_plain(p, "ROLLBACK TO part", err) &&
           postgresql_send_plain(p, "RELEASE part", err);
}

static bool pg_run_ahead(database *d) {
    postgresql_of(d)->ahead = true;
    return true;
}

static bool pg_end_ahead(database *d, error *err) {
    postgresql *p = postgresql_of(d);
    postgresql_end_queries(d);
    p->ahead = false;
    return postgresql_collect(p, 0, err);
}

static uint64_t pg_last_id(database *d) {
    uint64_t id = 0;
    error ignored; /* the failure stays noted, and is told by what comes next */
    return database_read_number(d, "SELECT lastval()", &id, &ignored) ? id : 0;
}

const database_driver postgresql_driver = {.migrations = postgresql_migrations,
                                           .migration_count = &postgresql_migration_count,
                                           .keep_files = pg_keep_files,
                                           .prepare = pg_prepare,
                                           .close = pg_close,
                                           .begin = pg_begin,
                                           .commit = pg_commit,
                                           .rollback = pg_rollback,
                                           .in_transaction = pg_in_transaction,
                                           .savepoint = pg_savepoint,
                                           .keep_savepoint = pg_keep_savepoint,
                                           .drop_savepoint = pg_drop_savepoint,
                                           .run_ahead = pg_run_ahead,
                                           .end_ahead = pg_end_ahead,
                                           .execute = postgresql_execute,
                                           .changes = postgresql_changes,
                                           .last_id = pg_last_id,
                                           .end_queries = postgresql_end_queries,
                                           .scrub = postgresql_scrub,
                                           .tend = postgresql_tend,
                                           .read_version = postgresql_read_version,
                                           .write_version = postgresql_write_version,
                                           .start = postgresql_query_start,
                                           .bind = postgresql_query_bind,
                                           .bind_values = postgresql_query_bind_values,
                                           .row = postgresql_query_row,
                                           .run = postgresql_query_run,
                                           .column = postgresql_query_column,
                                           .is_null = postgresql_query_is_null};

static bool open_first(postgresql *p, error *err) {
    uint64_t until = postgresql_now_ms() + LOCK_WAIT_MS;
    while (!postgresql_connect(p, postgresql_now_ms() + OPEN_WAIT_MS, err)) {
        if (err->code != ERROR_CONFLICT || postgresql_now_ms() >= until) {
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_MS * 1000000L}, NULL);
    }
    return true;
}

database *postgresql_open(const char *url, uint32_t busy_timeout_ms, error *err) {
    postgresql *p = memory_allocate_zeroed(1, sizeof *p);
    if (p == NULL) {
        error_memory(err);
        return NULL;
    }
    p->base.driver = &postgresql_driver;
    p->lock_wait_ms = busy_timeout_ms;
    p->target = postgresql_target_parse(url, err);
    if (p->target == NULL || !random_bytes(p->opener, sizeof p->opener, err) || !open_first(p, err)) {
        pg_close(&p->base);
        return NULL;
    }
    return &p->base;
}

size_t postgresql_files(const database *d, const char **files, size_t limit) {
    return d->driver == &postgresql_driver ? postgresql_target_files(postgresql_of(d)->target, files, limit)
                                           : 0;
}
