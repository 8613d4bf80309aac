#include "sqlite.h"

#include "base/memory.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef CELLULE_FAULTS
#define FIU_ENABLE 1
#include <fiu.h>
#define FAULT_HERE(name) (fiu_fail(name) != 0)
#else
#define FAULT_HERE(name) false
#endif

/* Fewer checkpoints write fewer pages: many change again and again. */
enum {
    STATEMENT_MAX = 256,
    CACHE_KIB = 16 * 1024,
    CHECKPOINT_PAGES = 4000,
    JOURNAL_SIZE_LIMIT = 16 * 1024 * 1024,
    BUSY_TIMEOUT_MAX_MS = 60000
};

/* Prepared once, in order of first use; found by the address of their text. */
typedef struct prepared {
    const char *sql;
    sqlite3_stmt *statement;
} prepared;

typedef struct sqlite_database {
    database base;
    sqlite3 *connection;
    file_lock *lock; /* of the file beside the database: it is in use */
    int busy_timeout_ms;
    bool crash_likely; /* the last user didn't close it */
    bool synced;       /* what PRAGMA synchronous says: FULL, else NORMAL */
    bool write;        /* of the transaction that runs */
    size_t prepared_count;
    prepared prepared[STATEMENT_MAX];
} sqlite_database;

static const char begin_sql[] = "BEGIN";
static const char begin_write_sql[] = "BEGIN IMMEDIATE";
static const char commit_sql[] = "COMMIT";
static const char rollback_sql[] = "ROLLBACK";
static const char savepoint_sql[] = "SAVEPOINT part";
static const char keep_sql[] = "RELEASE part";
static const char drop_sql[] = "ROLLBACK TO part";

static sqlite_database *own(database *d) {
    return (sqlite_database *)d;
}

sqlite3 *sqlite_connection(const database *d) {
    return ((const sqlite_database *)d)->connection;
}

sqlite3_stmt *sqlite_statement(database *base, const char *sql, int *code) {
    sqlite_database *d = own(base);
    for (size_t i = 0; i < d->prepared_count; i++) {
        if (d->prepared[i].sql == sql) {
            sqlite3_reset(d->prepared[i].statement);
            sqlite3_clear_bindings(d->prepared[i].statement);
            return d->prepared[i].statement;
        }
    }
    if (d->prepared_count == STATEMENT_MAX) {
        *code = SQLITE_ERROR;
        return NULL;
    }
    sqlite3_stmt *statement = NULL;
    *code = sqlite3_prepare_v3(d->connection, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (*code == SQLITE_OK) {
        d->prepared[d->prepared_count++] = (prepared){sql, statement};
    }
    return statement;
}

static void sqlite_end_queries(database *base) {
    sqlite_database *d = own(base);
    for (size_t i = 0; i < d->prepared_count; i++) {
        if (sqlite3_stmt_busy(d->prepared[i].statement)) {
            sqlite3_reset(d->prepared[i].statement);
        }
    }
}

static bool run(database *d, const char *sql, error *err) {
    query q;
    query_start(&q, d, sql);
    return query_run(&q, err);
}

static bool sqlite_execute(database *d, const char *sql, error *err) {
    errno = 0;
    int code = sqlite3_exec(own(d)->connection, sql, NULL, NULL, NULL);
    return code == SQLITE_OK || sqlite_error(d, code, errno, err);
}

static uint64_t sqlite_changes(database *d) {
    return (uint64_t)sqlite3_changes64(own(d)->connection);
}

static uint64_t sqlite_last_id(database *d) {
    return (uint64_t)sqlite3_last_insert_rowid(own(d)->connection);
}

static bool sqlite_in_transaction(const database *d) {
    return sqlite3_get_autocommit(sqlite_connection(d)) == 0;
}

static bool sqlite_begin(database *base, database_mode mode, error *err) {
    sqlite_database *d = own(base);
    bool synced = mode == DATABASE_WRITE_SYNCED;
    if (mode != DATABASE_READ && synced != d->synced) {
        if (!sqlite_execute(base, synced ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL",
                            err)) {
            return false;
        }
        d->synced = synced;
    }
    d->write = mode != DATABASE_READ;
    return run(base, d->write ? begin_write_sql : begin_sql, err);
}

static bool sqlite_commit(database *d, error *err) {
    database_end_queries(d);
    if (own(d)->write && FAULT_HERE("disk")) {
        return sqlite_error(d, SQLITE_FULL, 0, err);
    }
    return run(d, commit_sql, err);
}

static void sqlite_rollback(database *d) {
    database_end_queries(d);
    error ignored;
    if (database_in_transaction(d) && !run(d, rollback_sql, &ignored)) {
        /* SQLite has rolled back all the same; the statement's failure is the earlier one's echo. */
        database_end_queries(d);
    }
}

static bool sqlite_savepoint(database *d, error *err) {
    return run(d, savepoint_sql, err);
}

static bool sqlite_keep_savepoint(database *d, error *err) {
    database_end_queries(d);
    return run(d, keep_sql, err);
}

static bool sqlite_drop_savepoint(database *d, error *err) {
    database_end_queries(d);
    return run(d, drop_sql, err) && run(d, keep_sql, err);
}

static bool sqlite_scrub(database *base, error *err) {
    sqlite_database *d = own(base);
    errno = 0;
    sqlite3_busy_timeout(d->connection, 0);
    int code = sqlite3_wal_checkpoint_v2(d->connection, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(d->connection, d->busy_timeout_ms);
    base->wiped = code != SQLITE_OK;
    return code == SQLITE_OK || sqlite_error(base, code, errno, err);
}

static bool path_beside(const char *path, const char *suffix, char name[PATH_MAX], error *err) {
    int length = snprintf(name, PATH_MAX, "%s%s", path, suffix);
    return (length > 0 && length < PATH_MAX) || error_set(err, ERROR_INVALID, "the path is too long");
}

/* SQLite would make the file as the umask says; its log and index get the mode of the file. */
static bool make_file(const char *path, error *err) {
    int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (descriptor < 0) {
        return error_set_errno(err, ERROR_IO, errno, "the file can't be opened");
    }
    close(descriptor);
    return true;
}

static bool check_content(database *d, error *err) {
    query q;
    query_start(&q, d, "PRAGMA quick_check(1)");
    bool row = false;
    bool sound = query_row(&q, &row, err);
    if (sound && !(row && query_column_equals(&q, "ok", 2))) {
        sound = error_set(err, ERROR_CORRUPT, "the database is damaged; restore a backup");
    }
    database_end_queries(d);
    return sound;
}

static bool set_size_limit(database *d, uint64_t limit, error *err) {
    uint64_t page_size = 0;
    if (!database_read_number(d, "PRAGMA page_size", &page_size, err)) {
        return false;
    }
    uint64_t pages = limit / (page_size == 0 ? 4096 : page_size);
    if (limit == 0 || pages > UINT32_MAX - 1) {
        return true;
    }
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %llu", (unsigned long long)(pages == 0 ? 1 : pages));
    return sqlite_execute(d, sql, err);
}

/* What has to run when nothing else does, with no memory left to prepare it. */
static bool prepare_transactions(database *d, error *err) {
    static const char *const statements[] = {begin_sql,     begin_write_sql, commit_sql, rollback_sql,
                                             savepoint_sql, keep_sql,        drop_sql};
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        int code = SQLITE_OK;
        if (sqlite_statement(d, statements[i], &code) == NULL) {
            return sqlite_error(d, code, 0, err);
        }
    }
    return true;
}

static bool sqlite_connect(sqlite_database *d, const char *path, uint32_t busy_timeout_ms, error *err) {
    int code = sqlite3_open_v2(path, &d->connection,
                               SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (d->connection == NULL) {
        return error_memory(err);
    }
    if (code != SQLITE_OK) {
        return sqlite_error(&d->base, code, 0, err);
    }
    d->busy_timeout_ms = (int)(busy_timeout_ms > BUSY_TIMEOUT_MAX_MS ? BUSY_TIMEOUT_MAX_MS : busy_timeout_ms);
    sqlite3_busy_timeout(d->connection, d->busy_timeout_ms);
    sqlite3_db_config(d->connection, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(d->connection, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return true;
}

/* The log lets a commit survive the process without a sync. */
static bool keep_log(database *d, error *err) {
    query q;
    query_start(&q, d, "PRAGMA journal_mode = WAL");
    bool row = false;
    bool kept = query_row(&q, &row, err);
    if (kept && !(row && query_column_equals(&q, "wal", 3))) {
        kept = error_set(err, ERROR_UNSUPPORTED, "no write-ahead log can be kept there; use a local disk");
    }
    database_end_queries(d);
    return kept;
}

static bool sqlite_prepare(database *d, uint64_t size_limit, error *err) {
    char sql[300];
    snprintf(sql, sizeof sql,
             "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; "
             "PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON; PRAGMA cache_size = -%d; "
             "PRAGMA wal_autocheckpoint = %d; PRAGMA journal_size_limit = %d",
             (int)CACHE_KIB, (int)CHECKPOINT_PAGES, (int)JOURNAL_SIZE_LIMIT);
    own(d)->synced = true;
    d->wiped = own(d)->crash_likely; /* the log that was left may hold what was wiped */
    return keep_log(d, err) && sqlite_execute(d, sql, err) && set_size_limit(d, size_limit, err) &&
           prepare_transactions(d, err) && (!own(d)->crash_likely || check_content(d, err));
}

/* SQLite removes the write-ahead log when the last user closes, or empties it where it keeps its files: what
 * is left in it tells of a crash. */
static bool open_alone(sqlite_database *d, const char *path, uint32_t busy_timeout_ms, error *err) {
    char lock_path[PATH_MAX];
    char log_path[PATH_MAX];
    if (!sqlite_memory_install(err) || !path_beside(path, ".lock", lock_path, err) ||
        !path_beside(path, "-wal", log_path, err)) {
        return false;
    }
    d->lock = file_lock_take(lock_path, err);
    if (d->lock == NULL || !make_file(path, err)) {
        return false;
    }
    struct stat status;
    d->crash_likely = stat(log_path, &status) == 0 && status.st_size > 0;
    return sqlite_connect(d, path, busy_timeout_ms, err);
}

static void sqlite_keep_files(database *d) {
    int keep = 1;
    (void)sqlite3_file_control(own(d)->connection, NULL, SQLITE_FCNTL_PERSIST_WAL, &keep);
}

static void sqlite_close(database *base) {
    sqlite_database *d = own(base);
    for (size_t i = 0; i < d->prepared_count; i++) {
        sqlite3_finalize(d->prepared[i].statement);
    }
    sqlite3_close_v2(d->connection);
    file_lock_release(d->lock);
    memory_free(d);
}

const database_driver sqlite_driver = {.migrations = store_migrations,
                                       .migration_count = &store_migration_count,
                                       .keep_files = sqlite_keep_files,
                                       .prepare = sqlite_prepare,
                                       .close = sqlite_close,
                                       .begin = sqlite_begin,
                                       .commit = sqlite_commit,
                                       .rollback = sqlite_rollback,
                                       .in_transaction = sqlite_in_transaction,
                                       .savepoint = sqlite_savepoint,
                                       .keep_savepoint = sqlite_keep_savepoint,
                                       .drop_savepoint = sqlite_drop_savepoint,
                                       .execute = sqlite_execute,
                                       .changes = sqlite_changes,
                                       .last_id = sqlite_last_id,
                                       .end_queries = sqlite_end_queries,
                                       .scrub = sqlite_scrub,
                                       .read_version = sqlite_read_version,
                                       .write_version = sqlite_write_version,
                                       .start = sqlite_query_start,
                                       .bind = sqlite_query_bind,
                                       .row = sqlite_query_row,
                                       .run = sqlite_query_run,
                                       .column = sqlite_query_column,
                                       .is_null = sqlite_query_is_null};

database *sqlite_open(const char *path, uint32_t busy_timeout_ms, error *err) {
    sqlite_database *d = memory_allocate_zeroed(1, sizeof *d);
    if (d == NULL) {
        error_memory(err);
        return NULL;
    }
    d->base.driver = &sqlite_driver;
    if (!open_alone(d, path, busy_timeout_ms, err)) {
        database_close(&d->base);
        return NULL;
    }
    return &d->base;
}
