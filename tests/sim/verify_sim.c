#include "base/memory.h"
#include "crypto/start.h"
#include "verify_site.h"

#include <stdlib.h>
#include <string.h>

/* Cheating workers and the pool's decisions about them: sim_verify_site [--full]. A failure prints its seed;
 * CELLULE_SIM_SEED=n repeats it. The full run's table stands in docs/proof.md. */

typedef struct part {
    const char *title;
    plan small;
    plan full;
} part;

/* Statistical checks tell honest and dishonest apart slowly: fewer workers, so that each has more answers. */
static const part parts[] = {
    {"spot, exact",
     {.seats = 60, .answers = 100000, .seeds = 3, .mode = VERIFY_SPOT, .exact = true, .referees = REFEREES},
     {.seats = 200,
      .answers = 500000,
      .seeds = 20,
      .mode = VERIFY_SPOT,
      .exact = true,
      .referees = REFEREES}},
    {"every, exact",
     {.seats = 60, .answers = 10000, .seeds = 3, .mode = VERIFY_EVERY, .exact = true, .referees = REFEREES},
     {.seats = 200,
      .answers = 50000,
      .seeds = 20,
      .mode = VERIFY_EVERY,
      .exact = true,
      .referees = REFEREES}},
    {"spot, exact, a single referee",
     {.seats = 60, .answers = 20000, .seeds = 3, .mode = VERIFY_SPOT, .exact = true, .referees = 1},
     {.seats = 200, .answers = 50000, .seeds = 20, .mode = VERIFY_SPOT, .exact = true, .referees = 1}},
    {"spot, statistical, 0.5 % of honest pairs differ",
     {.seats = 60, .answers = 50000, .seeds = 2, .mode = VERIFY_SPOT, .noise = 0.005, .referees = REFEREES},
     {.seats = 60,
      .answers = 150000,
      .seeds = 20,
      .mode = VERIFY_SPOT,
      .noise = 0.005,
      .referees = REFEREES}},
    {"spot, statistical, 2 % of honest pairs differ",
     {.seats = 60, .answers = 50000, .seeds = 2, .mode = VERIFY_SPOT, .noise = 0.02, .referees = REFEREES},
     {.seats = 60, .answers = 150000, .seeds = 20, .mode = VERIFY_SPOT, .noise = 0.02, .referees = REFEREES}},
    {"spot, statistical, 2 % of honest pairs differ, without referees",
     {.seats = 60, .answers = 20000, .seeds = 1, .mode = VERIFY_SPOT, .noise = 0.02, .unjudged = true},
     {.seats = 60, .answers = 150000, .seeds = 20, .mode = VERIFY_SPOT, .noise = 0.02, .unjudged = true}},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

void site_broken(const site *s, const char *file, int line, const char *condition) {
    fprintf(stderr, "%s:%d: %s\n  at %llu ms, answer %llu; repeat with CELLULE_SIM_SEED=%llu\n", file, line,
            condition, (unsigned long long)s->sim.now, (unsigned long long)s->totals.answers,
            (unsigned long long)s->seed);
    exit(1);
}

static void site_open(site *s, const plan *p, uint64_t seed, spells *all) {
    *s = (site){
        .sim = sim_make(seed), .seed = seed, .plan = p, .rules = standing_rules_default(), .spells = all};
    for (size_t i = 0; i < sizeof s->secret; i++) {
        s->secret[i] = (uint8_t)sim_random(&s->sim, 256);
    }
    s->worker_limit = p->referees + p->seats * (1 + ENROLMENTS);
    s->workers = memory_allocate_zeroed(s->worker_limit, sizeof *s->workers);
    s->seats = memory_allocate_zeroed(p->seats, sizeof *s->seats);
    s->enrolments = memory_allocate_zeroed(p->seats, sizeof *s->enrolments);
    s->checks = memory_allocate_zeroed(CHECKS_MAX, sizeof *s->checks);
    SITE_REQUIRE(s, s->workers != NULL && s->seats != NULL && s->enrolments != NULL && s->checks != NULL);
    for (uint32_t i = CHECKS_MAX; i > 0; i--) {
        s->free_checks[s->free_count++] = i - 1;
    }
    seats_fill(s);
}

static void site_close(site *s) {
    seats_close(s);
    memory_free(s->workers);
    memory_free(s->seats);
    memory_free(s->enrolments);
    memory_free(s->checks);
    sim_free(&s->sim);
}

static void events_until(site *s, uint64_t until) {
    while (sim_next_time(&s->sim) <= until) {
        s->sim.now = sim_next_time(&s->sim);
        sim_event event = sim_take(&s->sim);
        pool_event(s, &event);
    }
    s->sim.now = until;
}

static void run(const plan *p, uint64_t seed, spells *all, totals *sum) {
    static site s;
    site_open(&s, p, seed, all);
    uint64_t gap = ANSWER_GAP_MS / s.ticket_count;
    while (s.totals.answers < p->answers) {
        events_until(&s, s.sim.now + sim_between(&s.sim, 0, 2 * gap));
        pool_answers(&s);
    }
    site_close(&s);
    uint64_t *to = (uint64_t *)(void *)sum;
    const uint64_t *from = (const uint64_t *)(const void *)&s.totals;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++) {
        to[i] += from[i];
    }
}

static bool run_part(const part *which, bool full) {
    const plan *p = full ? &which->full : &which->small;
    sim_seeds seeds = sim_seeds_to_run(p->seeds);
    spells all = {0};
    totals sum = {0};
    for (uint64_t i = 0; i < seeds.count; i++) {
        run(p, seeds.first + i, &all, &sum);
    }
    printf("### %s\n\n%llu seeds of %u workers and %llu answers\n\n", which->title,
           (unsigned long long)seeds.count, p->seats, (unsigned long long)p->answers);
    bool good = table_print(stdout, p, &all, &sum);
    memory_free(all.all);
    if (!good) {
        printf("a bar is broken, seeds %llu to %llu\n", (unsigned long long)seeds.first,
               (unsigned long long)(seeds.first + seeds.count - 1));
    }
    puts("");
    fflush(stdout);
    return good;
}

int main(int argc, char **argv) {
    bool full = argc == 2 && strcmp(argv[1], "--full") == 0;
    error err = {0};
    if (!crypto_start(&err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    bool good = true;
    for (size_t i = 0; i < PARTS; i++) {
        good = run_part(&parts[i], full) && good;
    }
    crypto_stop();
    return good ? 0 : 1;
}
