#include "../samples.h"

#include "base/memory.h"
#include "crypto/start.h"
#include "verify/choice.h"
#include "verify/draw.h"
#include "verify/standing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Processor time of the pool's decisions about an answer, with so many workers known: bench_deciding WORKERS
 * ANSWERS. Prints one JSON object, times in microseconds. */
enum { WORKERS_MAX = 1000000, REFEREES = 4, OWNERS_SHARE = 2, NETWORKS = 200, APPROVERS = 4, BUSY = 2 };

typedef struct machine {
    uint8_t id[16];
    char owner[24];
    char network[24];
    uint64_t approver;
    bool referee;
    bool able;
    standing standing;
} machine;

typedef struct bench {
    machine *machines;
    size_t count;
    uint64_t random;
    standing_rules rules;
    uint8_t secret[VERIFY_SECRET_SIZE];
    size_t chosen;
    size_t checked;
} bench;

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next(bench *b) {
    uint64_t z = b->random += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
}

static void fill(bench *b) {
    for (size_t i = 0; i < b->count; i++) {
        machine *m = &b->machines[i];
        memcpy(m->id, &i, sizeof i);
        snprintf(m->owner, sizeof m->owner, "owner%u", (unsigned)(next(b) % (b->count / OWNERS_SHARE + 1)));
        snprintf(m->network, sizeof m->network, "10.%u.0.0/24", (unsigned)(next(b) % NETWORKS));
        m->approver = 1 + next(b) % APPROVERS;
        m->referee = i < REFEREES;
        m->able = next(b) % BUSY != 0;
        m->standing = (standing){
            .state = STANDING_REGULAR, .checks = 60, .agreed = 60, .consecutive = 60, .passed = 20};
    }
}

static verify_party party_of(const machine *m) {
    verify_party p = {.owner = slice_of_text(m->owner),
                      .network = slice_of_text(m->network),
                      .approver = m->approver,
                      .referee = m->referee,
                      .able = m->able && standing_may_serve(&m->standing)};
    memcpy(p.worker, m->id, sizeof p.worker);
    return p;
}

static void get(void *context, size_t index, verify_party *party) {
    const bench *b = context;
    *party = party_of(&b->machines[index]);
}

/* What any answer costs; is it checked? */
static bool decide(bench *b, machine *m, const uint8_t job[16], const uint8_t commitment[32], bool *checked,
                   error *err) {
    double draw = 0;
    double rate = standing_rate(&m->standing, &b->rules, VERIFY_SPOT);
    if (!verify_draw(b->secret, VERIFY_DRAW_CHECK, job, commitment, &draw, err) ||
        !standing_move(&m->standing, &b->rules, STANDING_ANSWERED, 0, 1, err)) {
        return false;
    }
    *checked = draw < rate;
    return true;
}

/* What a check costs beside that. */
static bool choose(bench *b, machine *m, const uint8_t job[16], const uint8_t commitment[32], error *err) {
    double draw = 0;
    if (!verify_draw(b->secret, VERIFY_DRAW_VERIFIER, job, commitment, &draw, err)) {
        return false;
    }
    const verify_party subject = party_of(m);
    const verify_candidates all = {
        .referees = REFEREES, .workers = b->count - REFEREES, .get = get, .context = b};
    verify_choice choice;
    b->chosen += verify_choose(&subject, 1, &all, false, draw, &choice);
    return standing_move(&m->standing, &b->rules, STANDING_AGREED, 0, 1, err);
}

static bool measure(bench *b, size_t answers, bool every, double *microseconds, error *err) {
    b->chosen = 0;
    b->checked = 0;
    uint64_t start = bench_processor_ns();
    for (size_t i = 0; i < answers; i++) {
        machine *m = &b->machines[REFEREES + next(b) % (b->count - REFEREES)];
        uint64_t words[6] = {next(b), next(b), next(b), next(b), next(b), next(b)};
        const uint8_t *bytes = (const uint8_t *)words;
        bool checked = false;
        if (!decide(b, m, bytes, bytes + 16, &checked, err) ||
            ((checked || every) && !choose(b, m, bytes, bytes + 16, err))) {
            return false;
        }
        b->checked += checked || every;
    }
    *microseconds = (double)(bench_processor_ns() - start) / 1e3 / (double)answers;
    return b->chosen == b->checked || error_set(err, ERROR_INTERNAL, "nobody fits as a verifier");
}

static bool run(bench *b, size_t answers, error *err) {
    double spot = 0;
    double every = 0;
    fill(b);
    if (!measure(b, answers, false, &spot, err)) {
        return false;
    }
    double share = (double)b->checked / (double)answers;
    if (!measure(b, answers, true, &every, err)) {
        return false;
    }
    printf("{\"workers\":%zu,\"answers\":%zu,\"spot_us\":%.4f,\"spot_share\":%.5f,\"every_us\":%.4f}\n",
           b->count, answers, spot, share, every);
    return true;
}

int main(int argc, char **argv) {
    static bench b;
    b = (bench){.count = argc == 3 ? strtoul(argv[1], NULL, 10) : 0,
                .rules = standing_rules_default(),
                .random = 2026};
    size_t answers = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (b.count < 100 || b.count > WORKERS_MAX || answers == 0) {
        fprintf(stderr, "usage: bench_deciding WORKERS ANSWERS, with 100 workers at least\n");
        return 2;
    }
    error err = {0};
    b.machines = memory_allocate_zeroed(b.count, sizeof *b.machines);
    bool good = b.machines == NULL ? error_memory(&err) : crypto_start(&err) && run(&b, answers, &err);
    if (!good) {
        fprintf(stderr, "bench_deciding: %s\n", err.text);
    }
    memory_free(b.machines);
    crypto_stop();
    return good ? 0 : 1;
}
