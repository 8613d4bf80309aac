#include "proof/place.h"

#include "base/log.h"
#include "os/clock.h"
#include "os/random.h"
#include "proof/parties.h"
#include "proof/standings.h"
#include "proof/verdict.h"
#include "session_internal.h"
#include "verify/draw.h"

enum {
    LOOKED_AT_ONCE = 32, /* of those that wait, in one turn of the loop */
    AGAIN_MS = 500,      /* after nobody could take it */
    CLAIM_MS = 60000,    /* then another worker's next slot is waited for */
    TICK_MS = 50,
    IDLE_MS = 500 /* when nothing could be placed */
};

void place_delay(check *c) {
    uint64_t longest = c->proof->pool->settings.check_delay_ms;
    uint64_t drawn = 0;
    error ignored = {0};
    if (!random_bytes(&drawn, sizeof drawn, &ignored)) {
        drawn = longest;
    }
    c->not_before_ms = ev_now_ms(c->proof->pool->loop) + drawn % (longest + 1);
}

/* The first of the list is the one that nobody has looked at for longest, not the one that is due first: the
 * timer looks at a few of them, often enough. */
static void arm(proof *f, uint64_t delay_ms) {
    if (f->stopping || list_is_empty(&f->pending)) {
        ev_timer_stop(&f->timer);
    } else if (!ev_timer_is_running(&f->timer)) {
        ev_timer_start(f->pool->loop, &f->timer, delay_ms);
    }
}

void place_arm(proof *f) {
    arm(f, TICK_MS);
}

void place_released(check *c) {
    proof *f = c->proof;
    c->handle = NULL;
    opened_free(c->opened);
    c->opened = NULL;
    f->statistics.running--;
    list_remove(&c->node);
    list_append(&f->pending, &c->node);
    place_arm(f);
}

/* Those whose words are at stake: the worker, and in a dispute all who have said something. */
static size_t subjects_of(const check *c, verify_party subjects[FINDINGS_MAX + 1]) {
    size_t count = 0;
    const uint8_t *ids[FINDINGS_MAX + 1];
    ids[count++] = c->worker_id;
    for (size_t i = 0; c->findings != NULL && i < c->findings->count; i++) {
        ids[count++] = c->findings->items[i].fields.worker_id;
    }
    for (size_t i = 0; i < count; i++) {
        const fleet_worker *worker = fleet_find(c->work.pool->fleet, ids[i]);
        subjects[i] = worker == NULL ? (verify_party){0} : party_of_worker(worker);
        memcpy(subjects[i].worker, ids[i], sizeof subjects[i].worker);
    }
    return count;
}

/* Now, or when there is time. */
static bool somebody_could(const proof *f, const party_query *query, size_t excluded_count) {
    party_query anybody = *query;
    verify_choice ignored;
    anybody.excluded_count = excluded_count;
    anybody.busy = true;
    return parties_choose(f, &anybody, &ignored) != NULL;
}

/* Nobody above suspicion could judge it. A few wrong answers, each checked by another, put all workers into
 * quarantine; if none of these could judge the others, all would stay there. */
static bool only_suspects_are_left(const proof *f, const party_query *query) {
    return !somebody_could(f, query, 0);
}

/* Better somebody who failed once than nobody, since attempts are bounded. But where the others are only busy
 * it waits for them: a friend who refuses whatever speaks against the worker has always time. */
static void forgive(check *c, const party_query *query) {
    if (c->tried_count > 0 && !somebody_could(c->proof, query, c->tried_count)) {
        c->tried_count = 0;
    }
}

/* A dispute goes to a referee, and to somebody else only where there is none and that one could decide.
 * `busy`: to who has no free slot now, too. */
static session *choose(check *c, bool busy, verify_choice *choice, error *err) {
    proof *f = c->proof;
    const verify_bench bench = check_bench(c);
    verify_party subjects[FINDINGS_MAX + 1];
    party_query query = {.model = c->work.model,
                         .digest = c->digest,
                         .profile = c->profile,
                         .excluded = (const uint8_t(*)[RECEIPT_WORKER_SIZE])c->tried,
                         .excluded_count = c->tried_count,
                         .judging = c->v.state == VERIFICATION_DISPUTED,
                         .busy = busy,
                         .subjects = subjects,
                         .subject_count = subjects_of(c, subjects)};
    if (!random_bytes(&c->work.id, sizeof c->work.id, err) ||
        !verify_draw(f->pool->site.verify->draw, VERIFY_DRAW_VERIFIER, c->work.id.bytes, c->claim.commitment,
                     &query.draw, err)) {
        return NULL;
    }
    hex_encode(slice_of(c->work.id.bytes, sizeof c->work.id.bytes), c->work.id_hex);
    query.referee_only =
        query.judging && (!verify_worker_may_judge(&bench) || parties_have_referee(f, &query));
    query.suspects = query.judging && !query.referee_only && only_suspects_are_left(f, &query);
    session *chosen = parties_choose(f, &query, choice);
    if (chosen == NULL) {
        forgive(c, &query);
        error_set(err, ERROR_NOT_FOUND, "no worker is free to check it");
    }
    return chosen;
}

session *place_choose(check *c, verify_choice *choice, error *err) {
    return choose(c, false, choice, err);
}

static dispatch_worker *claimed_worker(const proof *f, const check_claim *claim) {
    const fleet_worker *worker = fleet_find(f->pool->fleet, claim->worker_id);
    return worker == NULL || worker->session == NULL ? NULL : worker->session->handle;
}

static void release(proof *f, const check_claim *claim, slice model) {
    dispatch_worker *w = claim->holds ? claimed_worker(f, claim) : NULL;
    if (w != NULL) {
        (void)dispatch_worker_reserve(w, model, false, ev_now_ms(f->pool->loop));
        pool_arm_dispatch(f->pool);
    }
}

/* The claim is the caller's to release. */
static check_claim take_claim(check *c) {
    check_claim claim = c->claimed;
    c->proof->claims -= claim.holds;
    c->claimed = (check_claim){0};
    return claim;
}

void place_release_claim(check *c) {
    check_claim claim = take_claim(c);
    release(c->proof, &claim, c->work.model);
}

/* It has waited for long enough for an idle slot: the next that comes free at somebody who could do it isn't
 * for the queue. Two may claim the same one; each look renews it. */
static void claim_slot(check *c, uint64_t now) {
    proof *f = c->proof;
    verify_choice ignored;
    error err = {0};
    uint64_t since = c->v.state == VERIFICATION_DISPUTED ? c->disputed_ms : c->due_ms;
    if (c->claimed.holds && now - c->claimed.since_ms >= CLAIM_MS) {
        place_release_claim(c);
    }
    if (now - since < f->pool->settings.check_patience_ms) {
        return;
    }
    if (!c->claimed.holds && f->statistics.running + f->claims < f->pool->settings.checks_at_once) {
        const session *s = choose(c, true, &ignored, &err);
        if (s == NULL) {
            return;
        }
        c->claimed = (check_claim){.holds = true, .since_ms = now};
        memcpy(c->claimed.worker_id, s->worker->id, sizeof c->claimed.worker_id);
        f->claims++;
    }
    dispatch_worker *w = c->claimed.holds ? claimed_worker(f, &c->claimed) : NULL;
    if (c->claimed.holds && (w == NULL || !dispatch_worker_reserve(w, c->work.model, true, now))) {
        place_release_claim(c);
    }
}

/* A payload that can't be opened, or a job that no message can hold, will never be checked. */
static void give_up(check *c, const error *cause) {
    log_error("a check can't be done", LOG_TEXT("state", verification_state_name(c->v.state)),
              LOG_CAUSE(cause));
    check_expire(c);
}

static bool assign(check *c, session *s, const verify_choice *choice, error *err) {
    proof *f = c->proof;
    bool disputed = c->v.state == VERIFICATION_DISPUTED;
    const dispatch_spec spec = {.id = c->work.id,
                                .model = c->work.model,
                                .context = &c->work,
                                .deadline_ms = f->pool->settings.check_deadline_ms};
    if (!check_move(c, disputed ? VERIFICATION_REFEREE_ASSIGNED : VERIFICATION_ASSIGNED)) {
        return error_set(err, ERROR_INTERNAL, "it is in no state to be done");
    }
    c->unable = false;
    memcpy(c->runner, s->worker->id, sizeof c->runner);
    c->runner_independence = choice->independence;
    list_remove(&c->node);
    list_append(&f->running, &c->node);
    f->statistics.running++;
    char model[STORE_MODEL_MAX + 1];
    check_claim claim = take_claim(c);
    memcpy(model, c->model, sizeof model);
    c->handle = dispatch_assign(f->pool->dispatch, &spec, s->handle, true, ev_now_ms(f->pool->loop), err);
    pool_arm_dispatch(f->pool);
    if (c->handle == NULL) {
        verdict_lost(c, false);
    }
    release(f, &claim, slice_of_text(model));
    return true;
}

/* False: nobody is free. */
static bool place(check *c) {
    error err = {0};
    verify_choice choice = {0};
    session *s = place_choose(c, &choice, &err);
    if (s == NULL) {
        return false;
    }
    c->opened = check_open(c, &err);
    bool ready = c->opened != NULL && session_check_job(&c->work, &err);
    if (!ready && err.code == ERROR_MEMORY) {
        opened_free(c->opened);
        c->opened = NULL;
        return false;
    }
    if (!ready || !assign(c, s, &choice, &err)) {
        give_up(c, &err);
    }
    return true;
}

/* A dispute keeps two workers out of service: it isn't left to chance for long. */
static bool is_stuck(check *c, uint64_t now) {
    if (c->v.state == VERIFICATION_DISPUTED && c->disputed_ms == 0) {
        c->disputed_ms = now; /* from the store */
    }
    return c->v.state == VERIFICATION_DISPUTED &&
           now - c->disputed_ms >= c->work.pool->settings.dispute_wait_ms;
}

static void warn_of_waiting(check *c) {
    char id[2 * STORE_VERIFICATION_ID_SIZE + 1];
    if (c->v.state == VERIFICATION_DISPUTED && !c->warned) {
        c->warned = true;
        hex_encode(slice_of(c->id, sizeof c->id), id);
        log_warning("a dispute keeps two workers out of service and nobody is free to judge it: enrol a "
                    "referee (cellule admin worker token --referee)",
                    LOG_TEXT("verification", id));
    }
}

static bool is_too_old(const check *c, uint64_t now_unix_ms) {
    uint64_t age = c->work.pool->settings.recheck_hours * 60 * CLOCK_MINUTE_MS;
    return now_unix_ms > c->created_ms && now_unix_ms - c->created_ms > age;
}

void place_due(proof *f) {
    uint64_t now = ev_now_ms(f->pool->loop);
    uint64_t now_unix = clock_unix_ms();
    size_t left = map_count(f->checks) < LOOKED_AT_ONCE ? map_count(f->checks) : LOOKED_AT_ONCE;
    bool placed = false;
    while (left-- > 0 && !f->stopping && !list_is_empty(&f->pending) &&
           f->statistics.running < f->pool->settings.checks_at_once) {
        check *c = LIST_ENTRY(list_first(&f->pending), check, node);
        list_remove(&c->node);
        list_append(&f->pending, &c->node);
        if (c->due_ms == 0) {
            c->due_ms = c->not_before_ms > now ? c->not_before_ms : now;
        }
        if (is_too_old(c, now_unix)) {
            check_expire(c);
        } else if (c->not_before_ms > now) {
            continue;
        } else if (place(c)) {
            placed = true;
        } else if (is_stuck(c, now)) {
            check_expire(c);
        } else {
            warn_of_waiting(c);
            claim_slot(c, now);
            c->not_before_ms = now + (c->claimed.holds ? TICK_MS : AGAIN_MS);
        }
    }
    arm(f, placed ? TICK_MS : IDLE_MS);
}
