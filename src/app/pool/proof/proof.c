#include "proof/proof.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/clock.h"
#include "proof/bait.h"
#include "proof/blacklist.h"
#include "proof/notices.h"
#include "proof/parties.h"
#include "proof/place.h"
#include "proof/standings.h"
#include "proof/statistical.h"
#include "proof/verdict.h"
#include "session_internal.h"
#include "store/kept.h"
#include "store/notices.h"

enum { REFILL_PAGE = 256 };

static void tick(void *context) {
    place_due(context);
}

static proof *proof_new(pool *p, error *err) {
    proof *f = memory_allocate_zeroed(1, sizeof *f);
    if (f == NULL) {
        error_memory(err);
        return NULL;
    }
    p->proof = f;
    f->pool = p;
    list_init(&f->pending);
    list_init(&f->running);
    list_init(&f->waiters);
    list_init(&f->notices);
    list_init(&f->baits);
    list_init(&f->decisions);
    ev_timer_init(&f->timer, tick, f);
    f->standings = standings_new(p->map_seed, err);
    f->parties = f->standings == NULL ? NULL : parties_new(err);
    f->blacklist = f->parties == NULL ? NULL : blacklist_new(p->map_seed, err);
    f->statistical = f->blacklist == NULL ? NULL : statistical_new(f, err);
    f->checks = map_new(p->map_seed);
    if (f->statistical != NULL && f->checks == NULL) {
        error_memory(err);
    }
    return f->statistical == NULL || f->checks == NULL ? NULL : f;
}

static void reputations_loaded(void *context, const store_reputation *rows, size_t count,
                               const error *failure) {
    pool *p = context;
    error err = {0};
    for (size_t i = 0; failure == NULL && i < count; i++) {
        failure = standings_add_stored(p->proof->standings, &rows[i], &err) ? NULL : &err;
    }
    if (failure != NULL) {
        p->start_failure = *failure;
    }
}

static void blacklist_loaded(void *context, const store_blacklisting *rows, size_t count,
                             const error *failure) {
    pool *p = context;
    error err = {0};
    for (size_t i = 0; failure == NULL && i < count; i++) {
        failure = blacklist_put(p->proof->blacklist, rows[i].kind, rows[i].value, &err) ? NULL : &err;
    }
    if (failure != NULL) {
        p->start_failure = *failure;
    }
}

static void notices_loaded(void *context, const store_notice *rows, size_t count, const error *failure) {
    pool *p = context;
    error err = {0};
    for (size_t i = 0; failure == NULL && i < count; i++) {
        if (!notices_add_stored(p->proof, &rows[i], &err)) {
            failure = err.code == ERROR_LIMIT ? NULL : &err;
        }
    }
    if (failure != NULL) {
        p->start_failure = *failure;
    }
}

/* A row that can't be used (its key is lost, or it is damaged) is told of and left alone: it is never
 * checked, but the pool serves. */
static bool take_waiting(proof *f, const store_verification *row, error *err) {
    if (map_get(f->checks, slice_of(row->id, sizeof row->id)) != NULL) {
        return true;
    }
    if (!check_has_room(f, row->worker_id, row->payload.length)) {
        f->more_stored = true;
        f->passed_over = true;
        return true;
    }
    check *c = check_from_stored(f, row, err);
    if (c == NULL) {
        if (err->code == ERROR_MEMORY) {
            return false;
        }
        log_error("a check that waits can't be read", LOG_CAUSE(err));
        return true;
    }
    c->work.kind = &check_kind;
    if (!check_enter(c, err)) {
        check_free(c);
        return false;
    }
    if (c->v.state == VERIFICATION_DISPUTED) {
        check_resume_dispute(c);
    }
    return true;
}

static bool take_page(proof *f, const store_verification *rows, size_t count, error *err) {
    for (size_t i = 0; i < count; i++) {
        if (!take_waiting(f, &rows[i], err)) {
            return false;
        }
        f->refill_after = rows[i].number;
    }
    return true;
}

static void open_counted(void *context, const store_verification *rows, size_t count, const error *failure) {
    pool *p = context;
    (void)rows;
    p->proof->open = count;
    if (failure != NULL) {
        p->start_failure = *failure;
    }
}

static void first_checks_loaded(void *context, const store_verification *rows, size_t count,
                                const error *failure) {
    pool *p = context;
    error err = {0};
    if (failure == NULL && !take_page(p->proof, rows, count, &err)) {
        failure = &err;
    }
    if (failure != NULL) {
        p->start_failure = *failure;
    }
    p->proof->loading = failure == NULL && count > 0 && check_has_any_room(p->proof);
}

bool proof_load(pool *p, store *database, error *err) {
    proof *f = proof_new(p, err);
    if (f == NULL || !store_load_reputation(database, reputations_loaded, p, err) ||
        !store_load_blacklist(database, blacklist_loaded, p, err) ||
        !store_load_notices(database, notices_loaded, p, err) ||
        !store_verification_list_open(database, 0, STORE_LIST_MAX, open_counted, p, err)) {
        return false;
    }
    f->loading = p->start_failure.code == ERROR_NONE;
    while (f->loading) {
        if (!store_verification_load_waiting(database, f->refill_after, REFILL_PAGE, first_checks_loaded, p,
                                             err)) {
            return false;
        }
    }
    if (p->start_failure.code != ERROR_NONE) {
        *err = p->start_failure;
        return false;
    }
    return true;
}

void proof_start(pool *p) {
    place_arm(p->proof);
}

void proof_stop(pool *p) {
    proof *f = p->proof;
    if (f == NULL) {
        return;
    }
    f->stopping = true;
    ev_timer_stop(&f->timer);
    while (!list_is_empty(&f->running)) {
        check *c = LIST_ENTRY(list_first(&f->running), check, node);
        if (c->handle != NULL) {
            dispatch_job_cancel(c->handle, ev_now_ms(p->loop));
        }
        check_leave(c);
    }
    while (!list_is_empty(&f->pending)) {
        check_leave(LIST_ENTRY(list_first(&f->pending), check, node));
    }
    while (!list_is_empty(&f->decisions)) { /* the store still answers them */
        list_remove(list_first(&f->decisions));
    }
    bait_stop(f);
    statistical_free(f->statistical);
    notices_free(f);
    map_free(f->checks);
    standings_free(f->standings);
    parties_free(f->parties);
    blacklist_free(f->blacklist);
    memory_free(f);
    p->proof = NULL;
}

static void more_loaded(void *context, const store_verification *rows, size_t count, const error *failure) {
    pool *p = context;
    proof *f = p->proof;
    error err = {0};
    if (f == NULL) {
        return;
    }
    f->loading = false;
    f->more_stored = count > 0; /* until a page is empty */
    if (failure != NULL || !take_page(f, rows, count, &err)) {
        log_warning("checks that wait could not be read", LOG_CAUSE(failure != NULL ? failure : &err));
        f->more_stored = true;
    }
    if (count == 0) { /* from the first on, if some found no room */
        f->refill_after = 0;
        f->more_stored = f->more_stored || f->passed_over;
        f->passed_over = false;
    }
    place_arm(f);
}

static void kept_expired(void *context, size_t count, const error *failure);

static void expire_kept(pool *p) {
    error err = {0};
    uint64_t now = clock_unix_ms();
    uint64_t age = p->settings.recheck_hours * 60 * CLOCK_MINUTE_MS;
    if (!store_kept_expire(p->store, (size_t)p->settings.recheck_answers, now > age ? now - age : 0,
                           now + age, kept_expired, p, &err)) {
        kept_expired(p, 0, &err);
    }
}

static void kept_expired(void *context, size_t count, const error *failure) {
    pool *p = context;
    if (failure != NULL) {
        log_warning("kept answers not deleted", LOG_CAUSE(failure));
    } else if (count == STORE_LIST_MAX && p->proof != NULL) {
        expire_kept(p);
    }
}

void proof_keep_house(pool *p) {
    proof *f = p->proof;
    error err = {0};
    if (f->more_stored && !f->loading && map_count(f->checks) < REFILL_PAGE) {
        f->loading =
            store_verification_load_waiting(p->store, f->refill_after, REFILL_PAGE, more_loaded, p, &err);
    }
    expire_kept(p);
}

static bool is_convicted(const pool *p, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    return standings_of(p->proof->standings, worker)->state == STANDING_CONVICTED;
}

bool proof_shuts_out(const pool *p, const fleet_worker *worker, const uint8_t *machine) {
    return is_convicted(p, worker->id) || blacklist_covers(p->proof, worker, machine);
}

bool proof_lists(const pool *p, const fleet_worker *worker, const uint8_t *machine) {
    return blacklist_covers(p->proof, worker, machine);
}

bool proof_is_blacklisted(const pool *p, const fleet_worker *worker) {
    return blacklist_covers(p->proof, worker, worker->has_machine ? worker->machine : NULL);
}

bool proof_owner_is_blacklisted(const pool *p, slice owner) {
    return blacklist_has(p->proof->blacklist, SLICE_LITERAL("owner"), owner);
}

bool proof_worker_ready(session *s, error *err) {
    proof *f = s->pool->proof;
    party_network(s->peer, s->worker->network);
    if (!parties_add(f->parties, s, err)) {
        return false;
    }
    standings_hold(f, s->worker->id);
    place_arm(f);
    return true;
}

void proof_worker_left(session *s) {
    if (s->pool->proof != NULL) {
        parties_remove(s->pool->proof->parties, s);
    }
}

bool proof_is_doubtful(const pool *p, const store_verification *row) {
    return slice_equal_text(row->state, verification_state_name(VERIFICATION_AGREED)) && row->has_verifier &&
           is_convicted(p, row->verifier_id);
}

void proof_read_statistics(const pool *p, proof_statistics *statistics) {
    *statistics = p->proof->statistics;
    statistics->waiting = map_count(p->proof->checks) - statistics->running;
    statistics->open_now = p->proof->open;
    statistics->learning = statistical_learning(p->proof->statistical);
    statistics->quarantined = parties_quarantined(p->proof, (slice){0}, NULL);
    const fleet_worker *worker = NULL;
    for (size_t i = 0; (worker = fleet_next(p->fleet, &i)) != NULL;) {
        statistics->convicted_now += is_convicted(p, worker->id);
    }
    for (const list_node *node = p->proof->pending.next; node != &p->proof->pending; node = node->next) {
        const check *c = LIST_ENTRY(node, const check, node);
        statistics->disputed_now += c->v.state == VERIFICATION_DISPUTED;
    }
}

const char proof_quarantine_text[] = "all workers with this model are out of service until it is clear which "
                                     "of them gave a wrong answer; tell "
                                     "your admin";

bool proof_is_some_in_quarantine(const pool *p, slice model) {
    return parties_quarantined(p->proof, model, NULL) > 0;
}

bool proof_is_all_in_quarantine(const pool *p, slice model) {
    size_t serving = 0;
    return parties_quarantined(p->proof, model, &serving) > 0 && serving == 0;
}
