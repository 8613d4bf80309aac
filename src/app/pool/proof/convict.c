#include "proof/convict.h"

#include "audit/audit.h"
#include "base/log.h"
#include "proof/notices.h"
#include "proof/place.h"
#include "proof/standings.h"
#include "proof/verdict.h"
#include "revoke/revoke.h"
#include "store/kept.h"

static const char conviction[] = "proved wrong: ask the admin";

static void note_conviction(proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    char id[2 * STORE_WORKER_ID_SIZE + 1];
    hex_encode(slice_of(worker, STORE_WORKER_ID_SIZE), id);
    audit_note_event(f->pool, "worker_convicted", slice_of_text(id), NULL);
}

static void shut_out(proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    fleet_worker *found = fleet_find(f->pool->fleet, worker);
    if (found != NULL) {
        revoke_worker_noted(f->pool, found, conviction);
    }
}

static void check_the_last(proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]);

/* What was kept of it comes back as checks, which begin at once. What has no room here is waiting in the
 * store all the same. Large ones come a page at a time. */
static void kept_taken(void *context, const store_verification *taken, size_t count, const error *failure) {
    pool *p = context;
    proof *f = p->proof;
    error err = {0};
    if (failure != NULL) {
        log_error("what a convicted worker answered lately can't be checked", LOG_CAUSE(failure));
    }
    for (size_t i = 0; failure == NULL && f != NULL && i < count; i++) {
        check *c = check_from_stored(f, &taken[i], &err);
        if (c != NULL && check_enter(c, &err)) {
            c->work.kind = &check_kind;
            continue;
        }
        check_free(c);
        f->more_stored = true;
        if (err.code != ERROR_LIMIT) {
            log_error("a kept answer can't be checked", LOG_CAUSE(&err));
        }
    }
    if (f != NULL && count > 0) {
        place_arm(f);
        check_the_last(f, taken[0].worker_id);
    }
}

static void check_the_last(proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    error err = {0};
    if (!store_kept_take(f->pool->store, worker, STORE_LIST_MAX, kept_taken, f->pool, &err)) {
        log_error("what a convicted worker answered lately can't be checked", LOG_CAUSE(&err));
    }
}

/* What it answered under each key that it has had. */
static void check_all_keys(proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    const fleet_worker *found = fleet_find(f->pool->fleet, worker);
    if (found == NULL) {
        check_the_last(f, worker);
        return;
    }
    for (const fleet_worker *one = fleet_newest(found); one != NULL; one = one->former) {
        check_the_last(f, one->id);
    }
}

void convict(check *c, const uint8_t worker[STORE_WORKER_ID_SIZE], const char *reason) {
    proof *f = c->proof;
    bool first = standings_of(f->standings, worker)->state != STANDING_CONVICTED;
    bool own = memcmp(worker, c->worker_id, sizeof c->worker_id) == 0;
    /* An answer that was held back is nothing to warn of. */
    if (c->mode < VERIFY_PROVED && own) {
        notices_add(f, c->user_id, c->job_id, worker);
    }
    if (own && c->recheck && first) {
        return; /* of before its conviction, which a human has taken back */
    }
    standings_move(f, worker, STANDING_WAS_CONVICTED, 0);
    if (first) {
        f->statistics.convicted++;
        note_conviction(f, worker);
        shut_out(f, worker);
        testimony_store(c, worker, reason);
        check_all_keys(f, worker);
    }
}
