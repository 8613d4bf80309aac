#include "postgresql.h"

#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>

/* PAUSE: between tries, twice as long after each. WAIT: of what needs the database while it isn't there. */
enum {
    PAUSE_FIRST_MS = 100,
    PAUSE_MAX_MS = 5000,
    WAIT_MS = 3000,
    TRY_MS = 5000,
    VERSION_LEAST = 120000,
    SETTINGS_SIZE = 512,
    LAST_WORDS = 8,
    LOOK_EACH_MS = 5000
};

uint64_t postgresql_now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void sleep_until(uint64_t until_ms) {
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000L};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

void postgresql_disconnect(postgresql *p) {
    PQclear(p->rows);
    PQfinish(p->connection);
    p->rows = NULL;
    p->connection = NULL;
    p->ready = false;
    p->dying = false;
    p->reading = false;
    p->transaction = false;
    p->failed = false;
    p->pending_count = 0;
    for (size_t i = 0; i < p->statement_count; i++) {
        p->statements[i].prepared = false;
    }
}

bool postgresql_lose(postgresql *p, const char *why, error *err) {
    error cause;
    error_set(&cause, ERROR_IO, "%s", why);
    if (why[0] == '\0') {
        postgresql_connection_error(p->connection, &cause);
    }
    postgresql_disconnect(p);
    p->next_try_ms = 0;
    p->pause_ms = 0;
    log_warning("connection to the database lost", LOG_CAUSE(&cause));
    return error_set(err, ERROR_IO, "the connection to the database was lost%s (%s); it is made anew",
                     p->committing ? " in the moment of storing: whether it is kept isn't known" : "",
                     cause.text);
}

static bool wait_until(PGconn *connection, short events, uint64_t until_ms) {
    struct pollfd one = {.fd = PQsocket(connection), .events = events};
    for (;;) {
        uint64_t now = postgresql_now_ms();
        int result = now >= until_ms ? 0 : poll(&one, 1, (int)(until_ms - now));
        if (result >= 0 || errno != EINTR) {
            return result > 0;
        }
    }
}

static bool finish_connecting(PGconn *connection, uint64_t until_ms, error *err) {
    PostgresPollingStatusType status =
        PQstatus(connection) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (status == PGRES_POLLING_WRITING || status == PGRES_POLLING_READING) {
        if (!wait_until(connection, status == PGRES_POLLING_WRITING ? POLLOUT : POLLIN, until_ms)) {
            return error_set(err, ERROR_TIMEOUT, "the database server doesn't answer");
        }
        status = PQconnectPoll(connection);
    }
    if (status != PGRES_POLLING_OK && PQconnectionNeedsPassword(connection) != 0) {
        return error_set(err, ERROR_DENIED, "the database wants a password: name a passfile in its URL");
    }
    return status == PGRES_POLLING_OK || postgresql_connection_error(connection, err);
}

static bool check_server(PGconn *connection, error *err) {
    const char *encoding = PQparameterStatus(connection, "server_encoding");
    if (PQserverVersion(connection) < VERSION_LEAST) {
        return error_set(err, ERROR_UNSUPPORTED, "the database server is older than PostgreSQL %d",
                         (int)VERSION_LEAST / 10000);
    }
    return (encoding != NULL && strcmp(encoding, "UTF8") == 0) ||
           error_set(err, ERROR_UNSUPPORTED,
                     "the database's encoding isn't UTF8; make it with ENCODING 'UTF8'");
}

static void take_notice(void *context, const PGresult *notice) {
    postgresql *p = context;
    const char *severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity != NULL && strcmp(severity, "INFO") == 0) {
        postgresql_take_report(p, notice);
    }
    p->dying = p->dying || (severity != NULL && strcmp(severity, "FATAL") == 0);
}

/* What the server's default says counts where it is stricter than "on". A transaction that the pool doesn't
 * end, as it hangs, ends by itself. */
static bool set_up(postgresql *p, error *err) {
    char sql[SETTINGS_SIZE];
    snprintf(
        sql, sizeof sql,
        "SET lock_timeout = %u; SET statement_timeout = 0; SET jit = off; SET client_min_messages = warning; "
        "SET idle_in_transaction_session_timeout = 60000; "
        "SELECT set_config('synchronous_commit', 'on', false) "
        "WHERE current_setting('synchronous_commit') IN ('off', 'local')",
        p->lock_wait_ms);
    return postgresql_execute(&p->base, sql, err);
}

/* Held by the session, so it ends with it: of a pool that was cut off the server may not know yet. */
static bool take_lock(postgresql *p, error *err) {
    uint64_t taken = 0;
    if (!database_read_number(&p->base, "SELECT pg_try_advisory_lock(1130720364, hashtext(current_schema()))",
                              &taken, err)) {
        return false;
    }
    return taken == 1 ||
           error_set(err, ERROR_CONFLICT, "another pool or command uses this database; stop that one first");
}

/* The pool holds in memory what it knows to be stored: if another has stored since, that isn't so any more.
 */
static bool check_opener(postgresql *p, error *err) {
    query q;
    bool row = false;
    if (!p->stamped) {
        return true;
    }
    query_start(&q, &p->base, "SELECT 1 FROM cellule_schema WHERE opener = ?");
    query_bytes(&q, p->opener, sizeof p->opener);
    bool read = query_row(&q, &row, err);
    database_end_queries(&p->base);
    return read &&
           (row || error_set(err, ERROR_CONFLICT,
                             "another pool or command has used this database meanwhile; start this pool "
                             "again"));
}

static bool open_session(postgresql *p, uint64_t until_ms, error *err) {
    if (!finish_connecting(p->connection, until_ms, err) || !check_server(p->connection, err) ||
        !postgresql_target_keep(p->target, p->connection, err)) {
        return false;
    }
    PQsetNoticeReceiver(p->connection, take_notice, p);
    if (PQsetnonblocking(p->connection, 1) != 0 || PQenterPipelineMode(p->connection) == 0) {
        return postgresql_connection_error(p->connection, err);
    }
    p->ready = set_up(p, err) && take_lock(p, err) && check_opener(p, err) && postgresql_synchronise(p, err);
    return p->ready;
}

bool postgresql_connect(postgresql *p, uint64_t until_ms, error *err) {
    p->connection = postgresql_target_dial(p->target, err);
    if (p->connection != NULL && open_session(p, until_ms, err)) {
        p->pause_ms = 0;
        return true;
    }
    postgresql_disconnect(p);
    uint32_t pause = p->pause_ms == 0 ? PAUSE_FIRST_MS : p->pause_ms * 2;
    p->pause_ms = pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS;
    p->next_try_ms = postgresql_now_ms() + p->pause_ms;
    return false;
}

/* A server that was stopped in an orderly way has said so: its last words, then the end. */
static bool is_alive(postgresql *p) {
    for (int i = 0; p->connection != NULL && i < LAST_WORDS; i++) {
        struct pollfd one = {.fd = PQsocket(p->connection), .events = POLLIN};
        if (poll(&one, 1, 0) <= 0) {
            break;
        }
        error ignored;
        bool open = PQconsumeInput(p->connection) != 0;
        (void)PQisBusy(p->connection); /* looks at what came */
        if (!open || p->dying || PQstatus(p->connection) != CONNECTION_OK) {
            (void)postgresql_lose(p, p->dying ? "the server ends it" : "", &ignored);
        }
    }
    return p->connection != NULL;
}

bool postgresql_ensure(postgresql *p, error *err) {
    uint64_t until = postgresql_now_ms() + WAIT_MS;
    if (is_alive(p)) {
        return true;
    }
    error last;
    error_set(&last, ERROR_IO, "it is tried again in a while");
    while (p->next_try_ms <= until) {
        sleep_until(p->next_try_ms);
        uint64_t now = postgresql_now_ms();
        if (postgresql_connect(p, now + TRY_MS, &last)) {
            log_info("connected to the database again");
            return true;
        }
        if (postgresql_now_ms() >= until) {
            break;
        }
    }
    return error_set(err, ERROR_IO, "there is no connection to the database (%s); try again", last.text);
}

uint64_t postgresql_tend(database *d) {
    postgresql *p = postgresql_of(d);
    uint64_t now = postgresql_now_ms();
    error err;
    if (!is_alive(p) && now >= p->next_try_ms) {
        if (postgresql_connect(p, now + TRY_MS, &err)) {
            log_info("connected to the database again");
        } else {
            log_warning("no connection to the database", LOG_CAUSE(&err));
        }
    }
    return p->connection != NULL ? postgresql_now_ms() + LOOK_EACH_MS : p->next_try_ms;
}
