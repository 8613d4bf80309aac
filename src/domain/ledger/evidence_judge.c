#include "ledger/evidence.h"

#include "coder_internal.h"

static const char exact[] = "exact-";

/* What one signed statement says of another. */
typedef enum relation { SAYS_NOTHING, AGREES, CONTRADICTS } relation;

const signed_receipt *evidence_answer(const evidence *e, size_t statement) {
    if (statement == 0) {
        return &e->receipt;
    }
    return statement <= e->answer_count ? &e->answers[statement - 1] : NULL;
}

const signed_finding *evidence_finding(const evidence *e, size_t statement) {
    size_t first = 1 + e->answer_count;
    return statement >= first && statement - first < e->finding_count ? &e->findings[statement - first]
                                                                      : NULL;
}

const uint8_t *evidence_worker(const evidence *e, size_t statement) {
    const signed_receipt *answer = evidence_answer(e, statement);
    const signed_finding *found = evidence_finding(e, statement);
    return answer != NULL ? answer->fields.worker_id : found != NULL ? found->fields.worker_id : NULL;
}

static size_t statement_count(const evidence *e) {
    return 1 + e->answer_count + e->finding_count;
}

static relation of_answers(const receipt *a, const receipt *b) {
    const receipt *shorter = a->completion_tokens < b->completion_tokens ? a : b;
    if (a->completion_tokens != b->completion_tokens) {
        return receipt_may_have_been_cut(shorter) ? SAYS_NOTHING : CONTRADICTS;
    }
    return memcmp(a->token_hash, b->token_hash, HASH_SIZE) == 0 &&
                   memcmp(a->commitment, b->commitment, HASH_SIZE) == 0
               ? AGREES
               : CONTRADICTS;
}

static relation of_findings(const finding *a, const finding *b) {
    return a->agreed == b->agreed && a->complete == b->complete && a->has_expected == b->has_expected &&
                   a->expected == b->expected && a->prompt_tokens == b->prompt_tokens &&
                   memcmp(a->commitment, b->commitment, HASH_SIZE) == 0
               ? AGREES
               : CONTRADICTS;
}

/* `f` is about `r`. */
static relation of_claim(const receipt *r, const finding *f) {
    if (f->agreed != f->claimed_tokens || f->prompt_tokens != r->prompt_tokens ||
        memcmp(f->commitment, r->commitment, HASH_SIZE) != 0) {
        return CONTRADICTS;
    }
    if (f->complete) {
        return AGREES;
    }
    return receipt_may_have_been_cut(r) ? SAYS_NOTHING : CONTRADICTS;
}

/* An answer of somebody else is judged by a finding only so far as that confirms the receipt. */
static relation of_answer_and_finding(const evidence *e, const receipt *answer, const finding *f) {
    relation claim = of_claim(&e->receipt.fields, f);
    if (answer == &e->receipt.fields) {
        return claim;
    }
    return claim == AGREES ? of_answers(&e->receipt.fields, answer) : SAYS_NOTHING;
}

static relation relate(const evidence *e, size_t a, size_t b) {
    const signed_receipt *answers[] = {evidence_answer(e, a), evidence_answer(e, b)};
    const signed_finding *findings[] = {evidence_finding(e, a), evidence_finding(e, b)};
    if (answers[0] != NULL && answers[1] != NULL) {
        return of_answers(&answers[0]->fields, &answers[1]->fields);
    }
    if (answers[0] != NULL && findings[1] != NULL) {
        return of_answer_and_finding(e, &answers[0]->fields, &findings[1]->fields);
    }
    if (findings[0] != NULL && answers[1] != NULL) {
        return of_answer_and_finding(e, &answers[1]->fields, &findings[0]->fields);
    }
    return findings[0] != NULL && findings[1] != NULL
               ? of_findings(&findings[0]->fields, &findings[1]->fields)
               : SAYS_NOTHING;
}

/* Whether two receipts are about one question, answered by one model with the same parameters. */
static bool same_question(const receipt *a, const receipt *b) {
    return memcmp(a->pool_id, b->pool_id, HASH_SIZE) == 0 &&
           memcmp(a->model_digest, b->model_digest, HASH_SIZE) == 0 &&
           strcmp(a->engine_profile, b->engine_profile) == 0 &&
           memcmp(a->prompt_hash, b->prompt_hash, HASH_SIZE) == 0 &&
           coder_floats_are_same(a->temperature, b->temperature) &&
           coder_floats_are_same(a->top_p, b->top_p) && a->max_tokens == b->max_tokens &&
           memcmp(a->stop_hash, b->stop_hash, HASH_SIZE) == 0 && a->seed == b->seed;
}

static bool are_about_one_question(const evidence *e, error *err) {
    const receipt *r = &e->receipt.fields;
    if (strncmp(r->engine_profile, exact, sizeof exact - 1) != 0) {
        return error_set(err, ERROR_CORRUPT,
                         "the profile \"%s\" isn't exact: that answers differ in it proves nothing",
                         r->engine_profile);
    }
    for (size_t i = 0; i < e->answer_count; i++) {
        if (!same_question(&e->answers[i].fields, r)) {
            return error_set(err, ERROR_CORRUPT, "answer %zu of the evidence is about another question",
                             i + 1);
        }
    }
    for (size_t i = 0; i < e->finding_count; i++) {
        if (!finding_is_about(&e->findings[i].fields, r)) {
            return error_set(err, ERROR_CORRUPT, "finding %zu of the evidence is about another answer",
                             i + 1);
        }
    }
    return true;
}

static bool is_by(const evidence *e, size_t statement, const uint8_t worker[RECEIPT_WORKER_SIZE]) {
    return memcmp(evidence_worker(e, statement), worker, RECEIPT_WORKER_SIZE) == 0;
}

/* A worker that speaks twice is no second witness. */
static bool are_by_different_workers(const evidence *e, error *err) {
    for (size_t i = 0; i < statement_count(e); i++) {
        for (size_t k = 0; k < i; k++) {
            if (is_by(e, i, evidence_worker(e, k))) {
                return error_set(err, ERROR_CORRUPT, "two statements of the evidence are by one worker");
            }
        }
    }
    return true;
}

static bool find_convicted(const evidence *e, size_t *statement, error *err) {
    for (*statement = 0; *statement < statement_count(e); (*statement)++) {
        if (is_by(e, *statement, e->convicted)) {
            return true;
        }
    }
    return error_set(err, ERROR_CORRUPT, "nothing in the evidence is signed by the convicted worker");
}

static bool find_witnesses(const evidence *e, evidence_ruling *ruling) {
    for (size_t b = 0; b < statement_count(e); b++) {
        for (size_t a = 0; a < b; a++) {
            if (a != ruling->convicted && b != ruling->convicted && relate(e, a, b) == AGREES &&
                relate(e, a, ruling->convicted) == CONTRADICTS &&
                relate(e, b, ruling->convicted) == CONTRADICTS) {
                ruling->witnesses[0] = a;
                ruling->witnesses[1] = b;
                return true;
            }
        }
    }
    return false;
}

/* What a human decides between: one who says otherwise. */
static bool find_witness(const evidence *e, evidence_ruling *ruling) {
    for (size_t a = 0; a < statement_count(e); a++) {
        if (a != ruling->convicted && relate(e, a, ruling->convicted) == CONTRADICTS) {
            ruling->witnesses[0] = a;
            return true;
        }
    }
    return false;
}

bool evidence_judge(const evidence *e, evidence_ruling *ruling, error *err) {
    evidence_ruling own = {0};
    if (e->answer_count > EVIDENCE_ANSWERS_MAX || e->finding_count > EVIDENCE_FINDINGS_MAX) {
        return error_set(err, ERROR_CORRUPT, "the evidence has too many statements");
    }
    if (!are_about_one_question(e, err) || !are_by_different_workers(e, err) ||
        !find_convicted(e, &own.convicted, err)) {
        return false;
    }
    bool decided = e->reason[0] != '\0';
    own.witness_count = decided ? 1 : 2;
    if (decided && !find_witness(e, &own)) {
        return error_set(err, ERROR_CORRUPT, "nobody contradicts what the convicted worker signed");
    }
    if (!decided && !find_witnesses(e, &own)) {
        return error_set(err, ERROR_CORRUPT,
                         "no two others who agree contradict what the convicted worker signed");
    }
    if (ruling != NULL) {
        *ruling = own;
    }
    return true;
}
