#include "postgresql.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* A statement of the store takes milliseconds, a script (a migration, a scrub) may take minutes. */
enum { ANSWER_WAIT_MS = 30000, SCRIPT_WAIT_MS = 600000, SQL_SIZE = 4096, COMMIT_AND_END = 2 };

postgresql_statement *postgresql_find(postgresql *p, const char *sql) {
    for (size_t i = 0; i < p->statement_count; i++) {
        if (p->statements[i].sql == sql) {
            return &p->statements[i];
        }
    }
    if (p->statement_count == POSTGRESQL_STATEMENT_MAX) {
        return NULL;
    }
    postgresql_statement *s = &p->statements[p->statement_count];
    snprintf(s->name, sizeof s->name, "s%zu", p->statement_count++);
    s->sql = sql;
    return s;
}

/* What is SQLite's own in the text of a statement, and how PostgreSQL has it. */
typedef struct rewriting {
    char *to;
    size_t length;
    int parameters;
} rewriting;

static void put(rewriting *r, const char *text, size_t length) {
    if (length < SQL_SIZE - r->length) {
        memcpy(r->to + r->length, text, length);
    }
    r->length += length;
}

/* "?" is the next parameter, "?3" the third. */
static const char *put_parameter(rewriting *r, const char *from) {
    char text[16];
    int number = r->parameters + 1;
    if (isdigit((unsigned char)*from)) {
        char *end = NULL;
        number = (int)strtol(from, &end, 10);
        from = end;
    }
    r->parameters = number > r->parameters ? number : r->parameters;
    put(r, text, (size_t)snprintf(text, sizeof text, "$%d", number));
    return from;
}

static bool rewrite(const char *from, char to[SQL_SIZE], int *parameters) {
    static const char id[] = "last_insert_rowid()";
    static const char own_id[] = "(SELECT lastval())";
    rewriting r = {.to = to};
    bool quoted = false;
    while (*from != '\0') {
        quoted = quoted != (*from == '\'');
        if (!quoted && *from == '?') {
            from = put_parameter(&r, from + 1);
        } else if (!quoted && strncmp(from, id, sizeof id - 1) == 0) {
            put(&r, own_id, sizeof own_id - 1);
            from += sizeof id - 1;
        } else {
            put(&r, from++, 1);
        }
    }
    *parameters = r.parameters;
    to[r.length < SQL_SIZE ? r.length : 0] = '\0';
    return r.length < SQL_SIZE && r.parameters <= POSTGRESQL_PARAMETER_MAX;
}

static bool push(postgresql *p, postgresql_pending one, error *err) {
    if (p->pending_count == POSTGRESQL_PENDING_MAX && !postgresql_collect(p, 0, err)) {
        return false;
    }
    p->pending[(p->pending_first + p->pending_count++) % POSTGRESQL_PENDING_MAX] = one;
    return true;
}

static bool prepare(postgresql *p, postgresql_statement *s, error *err) {
    char sql[SQL_SIZE];
    if (!rewrite(s->sql, sql, &s->parameters)) {
        return error_set(err, ERROR_INTERNAL, "a statement is too long");
    }
    for (int i = p->parameter_count; i < s->parameters; i++) { /* what isn't given is NULL */
        p->types[i] = 0;
    }
    if (!push(p, (postgresql_pending){.prepares = s}, err)) {
        return false;
    }
    if (PQsendPrepare(p->connection, s->name, sql, s->parameters, p->types) == 0) {
        return postgresql_lose(p, "", err);
    }
    s->prepared = true;
    return true;
}

static bool refuse(const postgresql *p, error *err) {
    if (p->connection == NULL) {
        return error_set(err, ERROR_IO, "there is no connection to the database; try again");
    }
    *err = p->failure;
    return false;
}

bool postgresql_send(postgresql *p, postgresql_statement *s, error *err) {
    static const int binary[POSTGRESQL_PARAMETER_MAX] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                                         1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    if (p->connection == NULL || p->failed) {
        return refuse(p, err);
    }
    if ((!s->prepared && !prepare(p, s, err)) || !push(p, (postgresql_pending){.prepares = NULL}, err)) {
        return false;
    }
    for (int i = p->parameter_count; i < s->parameters; i++) {
        p->values[i] = NULL;
        p->lengths[i] = 0;
    }
    return PQsendQueryPrepared(p->connection, s->name, s->parameters, p->values, p->lengths, binary, 1) !=
               0 ||
           postgresql_lose(p, "", err);
}

bool postgresql_send_plain(postgresql *p, const char *sql, error *err) {
    postgresql_statement *s = postgresql_find(p, sql);
    p->parameter_count = 0;
    return s == NULL ? error_set(err, ERROR_INTERNAL, "too many statements") : postgresql_send(p, s, err);
}

/* Sends meanwhile what the socket takes: the server may wait for us to read before it reads on. */
static bool wait_for_input(postgresql *p, uint64_t until_ms, error *err) {
    int unsent = PQflush(p->connection);
    struct pollfd one = {.fd = PQsocket(p->connection),
                         .events = (short)(unsent > 0 ? POLLIN | POLLOUT : POLLIN)};
    uint64_t now = postgresql_now_ms();
    int found = unsent < 0 || now >= until_ms ? 0 : poll(&one, 1, (int)(until_ms - now));
    if (unsent < 0) {
        return postgresql_lose(p, "", err);
    }
    if (found == 0) {
        return postgresql_lose(p, "the server gives no answer", err);
    }
    bool readable = found > 0 && (one.revents & (POLLIN | POLLERR | POLLHUP)) != 0;
    return !readable || PQconsumeInput(p->connection) != 0 || postgresql_lose(p, "", err);
}

bool postgresql_next(postgresql *p, PGresult **result, error *err) {
    bool script = p->ready && PQpipelineStatus(p->connection) == PQ_PIPELINE_OFF;
    uint64_t until = postgresql_now_ms() + (script ? SCRIPT_WAIT_MS : ANSWER_WAIT_MS);
    *result = NULL;
    while (PQisBusy(p->connection) != 0) {
        if (!wait_for_input(p, until, err)) {
            return false;
        }
    }
    *result = PQgetResult(p->connection);
    const char *severity = PQresultErrorField(*result, PG_DIAG_SEVERITY_NONLOCALIZED);
    bool last = severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
    if (last || PQstatus(p->connection) != CONNECTION_OK) {
        error cause;
        (void)(last ? postgresql_error(*result, &cause) : postgresql_connection_error(p->connection, &cause));
        PQclear(*result);
        *result = NULL;
        bool before = last && p->pending_count > COMMIT_AND_END; /* then the commit behind it wasn't run */
        p->committing = p->committing && !before;
        return postgresql_lose(p, cause.text, err);
    }
    return true;
}

void postgresql_done(postgresql *p, bool succeeded) {
    postgresql_statement *s = p->pending[p->pending_first].prepares;
    if (s != NULL && !succeeded) {
        s->prepared = false;
    }
    p->pending_first = (p->pending_first + 1) % POSTGRESQL_PENDING_MAX;
    p->pending_count--;
}

/* Only the first failure tells something; the others are its consequence. */
static bool judge(postgresql *p, const PGresult *result) {
    switch (PQresultStatus(result)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
        p->changes = strtoull(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10);
        return true;
    case PGRES_PIPELINE_SYNC:
        return true;
    case PGRES_PIPELINE_ABORTED:
        break;
    default:
        if (!p->failed) {
            (void)postgresql_error(result, &p->failure);
        }
    }
    if (!p->failed && PQresultStatus(result) == PGRES_PIPELINE_ABORTED) {
        error_set(&p->failure, ERROR_INTERNAL, "a statement wasn't run");
    }
    p->failed = true;
    return false;
}

static bool read_one(postgresql *p, error *err) {
    bool synchronises = p->pending[p->pending_first].synchronises;
    bool good = true;
    for (bool more = true; more;) {
        PGresult *result = NULL;
        if (!postgresql_next(p, &result, err)) {
            return false;
        }
        more = result != NULL && !synchronises;
        good = (result == NULL || judge(p, result)) && good;
        PQclear(result);
    }
    postgresql_done(p, good);
    return true;
}

bool postgresql_collect(postgresql *p, size_t leave, error *err) {
    if (p->connection == NULL) {
        return refuse(p, err);
    }
    if (p->pending_count > leave && PQsendFlushRequest(p->connection) == 0) {
        return postgresql_lose(p, "", err);
    }
    while (p->pending_count > leave) {
        if (!read_one(p, err)) {
            return false;
        }
    }
    return !p->failed || refuse(p, err);
}

bool postgresql_synchronise(postgresql *p, error *err) {
    if (p->connection == NULL) {
        return refuse(p, err);
    }
    if (!push(p, (postgresql_pending){.synchronises = true}, err) && p->connection == NULL) {
        return false;
    }
    return (PQpipelineSync(p->connection) != 0 || postgresql_lose(p, "", err)) &&
           postgresql_collect(p, 0, err);
}

bool postgresql_recover(postgresql *p, error *err) {
    if (p->connection == NULL) {
        return refuse(p, err);
    }
    if (!p->failed) {
        return true;
    }
    if (!postgresql_synchronise(p, err) && p->connection == NULL) {
        return false;
    }
    p->failed = false;
    return true;
}

static bool run_script(postgresql *p, const char *sql, error *err) {
    bool good = true;
    PGresult *result = NULL;
    if (PQsendQuery(p->connection, sql) == 0) {
        return postgresql_lose(p, "", err);
    }
    do {
        if (!postgresql_next(p, &result, err)) {
            return false;
        }
        ExecStatusType status = PQresultStatus(result);
        bool failed = result != NULL && status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK;
        if (failed && good) {
            good = postgresql_error(result, err);
        }
        PQclear(result);
    } while (result != NULL);
    return good;
}

bool postgresql_execute(database *d, const char *sql, error *err) {
    postgresql *p = postgresql_of(d);
    if (!postgresql_synchronise(p, err)) {
        return false;
    }
    if (PQexitPipelineMode(p->connection) == 0) {
        return postgresql_lose(p, "", err);
    }
    bool good = run_script(p, sql, err);
    return p->connection != NULL &&
           (PQenterPipelineMode(p->connection) != 0 || postgresql_lose(p, "", err)) && good;
}
