#include "gathered.h"
#include "kept_rings.h"
#include "request.h"

#include "base/log.h"
#include "base/memory.h"
#include "ev/loop.h"
#include "migrations.h"
#include "store/server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

enum {
    QUEUE_LIMIT = 4096,
    BUSY_TIMEOUT_MS = 2000,
    POST_AGAIN_MS = 10,
    SCRUB_AFTER_MS = 30000,
    NAME_SIZE = 512
};

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
    uint32_t scrub_after_ms;
    uint64_t scrub_at_ms; /* 0: nothing was wiped; whoever uses the database has it */
    uint64_t tend_at_ms;  /* as database_tend said; the thread's */
    mailbox *mailbox;
    gathered *sightings;   /* worker_notes.c */
    gathered *reputations; /* reputation.c */
    kept_rings *kept;      /* kept.c; whoever uses the database has it */
    chain submitted;       /* this turn of the loop; the loop's own, as is `hand_over` */
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

static uint64_t monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Between two batches: a while after something was wiped, it is taken out of the log too. One that fails is
 * tried again after the same while. */
static void scrub_if_due(store *s) {
    uint64_t now = monotonic_ms();
    if (!database_wants_scrub(s->database)) {
        s->scrub_at_ms = 0;
    } else if (s->scrub_at_ms == 0) {
        s->scrub_at_ms = now + s->scrub_after_ms;
    } else if (now >= s->scrub_at_ms) {
        error err;
        s->scrub_at_ms = 0;
        if (!database_scrub(s->database, &err)) {
            s->scrub_at_ms = now + s->scrub_after_ms;
            log_warning("what was wiped is still in the database's log", LOG_CAUSE(&err));
        }
    }
}

/* 0 is never. */
static uint64_t sooner(uint64_t a, uint64_t b) {
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static void look_after_database(store *s) {
    scrub_if_due(s);
    if (s->tend_at_ms == 0 || monotonic_ms() >= s->tend_at_ms) {
        s->tend_at_ms = database_tend(s->database);
    }
}

/* A post that is refused, as memory or the loop's queue may be full, is tried again soon. */
static void wait_for_work(store *s) {
    bool post_again = s->finished.first != NULL && !s->posted;
    uint64_t until_ms = sooner(s->scrub_at_ms, s->tend_at_ms);
    if (post_again) {
        until_ms = monotonic_ms() + POST_AGAIN_MS;
    }
    if (until_ms == 0) {
        pthread_cond_wait(&s->changed, &s->lock);
        return;
    }
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000L};
    pthread_cond_timedwait(&s->changed, &s->lock, &until);
}

/* Whatever queued up while the last batch ran is the next batch: alone, a request waits for nobody. */
static void *work(void *argument) {
    store *s = argument;
    look_after_database(s);
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
        pthread_mutex_unlock(&s->lock);
        look_after_database(s);
        pthread_mutex_lock(&s->lock);
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
    scrub_if_due(s);
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

gathered *store_sightings(store *s) {
    return s->sightings;
}

gathered *store_reputations(store *s) {
    return s->reputations;
}

database *store_database(const store *s) {
    return s->database;
}

kept_rings *store_kept_rings(store *s) {
    return s->kept;
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
    bool opened = s->database != NULL && migrations_check_store(s->database, err) &&
                  database_prepare(s->database, options->size_limit, err) &&
                  migrations_apply_store(s->database, err);
    if (opened && options->keeps_files) {
        database_keep_files(s->database);
    }
    char name[NAME_SIZE];
    error ignored;
    bool named = store_path_describe(options->path, name, sizeof name, &ignored);
    return opened || error_context(err, "database %s", named ? name : "URL");
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
    gathered_free(s->sightings);
    gathered_free(s->reputations);
    kept_rings_free(s->kept);
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
    s->sightings = gathered_new(&gathered_sightings, err);
    s->reputations = s->sightings == NULL ? NULL : gathered_new(&gathered_reputations, err);
    s->kept = s->reputations == NULL ? NULL : kept_rings_new(err);
    return s->kept != NULL && open_database(s, options, err) &&
           (options->loop == NULL || store_start(s, options->loop, err));
}

bool store_start(store *s, ev_loop *loop, error *err) {
    if (s->mailbox == NULL) { /* the last one is still on its way */
        s->mailbox = memory_allocate(sizeof *s->mailbox);
        if (s->mailbox == NULL) {
            return error_memory(err);
        }
        s->mailbox->owner = s;
    }
    s->loop = loop;
    if (!start_thread(s, err)) {
        s->loop = NULL;
    }
    return s->loop != NULL;
}

store *store_open(const store_options *options, error *err) {
    store *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        error_memory(err);
        return NULL;
    }
    init_lock(s);
    ev_deferred_init(&s->hand_over, hand_over, s);
    s->queue_limit = options->queue_limit == 0 ? QUEUE_LIMIT : options->queue_limit;
    s->scrub_after_ms = options->scrub_after_ms == 0 ? SCRUB_AFTER_MS : options->scrub_after_ms;
    if (!open_parts(s, options, err)) {
        free_all(s);
        return NULL;
    }
    return s;
}

/* `closing`: what the last answers still ask for is refused; otherwise it runs at once. */
static void end_thread(store *s, bool closing) {
    if (s->loop == NULL) {
        return;
    }
    hand_over(s);
    ev_defer_cancel(&s->hand_over);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_signal(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->stopping = closing;
    s->loop = closing ? s->loop : NULL;
    if (s->posted) {
        s->mailbox->owner = NULL;
        s->mailbox = NULL;
    }
    answer_all(take_finished(s).first);
}

void store_settle(store *s) {
    if (s != NULL) {
        end_thread(s, false);
    }
}

void store_close(store *s) {
    if (s == NULL) {
        return;
    }
    error err;
    if (!gathered_write(s, s->sightings, &err) || !gathered_write(s, s->reputations, &err)) {
        log_warning("what was gathered of workers is not kept", LOG_CAUSE(&err));
    }
    end_thread(s, true);
    free_all(s);
}
