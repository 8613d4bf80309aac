#include "request.h"
#include "worker_notes.h"

#include "base/log.h"
#include "base/memory.h"
#include "ev/loop.h"
#include "migrations.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

enum { QUEUE_LIMIT = 4096, BUSY_TIMEOUT_MS = 2000, POST_AGAIN_MS = 10 };

typedef struct chain {
    request *first;
    request *last;
} chain;

/* What is posted to the loop. It outlives the store when a post is still under way at closing: the call then
 * finds no owner and frees it. */
typedef struct mailbox {
    store *owner;
} mailbox;

struct store {
    ev_loop *loop;
    database *database; /* the thread's, once it runs */
    size_t queue_limit;
    mailbox *mailbox;
    worker_notes *notes;
    chain submitted; /* this turn of the loop; the loop's own, as is `hand_over` */
    ev_deferred hand_over;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool stopping;
    bool posted; /* deliver is to be called; at most once at a time */
    chain waiting;
    chain finished;
    size_t outstanding; /* waiting, running, or finished and not yet answered */
    store_statistics statistics;
};

static void chain_append(chain *c, request *first, request *last) {
    if (c->last == NULL) {
        c->first = first;
    } else {
        c->last->next = first;
    }
    c->last = last;
}

static chain chain_take(chain *c) {
    chain taken = *c;
    *c = (chain){NULL, NULL};
    return taken;
}

static void answer_all(request *first) {
    while (first != NULL) {
        request *r = first;
        first = r->next;
        r->operation->answer(r, r->failed ? &r->failure : NULL);
        request_free(r);
    }
}

static void account(store *s, const batch_result *result) {
    s->statistics.requests += result->requests;
    s->statistics.failures += result->failures;
    s->statistics.last_batch = result->requests;
    if (result->broken || result->wrote) { /* that it can be read proves nothing */
        s->statistics.failing = result->broken;
    }
    if (result->wrote) {
        s->statistics.commits++;
        s->statistics.synced_commits += result->synced ? 1 : 0;
        s->statistics.last_commit_us = result->commit_us;
    }
}

static chain take_finished(store *s) {
    pthread_mutex_lock(&s->lock);
    chain taken = chain_take(&s->finished);
    for (const request *r = taken.first; r != NULL; r = r->next) {
        s->outstanding--;
    }
    s->posted = false;
    pthread_mutex_unlock(&s->lock);
    return taken;
}

static void deliver(void *argument) {
    mailbox *m = argument;
    if (m->owner == NULL) {
        memory_free(m);
        return;
    }
    answer_all(take_finished(m->owner).first);
}

/* A post that is refused, as memory or the loop's queue may be full, is tried again soon. */
static void wait_for_work(store *s) {
    if (s->finished.first == NULL || s->posted) {
        pthread_cond_wait(&s->changed, &s->lock);
        return;
    }
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += POST_AGAIN_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* Whatever queued up while the last batch ran is the next batch: alone, a request waits for nobody. */
static void *work(void *argument) {
    store *s = argument;
    pthread_mutex_lock(&s->lock);
    while (s->waiting.first != NULL || !s->stopping) {
        if (s->waiting.first == NULL) {
            wait_for_work(s);
        } else {
            chain batch = chain_take(&s->waiting);
            pthread_mutex_unlock(&s->lock);
            batch_result result = batch_run(s->database, batch.first);
            pthread_mutex_lock(&s->lock);
            account(s, &result);
            chain_append(&s->finished, batch.first, batch.last);
        }
        if (s->finished.first != NULL && !s->posted) {
            s->posted = ev_post(s->loop, deliver, s->mailbox);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* What one turn of the loop asks for goes over together: one wake-up and, as a rule, one transaction. */
static void hand_over(void *argument) {
    store *s = argument;
    chain submitted = chain_take(&s->submitted);
    if (submitted.first == NULL) {
        return;
    }
    pthread_mutex_lock(&s->lock);
    chain_append(&s->waiting, submitted.first, submitted.last);
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static bool run_at_once(store *s, request *r) {
    batch_result result = batch_run(s->database, r);
    pthread_mutex_lock(&s->lock);
    account(s, &result);
    pthread_mutex_unlock(&s->lock);
    answer_all(r);
    return true;
}

bool request_submit(store *s, request *r, error *err) {
    bool accepted = r->memory_out ? error_memory(err) : true;
    pthread_mutex_lock(&s->lock);
    if (accepted && s->stopping) {
        accepted = error_set(err, ERROR_CONFLICT, "the database is being closed");
    } else if (accepted && s->loop != NULL && s->outstanding >= s->queue_limit) {
        s->statistics.refused++;
        accepted = error_set(err, ERROR_LIMIT, "the database is behind; try again");
    } else if (accepted && s->loop != NULL) {
        s->outstanding++;
    }
    pthread_mutex_unlock(&s->lock);
    if (!accepted) {
        request_free(r);
        return false;
    }
    if (s->loop == NULL) {
        return run_at_once(s, r);
    }
    chain_append(&s->submitted, r, r);
    ev_defer(s->loop, &s->hand_over);
    return true;
}

worker_notes *store_worker_notes(store *s) {
    return s->notes;
}

void store_stats(store *s, store_statistics *statistics) {
    pthread_mutex_lock(&s->lock);
    *statistics = s->statistics;
    statistics->queued = s->outstanding;
    statistics->queue_limit = s->queue_limit;
    pthread_mutex_unlock(&s->lock);
}

static bool open_database(store *s, const store_options *options, error *err) {
    uint32_t timeout = options->busy_timeout_ms == 0 ? BUSY_TIMEOUT_MS : options->busy_timeout_ms;
    s->database = database_open(options->path, timeout, err);
    bool opened = s->database != NULL &&
                  migrations_check(s->database, store_migrations, store_migration_count, err) &&
                  database_prepare(s->database, options->size_limit, err) &&
                  migrations_apply(s->database, store_migrations, store_migration_count, err);
    return opened || error_context(err, "database %s", options->path);
}

static void init_lock(store *s) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&s->lock, NULL);
}

/* Signals are the loop thread's business. */
static bool start_thread(store *s, error *err) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int cause = pthread_create(&s->thread, NULL, work, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return cause == 0 || error_set_errno(err, ERROR_IO, cause, "the database's thread can't be started");
}

static void free_all(store *s) {
    database_close(s->database);
    worker_notes_free(s->notes);
    memory_free(s->mailbox);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    memory_free(s);
}

static bool open_parts(store *s, const store_options *options, error *err) {
    s->mailbox = memory_allocate(sizeof *s->mailbox);
    if (s->mailbox == NULL) {
        return error_memory(err);
    }
    s->mailbox->owner = s;
    s->notes = worker_notes_new(err);
    return s->notes != NULL && open_database(s, options, err) && (s->loop == NULL || start_thread(s, err));
}

store *store_open(const store_options *options, error *err) {
    store *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        error_memory(err);
        return NULL;
    }
    init_lock(s);
    ev_deferred_init(&s->hand_over, hand_over, s);
    s->loop = options->loop;
    s->queue_limit = options->queue_limit == 0 ? QUEUE_LIMIT : options->queue_limit;
    if (!open_parts(s, options, err)) {
        free_all(s);
        return NULL;
    }
    return s;
}

void store_close(store *s) {
    if (s == NULL) {
        return;
    }
    error err;
    if (!worker_notes_write(s, &err)) {
        log_warning("when workers were last seen is not kept", LOG_CAUSE(&err));
    }
    hand_over(s);
    ev_defer_cancel(&s->hand_over);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (s->loop != NULL) {
        pthread_join(s->thread, NULL);
        bool posted = s->posted;
        answer_all(take_finished(s).first);
        if (posted) {
            s->mailbox->owner = NULL;
            s->mailbox = NULL;
        }
    }
    free_all(s);
}
