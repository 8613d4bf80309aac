#ifndef STORE_OUTSIDE_H
#define STORE_OUTSIDE_H

/* Where a test's database is, and a look at it past the store: a file of SQLite's, or a database of its own
 * in the server that CELLULE_TEST_POSTGRESQL names (tests/support/postgresql_server.py). */
#include "unit.h"

#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct place {
    char folder[64];   /* empty: in a server */
    char database[64]; /* there */
    char path[256];
} place;

static inline const char *server_of_tests(void) {
    return getenv("CELLULE_TEST_POSTGRESQL");
}

/* For what only a database in files has. */
#define NEEDS_FILES                                                                                          \
    if (server_of_tests() != NULL) {                                                                         \
        skip();                                                                                              \
    }

static inline PGconn *server_connect(const char *database) {
    char where[320];
    snprintf(where, sizeof where, "%s dbname=%s", server_of_tests(), database);
    PGconn *connection = PQconnectdb(where);
    if (PQstatus(connection) != CONNECTION_OK) {
        print_error("%s\n", PQerrorMessage(connection));
    }
    assert_int_equal(PQstatus(connection), CONNECTION_OK);
    return connection;
}

/* The first column of the first row; empty if there is none. */
static inline void server_ask(PGconn *connection, const char *sql, char *text, size_t size) {
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        print_error("%s: %s\n", sql, PQerrorMessage(connection));
    }
    assert_true(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK);
    snprintf(text, size, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
}

static inline void server_run(const char *database, const char *sql) {
    char ignored[64];
    PGconn *connection = server_connect(database);
    server_ask(connection, sql, ignored, sizeof ignored);
    PQfinish(connection);
}

/* From "host=... port=... user=..." to the same as a URL's options. */
static inline void server_make_path(place *p) {
    int length = snprintf(p->path, sizeof p->path, "postgresql:///%s?%s", p->database, server_of_tests());
    assert_in_range(length, 1, sizeof p->path - 1);
    for (char *space = p->path; (space = strchr(space, ' ')) != NULL;) {
        *space = '&';
    }
}

/* In memory where there is such a folder: thousands of syncs would make the tests slow, and prove no more. */
static inline place place_make_in_files(void) {
    place p = {.folder = ""};
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(p.folder, sizeof p.folder, "%s/cellule-store-XXXXXX", parent);
    assert_non_null(mkdtemp(p.folder));
    snprintf(p.path, sizeof p.path, "%s/site.db", p.folder);
    return p;
}

static inline place place_make(void) {
    static unsigned number;
    place p = {.folder = ""};
    char sql[128];
    if (server_of_tests() == NULL) {
        return place_make_in_files();
    }
    snprintf(p.database, sizeof p.database, "test_%ld_%u", (long)getpid(), ++number);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", p.database);
    server_run("postgres", sql);
    server_make_path(&p);
    return p;
}

static inline void place_remove(const place *p) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock"};
    if (p->folder[0] == '\0') {
        char sql[128];
        snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", p->database);
        server_run("postgres", sql);
        return;
    }
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s%s", p->path, suffixes[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(p->folder), 0);
}

/* Another program's connection to the same database. */
typedef struct outside {
    sqlite3 *file;
    PGconn *server;
} outside;

static inline outside outside_open(const place *p) {
    outside o = {NULL, NULL};
    if (p->folder[0] == '\0') {
        o.server = server_connect(p->database);
    } else {
        assert_int_equal(sqlite3_open(p->path, &o.file), SQLITE_OK);
    }
    return o;
}

static inline void outside_close(outside *o) {
    sqlite3_close(o->file);
    PQfinish(o->server);
}

static inline uint64_t outside_ask(outside *o, const char *sql) {
    char text[64];
    sqlite3_stmt *statement = NULL;
    if (o->server != NULL) {
        server_ask(o->server, sql, text, sizeof text);
        return strtoull(text, NULL, 10);
    }
    assert_int_equal(sqlite3_prepare_v2(o->file, sql, -1, &statement, NULL), SQLITE_OK);
    int code = sqlite3_step(statement);
    assert_true(code == SQLITE_ROW || code == SQLITE_DONE);
    uint64_t number = code == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return number;
}

/* False: the database refuses it. */
static inline bool outside_changes(outside *o, const char *sql) {
    if (o->server == NULL) {
        return sqlite3_exec(o->file, sql, NULL, NULL, NULL) == SQLITE_OK;
    }
    PGresult *result = PQexec(o->server, sql);
    bool changed = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return changed;
}

/* Until outside_let_go nobody else writes receipts. */
static inline outside outside_hold(const place *p) {
    outside o = outside_open(p);
    outside_ask(&o, o.server == NULL ? "BEGIN EXCLUSIVE" : "BEGIN");
    if (o.server != NULL) {
        outside_ask(&o, "LOCK TABLE receipts IN SHARE ROW EXCLUSIVE MODE");
    }
    return o;
}

static inline void outside_let_go(outside *o) {
    outside_ask(o, "ROLLBACK");
    outside_close(o);
}

static inline uint64_t count_rows(const place *p, const char *table) {
    char sql[200];
    outside o = outside_open(p);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    uint64_t rows = outside_ask(&o, sql);
    outside_close(&o);
    return rows;
}

#endif
