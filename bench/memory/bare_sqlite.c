#include "../samples.h"
#include "bare.h"

#include <sqlite3.h>
#include <stdio.h>

enum { NS = 1000000000, CONVERSATION_SIZE = 16 };

static bool sql(sqlite3 *d, const char *text) {
    return sqlite3_exec(d, text, NULL, NULL, NULL) == SQLITE_OK;
}

static bool insert_row(sqlite3_stmt *insert, const bare_row *row, slice sealed) {
    sqlite3_bind_int64(insert, 1, (sqlite3_int64)row->user_id);
    sqlite3_bind_blob(insert, 2, row->conversation, CONVERSATION_SIZE, SQLITE_STATIC);
    sqlite3_bind_blob(insert, 3, row->id, sizeof row->id, SQLITE_STATIC);
    sqlite3_bind_blob64(insert, 4, sealed.data, sealed.length, SQLITE_STATIC);
    return sqlite3_step(insert) == SQLITE_DONE && sqlite3_reset(insert) == SQLITE_OK;
}

static bool insert_all(sqlite3 *d, sqlite3_stmt *insert, const bare_rows *all) {
    bool good = sql(d, "BEGIN IMMEDIATE");
    for (size_t i = 0; good && i < all->count; i++) {
        good = (i % all->batch != 0 || i == 0 || sql(d, "COMMIT; BEGIN IMMEDIATE")) &&
               insert_row(insert, &all->rows[i], all->sealed);
    }
    return good && sql(d, "COMMIT");
}

/* References aren't looked at. */
double bare_insert_sqlite(const char *path, const bare_rows *all) {
    sqlite3 *d = NULL;
    sqlite3_stmt *insert = NULL;
    bool good =
        sqlite3_open(path, &d) == SQLITE_OK &&
        sql(d, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON") &&
        sqlite3_prepare_v2(d, "INSERT INTO turns (user_id, conversation, id, sealed) VALUES (?, ?, ?, ?)", -1,
                           &insert, NULL) == SQLITE_OK;
    uint64_t start = bench_now_ns();
    good = good && insert_all(d, insert, all);
    double seconds = good ? (double)(bench_now_ns() - start) / NS : 0;
    if (!good) {
        fprintf(stderr, "bench_turns: SQLite: %s\n", sqlite3_errmsg(d));
    }
    sqlite3_finalize(insert);
    sqlite3_close(d);
    return seconds;
}
