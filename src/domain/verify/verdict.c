#include "verify/verification.h"

#include "crypto/hash.h"

_Static_assert(sizeof((verify_finding){0}.commitment) == HASH_SIZE, "SHA-256");

verify_comparison verify_compare(const verify_claim *claim, const verify_finding *finding) {
    bool agrees = finding->complete && finding->count == claim->tokens && finding->agreed == claim->tokens &&
                  finding->prompt_tokens == claim->prompt_tokens &&
                  hash_equal(claim->commitment, finding->commitment, HASH_SIZE);
    return agrees ? VERIFY_AGREES : VERIFY_DIFFERS;
}

static bool is_same(const verify_finding *a, const verify_finding *b) {
    return a->agreed == b->agreed && a->count == b->count && a->complete == b->complete &&
           a->has_expected == b->has_expected && (!a->has_expected || a->expected == b->expected) &&
           a->prompt_tokens == b->prompt_tokens && hash_equal(a->commitment, b->commitment, HASH_SIZE);
}

verify_verdict verify_judge(const verify_claim *claim, const verify_finding *verifier,
                            const verify_finding *referee) {
    bool claim_is_confirmed = verify_compare(claim, referee) == VERIFY_AGREES;
    bool verifier_is_confirmed = is_same(verifier, referee);
    if (claim_is_confirmed == verifier_is_confirmed) { /* neither, or there was nothing to judge */
        return VERDICT_NEITHER;
    }
    return claim_is_confirmed ? VERDICT_VERIFIER_WRONG : VERDICT_WORKER_WRONG;
}

static bool has_referees(const verify_bench *bench) {
    return bench->site_has_referees || bench->worker_is_referee || bench->verifier_is_referee;
}

bool verify_worker_may_judge(const verify_bench *bench) {
    return !has_referees(bench) || bench->worker_is_referee != bench->verifier_is_referee;
}

verify_verdict verify_verdict_of_worker(verify_verdict verdict, const verify_bench *bench) {
    bool confirms_referee =
        verdict == VERDICT_WORKER_WRONG ? bench->verifier_is_referee : bench->worker_is_referee;
    return has_referees(bench) && (!confirms_referee || !verify_worker_may_judge(bench)) ? VERDICT_NEITHER
                                                                                         : verdict;
}
