#include "proof/standings.h"

#include "base/log.h"
#include "base/memory.h"
#include "dispatch/worker.h"
#include "os/clock.h"
#include "session_internal.h"

struct standings {
    const fleet *workers;
    map *by_worker; /* first id → standing */
};

static const standing unknown; /* a new worker */

standings *standings_new(const fleet *workers, const uint8_t seed[MAP_SEED_SIZE], error *err) {
    standings *all = memory_allocate_zeroed(1, sizeof *all);
    map *by_worker = map_new(seed);
    if (all == NULL || by_worker == NULL) {
        memory_free(all);
        map_free(by_worker);
        error_memory(err);
        return NULL;
    }
    all->workers = workers;
    all->by_worker = by_worker;
    return all;
}

void standings_free(standings *all) {
    if (all == NULL) {
        return;
    }
    void *value = NULL;
    for (size_t i = 0; map_next(all->by_worker, &i, NULL, &value);) {
        memory_free(value);
    }
    map_free(all->by_worker);
    memory_free(all);
}

static standing *find(const standings *all, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    return map_get(all->by_worker, slice_of(fleet_first_id(all->workers, worker), STORE_WORKER_ID_SIZE));
}

static standing *place_of(standings *all, const uint8_t worker[STORE_WORKER_ID_SIZE], error *err) {
    standing *place = find(all, worker);
    if (place != NULL) {
        return place;
    }
    place = memory_allocate_zeroed(1, sizeof *place);
    if (place == NULL ||
        !map_put(all->by_worker, slice_of(fleet_first_id(all->workers, worker), STORE_WORKER_ID_SIZE),
                 place)) {
        memory_free(place);
        error_memory(err);
        return NULL;
    }
    return place;
}

bool standings_add_stored(standings *all, const store_reputation *stored, error *err) {
    standing *s = place_of(all, stored->worker_id, err);
    if (s == NULL) {
        return false;
    }
    *s = (standing){.answers = stored->answers,
                    .checks = stored->checks,
                    .agreed = stored->agreed,
                    .mismatches = stored->mismatches,
                    .evasions = stored->evasions,
                    .consecutive = stored->consecutive,
                    .passed = stored->passed,
                    .evasions_in_row = stored->evasions_in_row,
                    .alert_left = stored->alert_left,
                    .disputes = stored->disputes,
                    .held = stored->held,
                    .cusum = stored->cusum,
                    .alpha = stored->alpha,
                    .beta = stored->beta,
                    .changed_ms = stored->changed_ms};
    if (!standing_state_parse(stored->state, &s->state)) {
        return error_set(err, ERROR_CORRUPT,
                         "the database gives a worker a standing that doesn't exist: %.*s",
                         SLICE_FORMAT(stored->state));
    }
    return standing_check(s, err);
}

const standing *standings_of(const standings *all, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    const standing *found = find(all, worker);
    return found == NULL ? &unknown : found;
}

bool standings_may_serve(const proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    return standing_may_serve(standings_of(f->standings, worker));
}

bool standings_may_judge(const proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    return standing_may_judge(standings_of(f->standings, worker));
}

static void stored(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("a worker's standing was not stored", LOG_CAUSE(failure));
    }
}

static void store_it(proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE], const standing *s, bool synced) {
    error err = {0};
    store_reputation row = {.state = slice_of_text(standing_state_name(s->state)),
                            .answers = s->answers,
                            .checks = s->checks,
                            .agreed = s->agreed,
                            .mismatches = s->mismatches,
                            .evasions = s->evasions,
                            .consecutive = s->consecutive,
                            .passed = s->passed,
                            .evasions_in_row = s->evasions_in_row,
                            .alert_left = s->alert_left,
                            .disputes = s->disputes,
                            .held = s->held,
                            .cusum = s->cusum,
                            .alpha = s->alpha,
                            .beta = s->beta,
                            .changed_ms = s->changed_ms};
    memcpy(row.worker_id, fleet_first_id(f->pool->fleet, worker), sizeof row.worker_id);
    bool accepted = synced ? store_reputation_put(f->pool->store, &row, stored, NULL, &err)
                           : store_reputation_note(f->pool->store, &row, clock_unix_ms(), &err);
    if (!accepted) {
        stored(NULL, &err);
    }
}

void standings_hold(proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE]) {
    fleet_worker *found = fleet_find(f->pool->fleet, worker);
    session *s = found == NULL ? NULL : fleet_newest(found)->session;
    if (s != NULL && s->handle != NULL) {
        dispatch_worker_hold(s->handle, !standings_may_serve(f, worker), ev_now_ms(f->pool->loop));
        pool_arm_dispatch(f->pool);
    }
}

bool standings_move(proof *f, const uint8_t worker[STORE_WORKER_ID_SIZE], standing_event event,
                    double score) {
    error err = {0};
    const standing_rules rules = policy_rules(&f->pool->settings);
    standing *s = place_of(f->standings, worker, &err);
    standing_state before = s == NULL ? STANDING_NEW : s->state;
    if (s == NULL || !standing_move(s, &rules, event, score, clock_unix_ms(), &err)) {
        log_error("a worker's standing could not be moved", LOG_TEXT("event", standing_event_name(event)),
                  LOG_CAUSE(&err));
        return false;
    }
    store_it(f, worker, s, s->state != before);
    if (s->state != before) {
        char id[2 * STORE_WORKER_ID_SIZE + 1];
        hex_encode(slice_of(worker, STORE_WORKER_ID_SIZE), id);
        log_info("a worker's standing changed", LOG_TEXT("worker", id),
                 LOG_TEXT("from", standing_state_name(before)), LOG_TEXT("to", standing_state_name(s->state)),
                 LOG_TEXT("event", standing_event_name(event)));
        standings_hold(f, worker);
    }
    return true;
}
