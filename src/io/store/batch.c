#include "request.h"

#include "base/log.h"

#include <time.h>

/* Invariants: a request that hasn't failed when batch_run returns is committed; one that failed has written
 * nothing. A request runs inside a savepoint, so that its failure is its own. But when disk or memory is out,
 * or another program holds a lock, all of them fail: SQLite may have given up the whole transaction, and what
 * follows a request may rely on it, as a receipt does on its check. */

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

/* The strictest that any of them asks for. */
static database_mode mode_of(const request *first) {
    unsigned mode = DATABASE_READ;
    for (const request *r = first; r != NULL; r = r->next) {
        unsigned own = r->operation->mode & ~(unsigned)(OPERATION_BLIND | OPERATION_TOGETHER);
        mode = own > mode ? own : mode;
    }
    return (database_mode)mode;
}

static bool is_out(const error *failure) {
    return failure->code == ERROR_IO || failure->code == ERROR_MEMORY || failure->code == ERROR_TIMEOUT;
}

static bool run_one(database *d, request *r, error *lost) {
    if (!database_savepoint(d, lost)) {
        return false;
    }
    if (r->operation->run(r, d, &r->failure)) {
        return database_keep_savepoint(d, lost);
    }
    r->failed = true;
    database_end_queries(d);
    if (is_out(&r->failure) || !database_in_transaction(d)) {
        *lost = r->failure;
        return false;
    }
    return database_drop_savepoint(d, lost);
}

static bool run_each(database *d, request *first, const request *end, error *lost) {
    bool good = true;
    for (request *r = first; good && r != end; r = r->next) {
        good = run_one(d, r, lost);
    }
    return good;
}

/* Behind the last of those, from `first` on, that can be run without looking at their outcomes. */
static request *end_of_group(request *first) {
    request *r = first;
    while (r != NULL && (r->operation->mode & OPERATION_BLIND) != 0) {
        r = r->next;
    }
    return r;
}

static bool run_next(database *d, request **next, const request *end, error *failure) {
    request *r = *next;
    if ((r->operation->mode & OPERATION_TOGETHER) != 0) {
        return ((const operation_together *)r->operation)->run_many(next, end, d, failure);
    }
    *next = r->next;
    return r->operation->run(r, d, failure);
}

/* Without a look at any outcome. */
static bool send_each(database *d, request *first, const request *end, error *failure) {
    bool good = true;
    for (request *next = first; good && next != end;) {
        good = run_next(d, &next, end, failure);
    }
    return good;
}

/* *succeeded: all of them did. */
static bool run_ahead(database *d, request *first, const request *end, bool *succeeded, error *lost) {
    error failure;
    bool good = send_each(d, first, end, &failure);
    error late;
    if (!database_end_ahead(d, &late)) {
        failure = good ? late : failure;
        good = false;
    }
    *succeeded = good;
    if (!good && (is_out(&failure) || !database_in_transaction(d))) {
        *lost = failure;
        return false;
    }
    return true;
}

/* One savepoint for all. If one fails, none of them was run, and each is run again with its own. */
static bool run_group(database *d, request *first, const request *end, error *lost) {
    bool succeeded = false;
    if (!database_savepoint(d, lost) || !run_ahead(d, first, end, &succeeded, lost)) {
        return false;
    }
    if (succeeded) {
        return database_keep_savepoint(d, lost);
    }
    if (!database_drop_savepoint(d, lost)) {
        return false;
    }
    database_forget_noted(d);
    return run_each(d, first, end, lost);
}

static bool run_requests(database *d, request *first, error *lost) {
    for (request *r = first; r != NULL;) {
        request *group_end = end_of_group(r);
        bool together = group_end != r && database_run_ahead(d);
        request *end = group_end == r ? r->next : group_end;
        if (!(together ? run_group(d, r, end, lost) : run_each(d, r, end, lost))) {
            return false;
        }
        r = end;
    }
    return true;
}

static bool commit(database *d, batch_result *result, error *lost) {
    uint64_t start = now_us();
    bool committed = database_commit(d, lost);
    result->commit_us = now_us() - start;
    return committed;
}

/* All of them and the commit behind them without a look at any outcome but the last. *done: that was it, well
 * or not; otherwise one of them fails by itself, and nothing has happened. */
static bool run_blindly(database *d, request *first, batch_result *result, bool *done, error *lost) {
    bool good = send_each(d, first, NULL, lost) && commit(d, result, lost);
    *done = good || is_out(lost) || !database_in_transaction(d);
    if (!*done) {
        database_rollback(d);
    }
    return good;
}

static bool run_all(database *d, request *first, batch_result *result, error *lost) {
    if (!database_begin(d, mode_of(first), lost)) {
        return false;
    }
    if (end_of_group(first) == NULL && database_run_ahead(d)) {
        bool done = false;
        bool good = run_blindly(d, first, result, &done, lost);
        return done ? good
                    : database_begin(d, mode_of(first), lost) && run_each(d, first, NULL, lost) &&
                          commit(d, result, lost);
    }
    return run_requests(d, first, lost) && commit(d, result, lost);
}

static void fail_all(request *first, const error *cause) {
    for (request *r = first; r != NULL; r = r->next) {
        if (!r->failed) {
            r->failed = true;
            r->failure = *cause;
        }
    }
}

/* What was asked for wasn't at fault. */
static bool is_of_database(const request *r) {
    switch (r->failure.code) {
    case ERROR_IO:
    case ERROR_TIMEOUT:
    case ERROR_MEMORY:
    case ERROR_CORRUPT:
    case ERROR_INTERNAL:
        return r->failed;
    default:
        return false;
    }
}

batch_result batch_run(database *d, request *first) {
    batch_result result = {0};
    error lost;
    if (run_all(d, first, &result, &lost)) {
        database_mode mode = mode_of(first);
        result.wrote = mode != DATABASE_READ;
        result.synced = mode == DATABASE_WRITE_SYNCED;
    } else {
        database_rollback(d);
        fail_all(first, &lost);
        log_error("database transaction failed", LOG_CAUSE(&lost));
    }
    for (const request *r = first; r != NULL; r = r->next) {
        result.requests++;
        result.failures += r->failed ? 1 : 0;
        result.broken = result.broken || is_of_database(r);
    }
    return result;
}
