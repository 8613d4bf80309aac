#include "os/random.h"
#include "proof/comparison.h"
#include "proof/standings.h"
#include "verify/draw.h"

/* Who is asked, and when. */

enum { RETRY_MS = 2000 };

uint32_t comparison_tokens(const comparison *c) {
    return c->max_tokens < COMPARISON_TOKENS_MAX ? c->max_tokens : COMPARISON_TOKENS_MAX;
}

void comparison_wait(comparison *c, uint64_t milliseconds) {
    if (c->is_running && c->sides[CLAIMED].handle == NULL) {
        c->is_running = false;
        c->all->running--;
    }
    ev_timer_start(c->all->proof->pool->loop, &c->timer, milliseconds);
}

static bool prepare_side(side *s, error *err) {
    struct {
        dispatch_id id;
        uint8_t salt[RECEIPT_SALT_SIZE];
    } drawn;
    if (!random_bytes(&drawn, sizeof drawn, err) || !receipt_nonce(drawn.salt, s->nonce, err)) {
        return false;
    }
    s->work.id = drawn.id;
    hex_encode(slice_of(drawn.id.bytes, sizeof drawn.id.bytes), s->work.id_hex);
    memcpy(s->salt, drawn.salt, sizeof s->salt);
    s->limit = comparison_tokens(s->comparison);
    return true;
}

/* Of the worker that is checked: it has to be there with a free slot, and still serve. */
static session *own_session(const comparison *c) {
    const proof *f = c->all->proof;
    const fleet_worker *worker = fleet_find(f->pool->fleet, c->sides[CLAIMED].worker_id);
    session *s = worker == NULL ? NULL : worker->session;
    bool can = s != NULL && s->handle != NULL && standings_may_serve(f, worker->id) &&
               dispatch_worker_has_slot(s->handle, c->model);
    return can ? s : NULL;
}

/* Somebody with time who is independent of the sides before this one. NULL: nobody. */
static session *choose(const comparison *c, const side *asked, bool referee_only) {
    const proof *f = c->all->proof;
    verify_party subjects[SIDES];
    verify_choice choice;
    error err = {0};
    party_query query = {.model = c->model,
                         .digest = c->digest,
                         .profile = c->profile,
                         .subjects = subjects,
                         .referee_only = referee_only};
    for (const side *s = c->sides; s < asked; s++) {
        const fleet_worker *worker = fleet_find(f->pool->fleet, s->worker_id);
        if (worker == NULL) {
            return NULL;
        }
        subjects[query.subject_count++] = party_of_worker(worker);
    }
    return verify_draw(f->pool->site.verify->draw, VERIFY_DRAW_VERIFIER, asked->work.id.bytes, c->commitment,
                       &query.draw, &err)
               ? parties_choose(f, &query, &choice)
               : NULL;
}

static bool wants_referees(const comparison *c, calibration_kind kind) {
    return learning_wants_referees(calibrations_find(c->all->calibrations, &c->keys[kind]));
}

/* Of logprobs only those can teach who give them, and only where anybody else does. */
static bool could_teach(const comparison *c, const session *first, const session *second) {
    bool logprobs = calibrations_find(c->all->calibrations, &c->keys[CALIBRATION_LOGPROBS])->pairs > 0 &&
                    session_gives_logprobs(first) && session_gives_logprobs(second);
    return wants_referees(c, CALIBRATION_TEXTS) || (logprobs && wants_referees(c, CALIBRATION_LOGPROBS));
}

/* While it isn't known from referees what is usual: one of two who both have time now. NULL: no need, or
 * there aren't two. */
static session *choose_referee(comparison *c) {
    if (!wants_referees(c, CALIBRATION_TEXTS) && !wants_referees(c, CALIBRATION_LOGPROBS)) {
        return NULL;
    }
    side *repeated = &c->sides[REPEATED];
    session *first = choose(c, repeated, true);
    if (first == NULL) {
        return NULL;
    }
    memcpy(repeated->worker_id, first->worker->id, sizeof repeated->worker_id);
    const session *second = choose(c, &c->sides[THIRD], true);
    return second != NULL && could_teach(c, first, second) ? first : NULL;
}

/* False: it could not be given out. */
static bool ask(side *s, session *to) {
    pool *p = s->work.pool;
    error err = {0};
    const dispatch_spec spec = {.id = s->work.id, .model = s->work.model, .context = &s->work};
    comparison *c = s->comparison;
    c->all->running += !c->is_running;
    c->is_running = true;
    memcpy(s->worker_id, to->worker->id, sizeof s->worker_id);
    s->handle = dispatch_assign(p->dispatch, &spec, to->handle, false, ev_now_ms(p->loop), &err);
    pool_arm_dispatch(p);
    return s->handle != NULL;
}

bool comparison_ask_third(comparison *c) {
    side *s = &c->sides[THIRD];
    error err = {0};
    session *third = prepare_side(s, &err) && !c->all->proof->stopping ? choose(c, s, c->teaches) : NULL;
    return third != NULL && ask(s, third);
}

static void wait_on(comparison *c) {
    if (ev_now_ms(c->all->proof->pool->loop) >= c->give_up_at) {
        comparison_free(c);
    } else {
        comparison_wait(c, RETRY_MS);
    }
}

/* Both are asked at once, or none; the other one alone if it was lost before. */
void comparison_time_has_come(void *context) {
    comparison *c = context;
    const proof *f = c->all->proof;
    side *claimed = &c->sides[CLAIMED];
    side *repeated = &c->sides[REPEATED];
    bool both = !claimed->is_known && claimed->handle == NULL;
    error err = {0};
    if (c->is_judged) {
        comparison_find_third(c);
        return;
    }
    if (f->stopping || f->pool->draining || (!c->is_running && c->all->running >= COMPARISONS_RUNNING)) {
        wait_on(c);
        return;
    }
    if ((both && !prepare_side(claimed, &err)) || !prepare_side(repeated, &err) ||
        !prepare_side(&c->sides[THIRD], &err)) {
        comparison_free(c);
        return;
    }
    session *own = both ? own_session(c) : NULL;
    session *other = choose_referee(c);
    c->teaches = other != NULL;
    other = other != NULL ? other : choose(c, repeated, false);
    if (other == NULL || (both && own == NULL)) {
        wait_on(c);
        return;
    }
    if (!ask(repeated, other) || (both && !ask(claimed, own))) {
        comparison_free(c);
    }
}
