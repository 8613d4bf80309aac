#include "../samples.h"
#include "bare.h"

#include <endian.h>
#include <libpq-fe.h>
#include <stdio.h>

enum { NS = 1000000000, CONVERSATION_SIZE = 16, INT8 = 20, BYTEA = 17, PARAMETERS = 4 };

static const Oid types[PARAMETERS] = {INT8, BYTEA, BYTEA, BYTEA};

static bool send_command(PGconn *c, const char *name) {
    return PQsendQueryPrepared(c, name, 0, NULL, NULL, NULL, 1) != 0;
}

static bool send_row(PGconn *c, const bare_row *row, slice sealed) {
    static const int binary[PARAMETERS] = {1, 1, 1, 1};
    uint64_t user = htobe64(row->user_id);
    const char *values[PARAMETERS] = {(const char *)&user, (const char *)row->conversation,
                                      (const char *)row->id, (const char *)sealed.data};
    const int lengths[PARAMETERS] = {sizeof user, CONVERSATION_SIZE, sizeof row->id, (int)sealed.length};
    return PQsendQueryPrepared(c, "insert", PARAMETERS, values, lengths, binary, 1) != 0;
}

/* Reads to the end of what was sent; false if anything of it failed. */
static bool synchronise(PGconn *c) {
    if (PQpipelineSync(c) == 0) {
        return false;
    }
    bool good = true;
    for (int nothing = 0; nothing < 2;) { /* one behind each outcome, two when the connection is lost */
        PGresult *result = PQgetResult(c);
        ExecStatusType status = PQresultStatus(result);
        nothing = result == NULL ? nothing + 1 : 0;
        good = good && (result == NULL || status == PGRES_COMMAND_OK || status == PGRES_PIPELINE_SYNC);
        PQclear(result);
        if (status == PGRES_PIPELINE_SYNC) {
            return good;
        }
    }
    return false;
}

static bool prepare(PGconn *c) {
    return PQenterPipelineMode(c) != 0 && PQsendPrepare(c, "begin", "BEGIN", 0, NULL) != 0 &&
           PQsendPrepare(c, "lazily", "SET LOCAL synchronous_commit = off", 0, NULL) != 0 &&
           PQsendPrepare(c, "commit", "COMMIT", 0, NULL) != 0 &&
           PQsendPrepare(c, "insert",
                         "INSERT INTO turns (user_id, conversation, id, sealed) VALUES ($1, $2, $3, $4)",
                         PARAMETERS, types) != 0 &&
           synchronise(c);
}

static bool insert_all(PGconn *c, const bare_rows *all) {
    bool good = true;
    for (size_t i = 0; good && i < all->count; i += all->batch) {
        size_t end = all->count - i < all->batch ? all->count : i + all->batch;
        good = send_command(c, "begin") && send_command(c, "lazily");
        for (size_t at = i; good && at < end; at++) {
            good = send_row(c, &all->rows[at], all->sealed);
        }
        good = good && send_command(c, "commit") && synchronise(c);
    }
    return good;
}

double bare_insert_postgresql(const char *url, const bare_rows *all) {
    PGconn *c = PQconnectdb(url);
    bool good = PQstatus(c) == CONNECTION_OK && prepare(c);
    uint64_t start = bench_now_ns();
    good = good && insert_all(c, all);
    double seconds = good ? (double)(bench_now_ns() - start) / NS : 0;
    if (!good) {
        fprintf(stderr, "bench_turns: PostgreSQL: %s\n", PQerrorMessage(c));
    }
    PQfinish(c);
    return seconds;
}
