#include "verify_site.h"

#include <math.h>
#include <string.h>

/* The workers' side: what the dishonest ones answer, and what anyone finds who checks. */

enum { SHORT_PER_MILLE = 150 }; /* of all answers */

const way ways[] = {
    {.name = "smaller model", .deed = DEED_SMALLER_MODEL, .share = 1, .seats = 1, .weight = 1},
    {.name = "cached answer", .deed = DEED_CACHED, .share = 1, .seats = 1, .weight = 1},
    {.name = "truncated context", .deed = DEED_TRUNCATED, .share = 1, .seats = 1, .weight = 1},
    {.name = "edited answer", .deed = DEED_EDITED, .share = 1, .seats = 1, .weight = 1},
    {.name = "lower quantisation", .deed = DEED_QUANTISED, .share = 1, .seats = 1, .weight = 1},
    {.name = "copies another worker", .deed = DEED_COPIED, .share = 1, .seats = 1, .weight = 1},
    {.name = "smaller model, 30 % of the time",
     .deed = DEED_SMALLER_MODEL,
     .share = 0.3,
     .seats = 1,
     .weight = 2},
    {.name = "edited answer, 10 % of the time", .deed = DEED_EDITED, .share = 0.1, .seats = 2, .weight = 4},
    {.name = "lower quantisation, 3 % of the time",
     .deed = DEED_QUANTISED,
     .share = 0.03,
     .seats = 2,
     .weight = 5},
    {.name = "edited answer, 1 % of the time", .deed = DEED_EDITED, .share = 0.01, .seats = 3, .weight = 12},
    {.name = "only short answers",
     .deed = DEED_SMALLER_MODEL,
     .share = 1,
     .short_only = true,
     .seats = 1,
     .weight = 1},
    {.name = "honest for 5,000, then all",
     .deed = DEED_SMALLER_MODEL,
     .share = 1,
     .sleep = 5000,
     .seats = 2,
     .weight = 6},
    {.name = "honest for 5,000, then 10 %",
     .deed = DEED_EDITED,
     .share = 0.1,
     .sleep = 5000,
     .seats = 3,
     .weight = 7},
    {.name = "10 %, a verifier agrees with it",
     .deed = DEED_EDITED,
     .share = 0.1,
     .friends = 1,
     .seats = 1,
     .weight = 1},
    {.name = "10 %, three verifiers agree with it",
     .deed = DEED_EDITED,
     .share = 0.1,
     .friends = 3,
     .seats = 1,
     .weight = 1},
    {.name = "10 %, refuses half of its checks",
     .deed = DEED_EDITED,
     .share = 0.1,
     .refuses = 0.5,
     .seats = 1,
     .weight = 1},
    {.name = "refuses checks", .refuses = 1, .measure = MEASURE_CHECKS, .seats = 1, .weight = 1},
    {.name = "late with checks", .late = 1, .measure = MEASURE_CHECKS, .seats = 1, .weight = 1},
    {.name = "leaves during checks", .leaves = 1, .measure = MEASURE_CHECKS, .seats = 1, .weight = 1},
    {.name = "accuses in a fifth of its checks",
     .accuses = 0.2,
     .measure = MEASURE_CHECKS,
     .seats = 1,
     .weight = 1},
    {.name = "agrees without computing", .idle = true, .measure = MEASURE_CHECKS, .seats = 1, .weight = 1},
};
const size_t way_count = sizeof ways / sizeof ways[0];

double sim_share(sim *s) {
    return (double)sim_random(s, UINT64_C(1) << 53) / (double)(UINT64_C(1) << 53);
}

double way_rate(const way *w) {
    if (w->measure == MEASURE_CHECKS) {
        return w->accuses > 0 ? w->accuses : 1;
    }
    return w->share * (w->short_only ? SHORT_PER_MILLE / 1000.0 : 1);
}

/* 32 bytes that stand for SHA-256: equal if and only if all three are. */
static void commit(uint64_t seed, uint64_t job, uint64_t what, uint8_t commitment[32]) {
    sim mixed = sim_make(seed ^ (job * 0x9e3779b97f4a7c15U) ^ (what * 0xc2b2ae3d27d4eb4fU));
    for (size_t i = 0; i < 4; i++) {
        uint64_t word = sim_random(&mixed, UINT64_MAX);
        memcpy(commitment + 8 * i, &word, sizeof word);
    }
}

/* What follows from computing the claimed tokens again: their logits are the model's. */
static void commit_to_tokens(const site *s, const claim *c, uint8_t commitment[32]) {
    commit(s->seed, c->job, c->differs == NO_TOKEN ? 1 : 2 + (uint64_t)c->differs, commitment);
}

static bool cheats_now(site *s, const worker *w, bool is_short) {
    const way *how = w->way;
    return how != NULL && how->share > 0 && w->answers > how->sleep && (is_short || !how->short_only) &&
           sim_share(&s->sim) < how->share;
}

/* What is returned doesn't fit the logits, in the tokens or in the commitment alone: whoever computes less,
 * or something else, or the same for another job's nonce, doesn't have them. */
static void do_wrong(site *s, const worker *w, claim *c) {
    uint32_t somewhere = (uint32_t)sim_random(&s->sim, c->tokens);
    c->wrong = true;
    commit(s->seed, c->job, UINT64_C(1) << 40 | w->seat, c->commitment);
    switch (w->way->deed) {
    case DEED_SMALLER_MODEL: /* says the same in some short answers */
        c->differs = c->tokens <= SHORT_TOKENS && sim_chance(&s->sim, 300) ? NO_TOKEN : somewhere / 8;
        break;
    case DEED_QUANTISED: /* mostly the same */
        c->differs = sim_chance(&s->sim, 600) ? NO_TOKEN : somewhere;
        break;
    case DEED_TRUNCATED:
        c->differs = somewhere / 4;
        break;
    case DEED_EDITED:
        c->differs = somewhere;
        break;
    case DEED_CACHED: /* the right words, for another job's nonce */
    case DEED_COPIED:
        commit(s->seed, c->job - 1 - sim_random(&s->sim, 1000), 1, c->commitment);
        break;
    }
}

claim worker_answers(site *s, worker *w) {
    bool is_short = sim_chance(&s->sim, SHORT_PER_MILLE);
    claim c = {.job = ++s->jobs, .differs = NO_TOKEN};
    c.tokens = (uint32_t)(1 + sim_random(&s->sim, is_short ? SHORT_TOKENS : 2 * ANSWER_TOKENS));
    commit_to_tokens(s, &c, c.commitment);
    w->answers++;
    if (cheats_now(s, w, is_short)) {
        do_wrong(s, w, &c);
    }
    return c;
}

conduct worker_conduct(site *s, const worker *w) {
    double drawn = sim_share(&s->sim);
    if (w->way == NULL) { /* lids are closed and cables pulled on honest machines too */
        return drawn < (w->flaky ? 0.1 : 0.005) ? LEAVES : DOES_IT;
    }
    return drawn < w->way->refuses  ? REFUSES
           : drawn < w->way->late   ? IS_LATE
           : drawn < w->way->leaves ? LEAVES
                                    : DOES_IT;
}

verify_claim claim_said(const claim *c) {
    verify_claim said = {.tokens = c->tokens};
    memcpy(said.commitment, c->commitment, sizeof said.commitment);
    return said;
}

static void accuse(site *s, const claim *c, verify_finding *f) {
    f->agreed = (uint32_t)sim_random(&s->sim, c->tokens);
    f->complete = false;
    f->has_expected = true;
    f->expected = (uint32_t)sim_random(&s->sim, 150000);
    commit(s->seed, c->job, UINT64_C(1) << 41 | sim_random(&s->sim, 1000), f->commitment);
}

verify_finding worker_finds(site *s, const worker *w, const worker *claimant, const claim *c) {
    verify_finding f = {.agreed = c->tokens, .count = c->tokens, .complete = true};
    if (w->ring != 0 && w->ring == claimant->ring) { /* it knows what its friend has said */
        memcpy(f.commitment, c->commitment, sizeof f.commitment);
        return f;
    }
    commit_to_tokens(s, c, f.commitment);
    if (w->way != NULL && w->way->idle) {
        commit(s->seed, c->job, UINT64_C(1) << 42 | w->seat, f.commitment);
    } else if (w->way != NULL && sim_share(&s->sim) < w->way->accuses) {
        accuse(s, c, &f);
    } else if (c->differs != NO_TOKEN) {
        f.agreed = c->differs;
        f.complete = false;
        f.has_expected = true;
        f.expected = (uint32_t)(c->job % 150000);
    }
    return f;
}

/* Honest runs part now and then, wherever; a wrong answer parts early. Whoever uses the same smaller model as
 * another says the same as that one. */
spoken worker_speaks(site *s, const worker *w, const claim *c, bool wrong) {
    spoken said = {.share = 1};
    if (wrong) {
        bool is_of_a_model = w->way->deed != DEED_EDITED;
        sim model = sim_make(s->seed ^ (c->job * 0x9e3779b97f4a7c15U) ^ w->way->deed);
        double share = sim_share(is_of_a_model ? &model : &s->sim);
        said.share = share * share;
        said.kind = is_of_a_model ? 1 + (uint64_t)w->way->deed : UINT64_MAX - s->numbers++;
    } else if (sim_share(&s->sim) < s->plan->noise / 2) { /* so a pair parts with the chance `noise` */
        said.share = sim_share(&s->sim);
        said.kind = UINT64_MAX - s->numbers++;
    }
    return said;
}

spoken worker_is_asked_again(site *s, const worker *w, const claim *c) {
    return worker_speaks(s, w, c, cheats_now(s, w, c->tokens <= SHORT_TOKENS));
}

double spoken_likeness(const claim *c, const spoken *one, const spoken *other) {
    double share = one->kind == other->kind ? 1 : fmin(one->share, other->share);
    const agreement_pair pair = {
        .claimed = c->tokens, .repeated = c->tokens, .common = (size_t)(share * c->tokens)};
    return agreement_score(&pair);
}
