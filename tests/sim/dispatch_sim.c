#include "dispatch_site.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Many small sites and a few large ones, each from its seed, with the dispatcher's invariants checked after
 * every event and its every word compared with what the simulation knows. */

enum { SMALL_SITES = 50, LARGE_SITES = 1, SMALL_SPAN_MS = 40000, LARGE_SPAN_MS = 8000, REST_MS = 120000 };

void site_broken(const site *s, const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: %s\n  at %llu ms; repeat with CELLULE_SIM_SEED=%llu\n", file, line, condition,
            (unsigned long long)s->sim.now, (unsigned long long)s->seed);
    exit(1);
}

dispatch_id request_id(size_t request_index) {
    dispatch_id id = {{0}};
    for (size_t i = 0; i < 8; i++) {
        id.bytes[i] = (uint8_t)((uint64_t)request_index >> (8 * i));
    }
    return id;
}

size_t request_of(const dispatch_id *id) {
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++) {
        value |= (uint64_t)id->bytes[i] << (8 * i);
    }
    return (size_t)value;
}

static size_t session_index(const site *s, const void *worker) {
    return (size_t)((const session *)worker - s->sessions);
}

static size_t request_index(const site *s, const void *job) {
    return (size_t)((const request *)job - s->requests);
}

static void request_ended(site *s, request *r) {
    SITE_REQUIRE(s, r->state == REQUEST_LIVE && r->ends == 0);
    r->state = REQUEST_ENDED;
    r->handle = NULL;
    r->session = SIZE_MAX;
    r->ends++;
    s->live--;
}

/* Now and then a send finds the connection broken, and the pool gives the session up from within the hook. */
static bool send_breaks(site *s, size_t index) {
    session *c = &s->sessions[index];
    SITE_REQUIRE(s, c->handle != NULL);
    if (s->ending || !sim_chance(&s->sim, 5)) {
        return false;
    }
    dispatch_worker *w = c->handle;
    c->handle = NULL;
    s->tally.broken_sends++;
    dispatch_worker_remove(w, s->sim.now);
    session_lost(s, index);
    return true;
}

static void on_send_job(void *context, void *worker, void *job, uint64_t credit) {
    site *s = context;
    request *r = job;
    size_t index = session_index(s, worker);
    SITE_REQUIRE(s, r->state == REQUEST_LIVE && r->session == SIZE_MAX);
    SITE_REQUIRE(s, credit == r->consumed + CREDIT_WINDOW);
    r->session = index;
    r->arrived = 0;
    if (!send_breaks(s, index)) {
        session_tell(s, index, AT_MACHINE_JOB, request_index(s, job), credit);
    }
}

static void on_send_credit(void *context, void *worker, const dispatch_id *job, uint64_t tokens) {
    site *s = context;
    size_t index = session_index(s, worker);
    SITE_REQUIRE(s, s->requests[request_of(job)].session == index && tokens > 0);
    s->tally.credits++;
    if (!send_breaks(s, index)) {
        session_tell(s, index, AT_MACHINE_CREDIT, request_of(job), tokens);
    }
}

static void on_send_cancel(void *context, void *worker, const dispatch_id *job) {
    site *s = context;
    size_t index = session_index(s, worker);
    if (!send_breaks(s, index)) {
        session_tell(s, index, AT_MACHINE_CANCEL, request_of(job), 0);
    }
}

static void on_job_restarted(void *context, void *job, bool resumed) {
    site *s = context;
    request *r = job;
    SITE_REQUIRE(s, r->state == REQUEST_LIVE && resumed == r->started);
    r->session = SIZE_MAX;
    r->arrived = 0;
    if (resumed) {
        s->tally.resumed++;
    } else {
        s->tally.restarted++;
        r->consumed = 0;
    }
}

static void on_job_failed(void *context, void *job, dispatch_failure reason) {
    site *s = context;
    s->tally.failed[reason]++;
    request_ended(s, job);
}

static void on_worker_drained(void *context, void *worker) {
    site *s = context;
    session *c = worker;
    for (size_t i = 0; i < s->request_count; i++) {
        SITE_REQUIRE(s, s->requests[i].session != session_index(s, worker));
    }
    s->tally.drained++;
    dispatch_worker *w = c->handle;
    c->handle = NULL;
    dispatch_worker_remove(w, s->sim.now);
    session_lost(s, session_index(s, worker));
}

static void on_worker_closed(void *context, void *worker, dispatch_closing reason) {
    site *s = context;
    session *c = worker;
    SITE_REQUIRE(s, c->handle != NULL);
    SITE_REQUIRE(s, reason == DISPATCH_REPLACED || !c->alive || c->silent || c->stuck);
    c->handle = NULL;
    s->tally.closed[reason]++;
    session_lost(s, session_index(s, worker));
}

/* NULL: nobody is connected. */
static dispatch_worker *somebody(site *s) {
    dispatch_stats stats;
    dispatch_read_stats(s->dispatch, &stats);
    dispatch_worker *w = NULL;
    uint64_t skip = stats.workers == 0 ? 0 : sim_random(&s->sim, stats.workers);
    for (size_t i = 0; (w = dispatch_worker_next(s->dispatch, &i)) != NULL && skip > 0;) {
        skip--;
    }
    return w;
}

/* Now and then a worker is held for a while, or a job is for one worker alone. */
static dispatch_job *hand_in(site *s, const dispatch_spec *spec, error *err) {
    dispatch_worker *held = sim_chance(&s->sim, 40) ? somebody(s) : NULL;
    if (held != NULL) {
        dispatch_worker_hold(held, sim_chance(&s->sim, 300), s->sim.now);
    }
    dispatch_worker *only = sim_chance(&s->sim, 100) ? somebody(s) : NULL;
    return only == NULL ? dispatch_submit(s->dispatch, spec, s->sim.now, err)
                        : dispatch_assign(s->dispatch, spec, only, false, s->sim.now, err);
}

static void ask(site *s, size_t index) {
    static const char *const names[MODEL_COUNT + 1] = {"small", "large", "rare", "common"};
    request *r = &s->requests[index];
    const dispatch_spec spec = {.id = request_id(index),
                                .user = r->user,
                                .model = slice_of_text(names[r->model]),
                                .context = r,
                                .deadline_ms = sim_chance(&s->sim, 50) ? 3000 : 0};
    r->state = REQUEST_LIVE;
    r->session = SIZE_MAX;
    s->live++;
    error err = {0};
    r->handle = hand_in(s, &spec, &err);
    if (r->handle == NULL) {
        SITE_REQUIRE(s, err.code == ERROR_LIMIT || err.code == ERROR_NOT_FOUND || err.code == ERROR_IO);
        s->tally.refused++;
        request_ended(s, r);
    } else if (sim_chance(&s->sim, 200)) {
        sim_schedule(&s->sim, s->sim.now + sim_random(&s->sim, 4000),
                     (sim_event){.kind = CLIENT_LEAVES, .object = index});
    }
}

static void leave(site *s, request *r) {
    if (r->state == REQUEST_LIVE) {
        dispatch_job *handle = r->handle;
        s->tally.left++;
        request_ended(s, r);
        dispatch_job_cancel(handle, s->sim.now);
    }
}

static void consumed(site *s, request *r, uint64_t total) {
    if (r->state == REQUEST_LIVE && total > r->consumed) {
        r->consumed = total;
        dispatch_job_consumed(r->handle, total, s->sim.now);
    }
}

/* What the model computes, so to speak: exact machines with one digest give the same. */
static uint64_t bits_from(const site *s, size_t index, const request *r) {
    const machine *m = &s->machines[s->sessions[index].machine];
    if (r->model == MODEL_COUNT) {
        return 1;
    }
    return m->exact ? 2 + (uint64_t)m->digest : 1000 + (uint64_t)index;
}

static void arrived(site *s, size_t index, request *r, uint64_t tokens) {
    r->arrived += tokens;
    if (!r->streams) {
        consumed(s, r, r->arrived);
        return;
    }
    uint64_t bits = bits_from(s, index, r);
    if (!r->started) {
        SITE_REQUIRE(s, dispatch_job_started(r->handle));
        r->started = true;
        r->bits = bits;
    }
    SITE_REQUIRE(s, r->bits == bits);
    if (r->arrived > r->sent) {
        r->sent = r->arrived;
        if (r->reads) {
            sim_schedule(&s->sim, s->sim.now + sim_random(&s->sim, r->read_delay),
                         (sim_event){.kind = CLIENT_READS, .object = request_index(s, r), .a = r->sent});
        }
    }
}

static void judge(site *s, size_t index, dispatch_verdict verdict, bool forged) {
    session *c = &s->sessions[index];
    SITE_REQUIRE(s, !forged || verdict != DISPATCH_OK);
    SITE_REQUIRE(s, forged || verdict != DISPATCH_VIOLATION);
    if (verdict == DISPATCH_STALE) {
        s->tally.stale++;
    } else if (verdict == DISPATCH_VIOLATION && c->handle != NULL) {
        dispatch_worker *w = c->handle;
        c->handle = NULL;
        s->tally.violations++;
        dispatch_worker_remove(w, s->sim.now);
        session_lost(s, index);
    }
}

static void pool_event(site *s, const sim_event *event) {
    session *c = &s->sessions[event->subject];
    request *r = &s->requests[event->object];
    const dispatch_id id = request_id(event->object);
    bool forged = event->b >> 16 != 0;
    bool its_job = r->state == REQUEST_LIVE && r->session == event->subject;
    void *job = NULL;
    dispatch_verdict verdict = DISPATCH_OK;
    if (c->handle == NULL || (event->b >> 16 == FORGED_OTHER && its_job)) {
        return; /* the lie has come true meanwhile */
    }
    switch (event->kind) {
    case AT_POOL_BEAT: {
        const dispatch_beat beat = {.running = (uint32_t)event->a,
                                    .slots =
                                        machine_capacity(s, c->machine) - (sim_chance(&s->sim, 50) ? 1 : 0),
                                    .availability = sim_chance(&s->sim, 900)   ? DISPATCH_AVAILABLE
                                                    : sim_chance(&s->sim, 500) ? DISPATCH_LIMITED
                                                                               : DISPATCH_PAUSED};
        dispatch_worker_beat(c->handle, &beat, s->sim.now);
        break;
    }
    case AT_POOL_DELTA:
        verdict = dispatch_job_delta(c->handle, &id, event->a, event->b & 0xffff, s->sim.now, &job);
        SITE_REQUIRE(s, (verdict == DISPATCH_OK) == (job != NULL) && (job == NULL || (job == r && its_job)));
        judge(s, event->subject, verdict, forged);
        if (verdict == DISPATCH_OK) {
            arrived(s, event->subject, r, event->b);
        }
        break;
    case AT_POOL_DONE:
        if (its_job && !forged) { /* before the call: hooks in it may already be about what comes next */
            SITE_REQUIRE(s, r->arrived == r->length && (!r->streams || r->sent == r->length));
            request_ended(s, r);
            s->tally.done++;
        }
        verdict = dispatch_job_done(c->handle, &id, event->a, s->sim.now, &job);
        SITE_REQUIRE(s, (verdict == DISPATCH_OK) == (its_job && !forged) && (job == NULL || job == r));
        judge(s, event->subject, verdict, forged);
        break;
    case AT_POOL_FAIL:
        verdict = dispatch_job_fail(c->handle, &id, event->a != 0, s->sim.now);
        SITE_REQUIRE(s, (verdict == DISPATCH_OK) == its_job);
        judge(s, event->subject, verdict, forged);
        break;
    default: { /* AT_POOL_CLOSE */
        dispatch_worker *w = c->handle;
        c->handle = NULL;
        dispatch_worker_remove(w, s->sim.now);
        break;
    }
    }
}

static void happen(site *s, const sim_event *event) {
    switch (event->kind) {
    case CLIENT_ASKS:
        ask(s, event->object);
        break;
    case CLIENT_READS:
        consumed(s, &s->requests[event->object], event->a);
        break;
    case CLIENT_LEAVES:
        leave(s, &s->requests[event->object]);
        break;
    case MACHINE_JOINS:
        machine_joins(s, event->subject);
        break;
    case MACHINE_BREAKS:
        machine_breaks(s, event->subject);
        break;
    case AT_POOL_BEAT:
    case AT_POOL_DELTA:
    case AT_POOL_DONE:
    case AT_POOL_FAIL:
    case AT_POOL_CLOSE:
        pool_event(s, event);
        break;
    default:
        machine_event(s, event);
        break;
    }
}

static void check(site *s) {
    error err = {0};
    if (!dispatch_check(s->dispatch, &err)) {
        site_broken(s, __FILE__, __LINE__, err.text);
    }
    dispatch_stats stats;
    dispatch_read_stats(s->dispatch, &stats);
    SITE_REQUIRE(s, stats.running + stats.queued == s->live);
    s->tally.steps++;
}

/* One event, or one deadline, whichever is first. */
static void step(site *s) {
    uint64_t deadline = dispatch_next_deadline(s->dispatch);
    if (deadline <= sim_next_time(&s->sim)) {
        SITE_REQUIRE(s, deadline != UINT64_MAX);
        s->sim.now = deadline > s->sim.now ? deadline : s->sim.now;
        dispatch_tick(s->dispatch, s->sim.now);
    } else {
        s->sim.now = sim_next_time(&s->sim);
        sim_event event = sim_take(&s->sim);
        happen(s, &event);
    }
    check(s);
}

static void place_machines(site *s) {
    for (size_t i = 0; i < s->machine_count; i++) {
        unsigned model = (unsigned)sim_random(&s->sim, MODEL_COUNT);
        s->machines[i] = (machine){.model = model,
                                   .digest = (uint8_t)(1 + model * 2 + sim_random(&s->sim, 2)),
                                   .exact = sim_chance(&s->sim, 700),
                                   .slots = (uint32_t)sim_between(&s->sim, 1, MACHINE_SLOTS_MAX),
                                   .session = SIZE_MAX};
        sim_schedule(&s->sim, sim_random(&s->sim, 2000), (sim_event){.kind = MACHINE_JOINS, .subject = i});
        for (uint64_t at = 0; at < s->span; at += sim_between(&s->sim, 1000, 20000)) {
            sim_schedule(&s->sim, at, (sim_event){.kind = MACHINE_BREAKS, .subject = i});
        }
    }
}

static void place_requests(site *s) {
    for (size_t i = 0; i < s->request_count; i++) {
        s->requests[i] = (request){.model = (unsigned)sim_random(&s->sim, MODEL_COUNT + 1),
                                   .user = sim_random(&s->sim, 1 + s->request_count / 20),
                                   .streams = sim_chance(&s->sim, 800),
                                   .reads = sim_chance(&s->sim, 950),
                                   .read_delay = sim_chance(&s->sim, 200) ? 3000 : 20,
                                   .length = sim_between(&s->sim, 1, 80),
                                   .session = SIZE_MAX};
        sim_schedule(&s->sim, sim_random(&s->sim, s->span), (sim_event){.kind = CLIENT_ASKS, .object = i});
    }
}

static void site_open(site *s, uint64_t seed, bool large) {
    *s = (site){.sim = sim_make(seed), .seed = seed};
    s->machine_count = (size_t)(large ? sim_between(&s->sim, 100, 200) : sim_between(&s->sim, 1, 9));
    s->request_count = s->machine_count * (large ? 3 : 20);
    s->span = large ? LARGE_SPAN_MS : SMALL_SPAN_MS;
    s->session_limit = s->machine_count * 64;
    s->machines = memory_allocate_zeroed(s->machine_count, sizeof *s->machines);
    s->sessions = memory_allocate_zeroed(s->session_limit, sizeof *s->sessions);
    s->requests = memory_allocate_zeroed(s->request_count, sizeof *s->requests);
    SITE_REQUIRE(s, s->machines != NULL && s->sessions != NULL && s->requests != NULL);
    const dispatch_config config = {.queue_deadline_ms = 4000,
                                    .job_deadline_ms = 20000,
                                    .first_token_timeout_ms = 5000,
                                    .progress_timeout_ms = 3000,
                                    .dead_after_ms = 2500,
                                    .cancel_grace_ms = 1500,
                                    .hung_grace_ms = 1000,
                                    .stale_ms = 10000,
                                    .model_grace_ms = 2000,
                                    .queue_limit = 5 + s->machine_count,
                                    .queue_limit_per_user = 5,
                                    .max_attempts = 3,
                                    .credit_window = CREDIT_WINDOW};
    const dispatch_hooks hooks = {s,
                                  on_send_job,
                                  on_send_credit,
                                  on_send_cancel,
                                  on_job_restarted,
                                  on_job_failed,
                                  on_worker_drained,
                                  on_worker_closed};
    error err = {0};
    s->dispatch = dispatch_new(&config, &hooks, &err);
    SITE_REQUIRE(s, s->dispatch != NULL);
    place_machines(s);
    place_requests(s);
}

/* Everything must come to rest by itself: jobs at their ends, slots given back; then workers leave. */
static void site_close(site *s) {
    dispatch_stats stats;
    s->ending = true;
    do {
        step(s);
        SITE_REQUIRE(s, s->sim.now < s->span + REST_MS);
        dispatch_read_stats(s->dispatch, &stats);
    } while (s->live > 0 || stats.busy > 0);
    for (size_t i = 0; i < s->request_count; i++) {
        SITE_REQUIRE(s, s->requests[i].ends == 1);
    }
    for (size_t i = 0; i < s->session_count; i++) {
        if (s->sessions[i].handle != NULL) {
            dispatch_worker_remove(s->sessions[i].handle, s->sim.now);
            s->sessions[i].handle = NULL;
            check(s);
        }
    }
    while (dispatch_next_deadline(s->dispatch) != UINT64_MAX) {
        s->sim.now = dispatch_next_deadline(s->dispatch);
        dispatch_tick(s->dispatch, s->sim.now);
    }
    check(s);
    dispatch_read_stats(s->dispatch, &stats);
    SITE_REQUIRE(s, stats.workers == 0 && stats.slots == 0 && stats.busy == 0);
    SITE_REQUIRE(s, stats.completed == s->tally.done);
    dispatch_free(s->dispatch);
    memory_free(s->machines);
    memory_free(s->sessions);
    memory_free(s->requests);
    sim_free(&s->sim);
}

static void add(tally *sum, const tally *t) {
    const uint64_t *from = (const uint64_t *)(const void *)t;
    uint64_t *to = (uint64_t *)(void *)sum;
    for (size_t i = 0; i < sizeof *t / sizeof *from; i++) {
        to[i] += from[i];
    }
}

/* The simulation must have been through everything it is there for. */
static bool report(const tally *t, bool one_seed) {
    const uint64_t *counts = (const uint64_t *)(const void *)t;
    bool all = true;
    for (size_t i = 0; i < sizeof *t / sizeof *counts; i++) {
        all = all && counts[i] > 0;
    }
    printf("%llu steps: %llu done, %llu left, %llu refused, %llu restarted, %llu resumed, %llu stale, %llu "
           "violations, "
           "%llu drained, %llu credits, %llu broken sends\n",
           (unsigned long long)t->steps, (unsigned long long)t->done, (unsigned long long)t->left,
           (unsigned long long)t->refused, (unsigned long long)t->restarted, (unsigned long long)t->resumed,
           (unsigned long long)t->stale, (unsigned long long)t->violations, (unsigned long long)t->drained,
           (unsigned long long)t->credits, (unsigned long long)t->broken_sends);
    for (unsigned i = 0; i < DISPATCH_FAILURES; i++) {
        printf("failed %s: %llu\n", dispatch_failure_name(i), (unsigned long long)t->failed[i]);
    }
    for (unsigned i = 0; i <= DISPATCH_UNRESPONSIVE; i++) {
        printf("closed %s: %llu\n", dispatch_closing_name(i), (unsigned long long)t->closed[i]);
    }
    return all || one_seed;
}

int main(void) {
    sim_seeds seeds = sim_seeds_to_run(SMALL_SITES + LARGE_SITES);
    tally sum = {0};
    for (uint64_t i = 0; i < seeds.count; i++) {
        site s;
        uint64_t seed = seeds.first + i;
        site_open(&s, seed, seed > SMALL_SITES);
        while (s.sim.now < s.span) {
            step(&s);
        }
        site_close(&s);
        add(&sum, &s.tally);
    }
    if (!report(&sum, seeds.count == 1)) {
        fputs("something above never happened: the simulation no longer tests it\n", stderr);
        return 1;
    }
    return 0;
}
