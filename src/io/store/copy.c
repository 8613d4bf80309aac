#include "store/copy.h"

#include "base/arena.h"
#include "os/file.h"
#include "sqlite.h"
#include "store/server.h"

#include <stdio.h>

/* TOLD_EACH rows the caller hears; AHEAD_BYTES go out before the target is waited for. */
enum {
    COLUMNS_MAX = 32,
    COLUMN_SIZE = 64,
    BUSY_TIMEOUT_MS = 2000,
    MEMORY_LIMIT = 1024 * 1024,
    TOLD_EACH = 256,
    AHEAD_BYTES = 1024 * 1024,
    NAME_SIZE = 512
};

/* In an order in which each names only what was before it; a worker may name another one. */
typedef struct table {
    const char *name;
    const char *numbered; /* the column whose next value the database draws */
} table;

static const table tables[] = {{"meta", NULL},
                               {"users", "id"},
                               {"keys", "id"},
                               {"approvals", "id"},
                               {"join_tokens", NULL},
                               {"workers", NULL},
                               {"receipts", NULL},
                               {"inference_verifications", "number"},
                               {"inference_payloads", NULL},
                               {"kept_answers", NULL},
                               {"worker_reputation", NULL},
                               {"blacklist", "id"},
                               {"evidence", "id"},
                               {"notices", "id"},
                               {"honeytokens", "id"},
                               {"audit_entries", NULL},
                               {"audit_tiles", NULL},
                               {"audit_checkpoint", NULL},
                               {"audit_salts", NULL},
                               {"sessions", NULL},
                               {"spent_refreshes", NULL},
                               {"identities", NULL},
                               {"session_keys", NULL},
                               {"vaults", NULL},
                               {"vault_wraps", NULL},
                               {"recovery_shares", NULL},
                               {"conversations", NULL},
                               {"conversation_heads", NULL},
                               {"turns", "number"},
                               {"facts", NULL}};

typedef struct copying {
    database *from;
    database *to;
    arena *memory; /* the statements' texts: found again by their addresses */
    store_copying *told;
    void *context;
    store_copy_progress progress;
    uint64_t ahead; /* bytes that were sent and not waited for */
} copying;

typedef struct columns {
    size_t count;
    char names[COLUMNS_MAX][COLUMN_SIZE];
} columns;

/* Those of the target, but for the zeros that SQLite's rows begin with, which it gives by itself. */
static bool find_columns(copying *c, const table *t, columns *found, error *err) {
    query q;
    bool row = true;
    found->count = 0;
    query_start(&q, c->to,
                database_choose(c->to, "SELECT name FROM pragma_table_info(?) WHERE name <> 'beginning'",
                                "SELECT CAST(column_name AS text) FROM information_schema.columns "
                                "WHERE table_schema = current_schema() AND table_name = ? "
                                "ORDER BY ordinal_position"));
    query_text(&q, slice_of_text(t->name));
    while (row && found->count < COLUMNS_MAX) {
        if (!query_row(&q, &row, err)) {
            return false;
        }
        if (row) {
            slice name = query_read_slice(&q, c->memory);
            snprintf(found->names[found->count++], COLUMN_SIZE, "%.*s", SLICE_FORMAT(name));
        }
    }
    database_end_queries(c->to);
    return query_columns_fit(&q, err) &&
           ((found->count > 0 && found->count < COLUMNS_MAX) ||
            error_set(err, ERROR_INTERNAL, "the table %s isn't as it should be", t->name));
}

static const char *list_columns(copying *c, const columns *found, bool as_parameters) {
    const char *list = "";
    for (size_t i = 0; i < found->count && list != NULL; i++) {
        list = as_parameters
                   ? arena_format(c->memory, "%s%s?", list, i == 0 ? "" : ", ")
                   : arena_format(c->memory, "%s%s\"%s\"", list, i == 0 ? "" : ", ", found->names[i]);
    }
    return list;
}

static bool count_rows(copying *c, database *d, const table *t, uint64_t *rows, error *err) {
    const char *sql = arena_format(c->memory, "SELECT count(*) FROM %s", t->name);
    return sql == NULL ? error_memory(err) : database_read_number(d, sql, rows, err);
}

static bool copy_row(copying *c, query *read, const char *insert, size_t count, error *err) {
    query write;
    query_start(&write, c->to, insert);
    for (size_t i = 0; i < count; i++) {
        database_value value = query_read_value(read);
        query_value(&write, &value);
        c->ahead += value.bytes.length + sizeof value;
    }
    if (!query_columns_fit(read, err) || !query_run(&write, err)) {
        return false;
    }
    if (c->ahead >= AHEAD_BYTES) {
        c->ahead = 0;
        bool good = database_end_ahead(c->to, err);
        (void)database_run_ahead(c->to);
        return good;
    }
    return true;
}

static bool copy_rows(copying *c, const char *select, const char *insert, size_t count, error *err) {
    query read;
    bool row = true;
    query_start(&read, c->from, select);
    while (row) {
        if (!query_row(&read, &row, err) || (row && !copy_row(c, &read, insert, count, err))) {
            return false;
        }
        c->progress.rows += row ? 1 : 0;
        c->progress.all_rows += row ? 1 : 0;
        if (c->progress.rows % TOLD_EACH == 0) {
            c->told(c->context, &c->progress);
        }
    }
    database_end_queries(c->from);
    return true;
}

/* The next number is drawn above those that were copied. */
static bool draw_on(copying *c, const table *t, error *err) {
    uint64_t ignored = 0;
    if (t->numbered == NULL || c->to->driver == &sqlite_driver) { /* SQLite draws the highest and one */
        return true;
    }
    const char *sql = arena_format(c->memory,
                                   "SELECT setval(pg_get_serial_sequence('%s', '%s'), max(%s)) FROM %s "
                                   "HAVING max(%s) IS NOT NULL",
                                   t->name, t->numbered, t->numbered, t->name, t->numbered);
    return sql == NULL ? error_memory(err) : database_read_number(c->to, sql, &ignored, err);
}

static bool copy_table(copying *c, const table *t, error *err) {
    columns found;
    uint64_t arrived = 0;
    c->progress.table = t->name;
    c->progress.rows = 0;
    if (!find_columns(c, t, &found, err) || !count_rows(c, c->from, t, &c->progress.of, err)) {
        return false;
    }
    const char *names = list_columns(c, &found, false);
    const char *parameters = list_columns(c, &found, true);
    const char *select = names == NULL ? NULL : arena_format(c->memory, "SELECT %s FROM %s", names, t->name);
    const char *insert =
        names == NULL || parameters == NULL
            ? NULL
            : arena_format(c->memory, "INSERT INTO %s (%s) VALUES (%s)", t->name, names, parameters);
    if (select == NULL || insert == NULL) {
        return error_memory(err);
    }
    (void)database_run_ahead(c->to);
    bool copied = copy_rows(c, select, insert, found.count, err);
    error late;
    if (!database_end_ahead(c->to, &late) && copied) {
        *err = late;
        copied = false;
    }
    return copied && draw_on(c, t, err) && count_rows(c, c->to, t, &arrived, err) &&
           ((arrived == c->progress.of && arrived == c->progress.rows) ||
            error_set(err, ERROR_CORRUPT, "%llu of %llu rows arrived", (unsigned long long)arrived,
                      (unsigned long long)c->progress.of));
}

static bool copy_all(copying *c, error *err) {
    if (!database_execute(
            c->to, database_choose(c->to, "PRAGMA defer_foreign_keys = ON", "SET CONSTRAINTS ALL DEFERRED"),
            err)) {
        return false;
    }
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (!copy_table(c, &tables[i], err)) {
            return error_context(err, "table %s", tables[i].name);
        }
    }
    return true;
}

static bool copy_in_transaction(copying *c, error *err) {
    if (!database_begin(c->from, DATABASE_READ, err)) {
        return false;
    }
    bool copied = database_begin(c->to, DATABASE_WRITE_SYNCED, err);
    if (copied) {
        copied = copy_all(c, err) && database_commit(c->to, err);
        if (!copied) {
            database_rollback(c->to);
        }
    }
    database_rollback(c->from);
    return copied;
}

static bool check_empty(copying *c, error *err) {
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        uint64_t rows = 0;
        if (!count_rows(c, c->to, &tables[i], &rows, err)) {
            return false;
        }
        if (rows > 0) {
            return error_set(err, ERROR_CONFLICT, "it isn't empty; name one that is");
        }
    }
    return true;
}

static bool open_source(copying *c, const char *path, error *err) {
    uint64_t version = 0;
    c->from = database_open(path, BUSY_TIMEOUT_MS, err);
    if (c->from == NULL || !migrations_check_store(c->from, err) ||
        !c->from->driver->read_version(c->from, &version, err)) {
        return false;
    }
    uint32_t newest = c->from->driver->migrations[*c->from->driver->migration_count - 1].version;
    return (version == newest ||
            error_set(err, ERROR_UNSUPPORTED,
                      "its schema is %llu, this program's %u: start its pool once with this program",
                      (unsigned long long)version, newest)) &&
           database_prepare(c->from, 0, err);
}

static bool open_target(copying *c, const char *path, error *err) {
    c->to = database_open(path, BUSY_TIMEOUT_MS, err);
    return c->to != NULL && migrations_check_store(c->to, err) && database_prepare(c->to, 0, err) &&
           migrations_apply_store(c->to, err) && check_empty(c, err);
}

static bool tell_which(const char *path, error *err) {
    char name[NAME_SIZE];
    error ignored;
    bool named = store_path_describe(path, name, sizeof name, &ignored);
    return error_context(err, "database %s", named ? name : "URL");
}

bool store_copy(const char *from, const char *to, store_copying *told, void *context, uint64_t *rows,
                error *err) {
    copying c = {.told = told, .context = context, .memory = arena_new(MEMORY_LIMIT)};
    bool copied = c.memory != NULL || error_memory(err);
    copied = copied && (store_path_is_server(from) || file_exists(from) ||
                        error_set(err, ERROR_NOT_FOUND, "there is no file %s", from));
    copied = copied && (open_source(&c, from, err) || tell_which(from, err)) &&
             (open_target(&c, to, err) || tell_which(to, err)) && copy_in_transaction(&c, err);
    *rows = c.progress.all_rows;
    database_close(c.to);
    database_close(c.from);
    arena_free(c.memory);
    return copied;
}
