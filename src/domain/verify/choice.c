#include "verify/choice.h"

/* How a candidate stands to the subjects, better ones higher. Sites are relaxed first, then networks, then
 * approvers. */
typedef enum rank {
    RANK_UNFIT,
    RANK_SAME_OWNER, /* a referee's at best */
    RANK_SAME_APPROVER_AND_NETWORK,
    RANK_SAME_APPROVER,
    RANK_SAME_NETWORK,
    RANK_SAME_SITE,
    RANK_INDEPENDENT
} rank;

typedef struct search {
    const verify_party *subjects;
    size_t subject_count;
    const verify_candidates *candidates;
    uint64_t random;
    rank attainable;
    rank best;
    size_t index;
    uint64_t equals; /* of the best rank met so far */
} search;

const char *verify_independence_name(verify_independence independence) {
    static const char *const names[] = {
        [VERIFY_NONE] = "none", [VERIFY_WEAK] = "weak", [VERIFY_FULL] = "full"};
    return names[independence];
}

/* SplitMix64 (Steele, Lea and Flood 2014): spreads one draw over many decisions. */
static uint64_t next_random(search *s) {
    s->random += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = s->random;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t random_below(search *s, uint64_t bound) {
    return (size_t)((next_random(s) >> 32) * bound >> 32); /* counts are far below 2^32 */
}

static bool may_be_same(slice a, slice b) {
    return a.length == 0 || b.length == 0 || slice_equal(a, b);
}

static rank rank_beside(const verify_party *party, const verify_party *subject, bool several_sites) {
    if (memcmp(party->worker, subject->worker, sizeof party->worker) == 0) {
        return RANK_UNFIT;
    }
    if (may_be_same(party->owner, subject->owner)) {
        return party->referee ? RANK_SAME_OWNER : RANK_UNFIT;
    }
    bool same_network = may_be_same(party->network, subject->network);
    if (party->approver == 0 || subject->approver == 0 || party->approver == subject->approver) {
        return same_network ? RANK_SAME_APPROVER_AND_NETWORK : RANK_SAME_APPROVER;
    }
    if (same_network) {
        return RANK_SAME_NETWORK;
    }
    return several_sites && may_be_same(party->site, subject->site) ? RANK_SAME_SITE : RANK_INDEPENDENT;
}

static rank rank_of(const search *s, size_t index, bool among_referees) {
    verify_party party = {.approver = 0};
    s->candidates->get(s->candidates->context, index, &party);
    rank worst = party.able && party.referee == among_referees ? RANK_INDEPENDENT : RANK_UNFIT;
    for (size_t i = 0; i < s->subject_count && worst != RANK_UNFIT; i++) {
        rank r = rank_beside(&party, &s->subjects[i], s->candidates->several_sites);
        worst = r < worst ? r : worst;
    }
    return worst;
}

/* Keeps one of those with the best rank, each with the same probability (reservoir sampling). */
static void consider(search *s, size_t index, rank r) {
    if (r == RANK_UNFIT || r < s->best) {
        return;
    }
    s->equals = r > s->best ? 1 : s->equals + 1;
    s->best = r;
    if (s->equals == 1 || random_below(s, s->equals) == 0) {
        s->index = index;
    }
}

/* The best of candidates `first` to first + count - 1, or of VERIFY_PASS of them, from a random one on. */
static void look(search *s, size_t first, size_t count, bool among_referees) {
    for (size_t i = 0; count > VERIFY_PROBES && i < VERIFY_PROBES; i++) {
        size_t index = first + random_below(s, count);
        s->best = rank_of(s, index, among_referees);
        if (s->best >= s->attainable) {
            s->index = index;
            return;
        }
    }
    s->best = RANK_UNFIT;
    s->equals = 0;
    bool part = count > VERIFY_PASS;
    size_t begin = part ? random_below(s, count) : 0;
    for (size_t i = 0; i < (part ? VERIFY_PASS : count); i++) {
        size_t index = first + (begin + i) % count;
        consider(s, index, rank_of(s, index, among_referees));
    }
}

static bool found(const search *s, bool referee, verify_choice *choice) {
    verify_independence independence = s->best == RANK_INDEPENDENT  ? VERIFY_FULL
                                       : s->best == RANK_SAME_OWNER ? VERIFY_NONE
                                                                    : VERIFY_WEAK;
    *choice = (verify_choice){.index = s->index, .referee = referee, .independence = independence};
    return s->best != RANK_UNFIT;
}

/* What the caller knows that nobody can exceed. */
static rank attainable_of(const verify_candidates *candidates) {
    if (candidates->one_approver) {
        return candidates->one_network ? RANK_SAME_APPROVER_AND_NETWORK : RANK_SAME_APPROVER;
    }
    return candidates->one_network ? RANK_SAME_NETWORK : RANK_INDEPENDENT;
}

bool verify_choose(const verify_party *subjects, size_t subject_count, const verify_candidates *candidates,
                   bool referee_only, double draw, verify_choice *choice) {
    const double scale = (double)(UINT64_C(1) << 53);
    search s = {.subjects = subjects,
                .subject_count = subject_count,
                .candidates = candidates,
                .attainable = attainable_of(candidates),
                .random = draw > 0 && draw < 1 ? (uint64_t)(draw * scale) : 0};
    *choice = (verify_choice){.independence = VERIFY_NONE};
    bool wants_referee = referee_only || next_random(&s) < UINT64_MAX / 3 + 1;
    if (wants_referee) {
        look(&s, 0, candidates->referees, true);
        if (referee_only || s.best > RANK_SAME_OWNER) {
            return found(&s, true, choice);
        }
    }
    look(&s, candidates->referees, candidates->workers, false);
    if (s.best >= s.attainable || candidates->referees == 0) {
        return found(&s, false, choice);
    }
    search worker = s;
    look(&s, 0, candidates->referees, true);
    return s.best > worker.best ? found(&s, true, choice) : found(&worker, false, choice);
}
