#include "dispatch_site.h"

#include <string.h>

/* What machines do: compute, beat, and break in every way. */

static uint64_t delay(site *s) {
    return sim_chance(&s->sim, 50) ? sim_between(&s->sim, 1, 400) : sim_between(&s->sim, 1, 20);
}

static uint64_t later(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

void session_tell(site *s, size_t session_index, unsigned kind, size_t request_index, uint64_t a) {
    session *c = &s->sessions[session_index];
    c->to_machine_at = later(c->to_machine_at, s->sim.now + delay(s));
    sim_schedule(&s->sim, c->to_machine_at,
                 (sim_event){.kind = kind, .subject = session_index, .object = request_index, .a = a});
}

/* `a` and `b` as the message needs; from bit 16 up, `b` marks a forgery. */
static void report(site *s, size_t session_index, unsigned kind, size_t request_index, uint64_t a,
                   uint64_t b) {
    session *c = &s->sessions[session_index];
    c->to_pool_at = later(c->to_pool_at, s->sim.now + delay(s));
    sim_schedule(
        &s->sim, c->to_pool_at,
        (sim_event){.kind = kind, .subject = session_index, .object = request_index, .a = a, .b = b});
}

static void after(site *s, uint64_t wait, unsigned kind, size_t subject, size_t object) {
    sim_schedule(&s->sim, s->sim.now + wait, (sim_event){.kind = kind, .subject = subject, .object = object});
}

void session_lost(site *s, size_t session_index) {
    session *c = &s->sessions[session_index];
    if (c->alive) {
        c->alive = false;
        if (s->machines[c->machine].session == session_index) {
            after(s, sim_between(&s->sim, 100, 6000), MACHINE_JOINS, c->machine, 0);
        }
    }
}

uint32_t machine_capacity(const site *s, size_t machine_index) {
    return s->machines[machine_index].slots + (uint32_t)(machine_index % 2);
}

static uint32_t active_tasks(const session *c) {
    uint32_t count = 0;
    for (size_t i = 0; i < TASKS_MAX; i++) {
        count += c->tasks[i].active ? 1 : 0;
    }
    return count;
}

static task *task_of(session *c, size_t request_index) {
    for (size_t i = 0; i < TASKS_MAX; i++) {
        if (c->tasks[i].active && c->tasks[i].job == request_index) {
            return &c->tasks[i];
        }
    }
    return NULL;
}

static task *any_task(session *c) {
    for (size_t i = 0; i < TASKS_MAX; i++) {
        if (c->tasks[i].active) {
            return &c->tasks[i];
        }
    }
    return NULL;
}

void machine_joins(site *s, size_t machine_index) {
    machine *m = &s->machines[machine_index];
    if (s->ending || s->session_count == s->session_limit ||
        (m->session != SIZE_MAX && s->sessions[m->session].alive)) {
        return;
    }
    size_t index = s->session_count++;
    session *c = &s->sessions[index];
    *c = (session){.machine = machine_index, .alive = true, .sluggish = sim_chance(&s->sim, 100)};
    m->session = index;
    static const char *const names[MODEL_COUNT] = {"small", "large", "rare"};
    dispatch_offer offers[] = {
        {.model = slice_of_text(names[m->model]), .slots = m->slots, .exact = m->exact},
        {.model = SLICE_LITERAL("common"), .slots = 1, .exact = true},
    };
    memset(offers[0].digest, m->digest, sizeof offers[0].digest);
    const dispatch_id id = request_id(machine_index);
    error err = {0};
    c->handle = dispatch_worker_add(s->dispatch, &id, c, offers, 1 + machine_index % 2, s->sim.now, &err);
    SITE_REQUIRE(s, c->handle != NULL);
    dispatch_worker_ready(c->handle, s->sim.now);
    after(s, sim_between(&s->sim, 1, 1000), MACHINE_BEATS, index, 0);
}

static void beat(site *s, size_t index) {
    session *c = &s->sessions[index];
    if (c->alive && !c->silent) {
        report(s, index, AT_POOL_BEAT, 0, active_tasks(c), 0);
        after(s, 1000, MACHINE_BEATS, index, 0);
    }
}

/* A job that another session runs, if there is one; else any that this one doesn't. */
static size_t someone_elses(site *s, size_t index) {
    size_t start = (size_t)sim_random(&s->sim, s->request_count);
    for (size_t i = 0; i < s->request_count; i++) {
        const request *r = &s->requests[(start + i) % s->request_count];
        if (r->session != SIZE_MAX && r->session != index) {
            return (start + i) % s->request_count;
        }
    }
    return start;
}

static void forge(site *s, size_t index) {
    session *c = &s->sessions[index];
    const task *t = any_task(c);
    switch (t == NULL ? 0 : sim_random(&s->sim, 4)) {
    case 0: {
        size_t other = someone_elses(s, index);
        bool fails = sim_chance(&s->sim, 500);
        report(s, index, fails ? AT_POOL_FAIL : AT_POOL_DELTA, other, 0,
               FORGED_OTHER << 16 | (fails ? 0 : 1));
        break;
    }
    case 1:
        report(s, index, AT_POOL_DELTA, t->job, t->sequence + 1, FORGED << 16 | 1);
        break;
    case 2:
        report(s, index, AT_POOL_DELTA, t->job, t->sequence, FORGED << 16 | 60000);
        break;
    default:
        report(s, index, AT_POOL_DONE, t->job, t->produced + 1, FORGED << 16);
        break;
    }
}

void machine_breaks(site *s, size_t machine_index) {
    size_t index = s->machines[machine_index].session;
    if (s->ending || index == SIZE_MAX || !s->sessions[index].alive) {
        return;
    }
    session *c = &s->sessions[index];
    task *t = any_task(c);
    switch (sim_random(&s->sim, 8)) {
    case 0: /* its process is killed: the pool sees the connection close */
        report(s, index, AT_POOL_CLOSE, 0, 0, 0);
        session_lost(s, index);
        break;
    case 1: /* the network is gone: the pool sees nothing, and the machine may be back before it knows */
        session_lost(s, index);
        break;
    case 2:
        c->silent = true;
        break;
    case 3:
        c->stuck = true;
        break;
    case 4:
        if (c->handle != NULL) {
            dispatch_worker_drain(c->handle, s->sim.now);
        }
        break;
    case 5:
    case 6:
        if (t != NULL && !c->silent && !c->stuck) {
            t->active = false;
            report(s, index, AT_POOL_FAIL, t->job, sim_chance(&s->sim, 800), 0);
        }
        break;
    default:
        if (!c->silent) {
            forge(s, index);
        }
        break;
    }
}

static void compute(site *s, size_t index, size_t request_index) {
    session *c = &s->sessions[index];
    task *t = task_of(c, request_index);
    if (t == NULL || !c->alive || c->silent || c->stuck) {
        return;
    }
    uint64_t length = s->requests[request_index].length;
    uint64_t most = (t->credit < length ? t->credit : length) - t->produced;
    uint64_t tokens = sim_between(&s->sim, 1, most < 4 ? most : 4);
    report(s, index, AT_POOL_DELTA, request_index, t->sequence++, tokens);
    t->produced += tokens;
    if (t->produced == length) {
        t->active = false;
        report(s, index, AT_POOL_DONE, request_index, length, 0);
    } else if (t->produced == t->credit) {
        t->waits = true;
    } else {
        after(s, sim_between(&s->sim, 20, 200), MACHINE_COMPUTES, index, request_index);
    }
}

static void start_task(site *s, size_t index, size_t request_index, uint64_t credit) {
    session *c = &s->sessions[index];
    /* A worker that gives up at once is never asked to run more than it offered. */
    SITE_REQUIRE(s, c->sluggish || c->stuck || active_tasks(c) < machine_capacity(s, c->machine));
    for (size_t i = 0; i < TASKS_MAX; i++) {
        if (!c->tasks[i].active) {
            c->tasks[i] = (task){.active = true, .job = request_index, .credit = credit};
            after(s, sim_between(&s->sim, 5, 500), MACHINE_COMPUTES, index, request_index);
            return;
        }
    }
    SITE_REQUIRE(s, false);
}

static void give_up(site *s, size_t index, size_t request_index) {
    session *c = &s->sessions[index];
    task *t = task_of(c, request_index);
    if (t != NULL && !c->stuck && !c->silent) {
        t->active = false;
        report(s, index, AT_POOL_FAIL, request_index, 0, 0);
    }
}

void machine_event(site *s, const sim_event *event) {
    session *c = &s->sessions[event->subject];
    task *t = task_of(c, event->object);
    if (!c->alive || c->silent) {
        return;
    }
    switch (event->kind) {
    case MACHINE_BEATS:
        beat(s, event->subject);
        break;
    case MACHINE_COMPUTES:
        compute(s, event->subject, event->object);
        break;
    case MACHINE_GIVES_UP:
        give_up(s, event->subject, event->object);
        break;
    case AT_MACHINE_JOB:
        start_task(s, event->subject, event->object, event->a);
        break;
    case AT_MACHINE_CREDIT:
        if (t != NULL) {
            t->credit += event->a;
            if (t->waits) {
                t->waits = false;
                after(s, 10, MACHINE_COMPUTES, event->subject, event->object);
            }
        }
        break;
    default: /* AT_MACHINE_CANCEL */
        after(s, c->sluggish ? sim_between(&s->sim, 0, 4000) : 0, MACHINE_GIVES_UP, event->subject,
              event->object);
        break;
    }
}
