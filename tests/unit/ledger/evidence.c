#include "ledger/evidence.h"

#include "codec/json.h"
#include "crypto/start.h"

#include "unit.h"

enum { WORKER, VERIFIER, REFEREE, SECOND_REFEREE, PARTIES, CLAIMED = 34, DIFFERS_AT = 17 };

static sign_key *parties[PARTIES];
static sign_key *pool;
static uint8_t pool_id[HASH_SIZE];

static int start(void **state) {
    (void)state;
    error err;
    uint8_t seed[SIGN_SEED_SIZE] = {99};
    json_start(1);
    if (!crypto_start(&err)) {
        return -1;
    }
    pool = sign_key_from_seed(seed, &err);
    for (size_t i = 0; i < PARTIES; i++) {
        seed[0] = (uint8_t)i;
        parties[i] = sign_key_from_seed(seed, &err);
        if (parties[i] == NULL) {
            return -1;
        }
    }
    return pool != NULL && receipt_pool_id(sign_key_public(pool), pool_id, &err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    for (size_t i = 0; i < PARTIES; i++) {
        sign_key_free(parties[i]);
    }
    sign_key_free(pool);
    crypto_stop();
    return 0;
}

static void name_worker(size_t party, uint8_t worker_id[RECEIPT_WORKER_SIZE]) {
    error err;
    assert_true(receipt_worker_id(sign_key_public(parties[party]), worker_id, &err));
}

/* An answer of `party`; `commitment` tells one computation from another. */
static receipt make_answer(size_t party, uint8_t commitment) {
    receipt r = {.version = RECEIPT_VERSION,
                 .engine_profile = "exact-2",
                 .temperature = 0.7F,
                 .top_p = 0.95F,
                 .max_tokens = 256,
                 .seed = 7,
                 .prompt_tokens = 12,
                 .completion_tokens = CLAIMED,
                 .finish = RECEIPT_FINISH_STOP,
                 .started_ms = 1800000000000,
                 .finished_ms = 1800000001500};
    memcpy(r.pool_id, pool_id, sizeof r.pool_id);
    memset(r.job_id, (int)party + 1, sizeof r.job_id);
    name_worker(party, r.worker_id);
    memset(r.model_digest, 0x22, sizeof r.model_digest);
    memset(r.prompt_hash, 0x33, sizeof r.prompt_hash);
    memset(r.answer_hash, 0x44, sizeof r.answer_hash);
    memset(r.stop_hash, 0x55, sizeof r.stop_hash);
    memset(r.token_hash, 0x66, sizeof r.token_hash);
    memset(r.commitment, commitment, sizeof r.commitment);
    return r;
}

static signed_receipt sign_answer(receipt r, size_t party) {
    error err;
    signed_receipt s = {.fields = r};
    memset(s.salt, 0x88, sizeof s.salt);
    assert_true(receipt_sign_worker(&s, parties[party], &err));
    return s;
}

/* What `party` finds about make_answer: all as claimed, or a difference. */
static finding make_finding(size_t party, bool agrees, uint8_t commitment) {
    receipt r = make_answer(WORKER, 0);
    finding f = {.version = FINDING_VERSION,
                 .temperature = r.temperature,
                 .top_p = r.top_p,
                 .max_tokens = r.max_tokens,
                 .seed = r.seed,
                 .claimed_tokens = r.completion_tokens,
                 .prompt_tokens = r.prompt_tokens,
                 .agreed = agrees ? CLAIMED : DIFFERS_AT,
                 .complete = agrees,
                 .has_expected = !agrees,
                 .expected = agrees ? 0 : 4711,
                 .started_ms = 1800000002000,
                 .finished_ms = 1800000002500};
    memcpy(f.pool_id, r.pool_id, sizeof f.pool_id);
    memset(f.check_id, (int)party + 64, sizeof f.check_id);
    name_worker(party, f.worker_id);
    memcpy(f.model_digest, r.model_digest, sizeof f.model_digest);
    memcpy(f.engine_profile, r.engine_profile, sizeof f.engine_profile);
    memcpy(f.prompt_hash, r.prompt_hash, sizeof f.prompt_hash);
    memcpy(f.stop_hash, r.stop_hash, sizeof f.stop_hash);
    memcpy(f.token_hash, r.token_hash, sizeof f.token_hash);
    memset(f.commitment, commitment, sizeof f.commitment);
    return f;
}

static signed_finding sign_finding(finding f, size_t party) {
    error err;
    signed_finding s = {.fields = f};
    assert_true(finding_sign_worker(&s, parties[party], &err));
    return s;
}

static signed_finding found(size_t party, bool agrees, uint8_t commitment) {
    return sign_finding(make_finding(party, agrees, commitment), party);
}

/* The worker's answer was wrong: the verifier and a referee found the same else. */
static evidence draft_of_wrong_answer(void) {
    evidence e = {.made_ms = 1800000009000,
                  .receipt = sign_answer(make_answer(WORKER, 1), WORKER),
                  .finding_count = 2,
                  .findings = {found(VERIFIER, false, 2), found(REFEREE, false, 2)}};
    name_worker(WORKER, e.convicted);
    return e;
}

/* The verifier lied: the referee found what the worker had answered. */
static evidence draft_of_wrong_finding(void) {
    evidence e = {.made_ms = 1800000009000,
                  .receipt = sign_answer(make_answer(WORKER, 1), WORKER),
                  .finding_count = 2,
                  .findings = {found(VERIFIER, false, 2), found(REFEREE, true, 1)}};
    name_worker(VERIFIER, e.convicted);
    return e;
}

/* Three answered at once, and two of them the same. */
static evidence draft_of_three_answers(void) {
    evidence e = {.made_ms = 1800000009000,
                  .receipt = sign_answer(make_answer(WORKER, 1), WORKER),
                  .answer_count = 2,
                  .answers = {sign_answer(make_answer(VERIFIER, 2), VERIFIER),
                              sign_answer(make_answer(REFEREE, 2), REFEREE)}};
    name_worker(WORKER, e.convicted);
    return e;
}

static evidence made(evidence draft) {
    error err;
    assert_true(evidence_make(&draft, pool, NULL, &err));
    return draft;
}

static buffer to_json(const evidence *e) {
    error err;
    buffer text = buffer_make(EVIDENCE_JSON_LIMIT);
    assert_true(evidence_write_json(e, &text, &err));
    return text;
}

static void assert_judged(evidence (*draft)(void), size_t convicted, size_t first, size_t second) {
    error err;
    evidence back;
    evidence_ruling ruling;
    evidence e = made(draft());
    assert_true(evidence_verify(&e, pool_id, NULL, &err));
    assert_true(evidence_judge(&e, &ruling, &err));
    assert_int_equal(ruling.convicted, convicted);
    assert_int_equal(ruling.witnesses[0], first);
    assert_int_equal(ruling.witnesses[1], second);
    assert_memory_equal(evidence_worker(&e, convicted), e.convicted, sizeof e.convicted);
    buffer text = to_json(&e);
    assert_true(evidence_read_json(buffer_slice(&text), &back, &err));
    assert_true(evidence_verify(&back, pool_id, NULL, &err));
    assert_int_equal(back.made_ms, e.made_ms);
    buffer_free(&text);
}

static void test_a_wrong_answer_convicts_its_worker(void **state) {
    (void)state;
    assert_judged(draft_of_wrong_answer, 0, 1, 2);
}

static void test_a_wrong_finding_convicts_its_verifier(void **state) {
    (void)state;
    assert_judged(draft_of_wrong_finding, 1, 0, 2);
}

static void test_the_one_of_three_answers_that_differs_convicts_its_worker(void **state) {
    (void)state;
    assert_judged(draft_of_three_answers, 0, 1, 2);
}

static evidence draft_of_the_second_answer(void) {
    evidence e = draft_of_three_answers();
    e.answers[1] = sign_answer(make_answer(REFEREE, 1), REFEREE);
    name_worker(VERIFIER, e.convicted);
    return e;
}

static void test_any_of_three_answers_may_be_the_wrong_one(void **state) {
    (void)state;
    assert_judged(draft_of_the_second_answer, 1, 0, 2);
}

static void test_the_two_that_agree_may_both_be_referees(void **state) {
    (void)state;
    error err;
    evidence_ruling ruling;
    evidence e = draft_of_wrong_answer();
    e.findings[0] = found(VERIFIER, false, 3);
    e.findings[e.finding_count++] = found(SECOND_REFEREE, false, 2);
    assert_true(evidence_make(&e, pool, NULL, &err));
    assert_true(evidence_judge(&e, &ruling, &err));
    assert_int_equal(ruling.witnesses[0], 2);
    assert_int_equal(ruling.witnesses[1], 3);
    name_worker(VERIFIER, e.convicted); /* alone with what it found, like the worker */
    assert_true(evidence_make(&e, pool, NULL, &err));
}

/* Two who differ, and nobody else. */
static evidence draft_of_a_dispute(void) {
    evidence e = draft_of_wrong_answer();
    e.finding_count = 1;
    return e;
}

static void assert_decided(const uint8_t *convicted, size_t statement) {
    error err;
    evidence e = draft_of_a_dispute();
    evidence_ruling ruling = {0};
    memcpy(e.convicted, convicted, sizeof e.convicted);
    snprintf(e.reason, sizeof e.reason, "its machine was found with another model file: \"tiny\" é");
    e = made(e);
    assert_int_equal(e.version, EVIDENCE_VERSION_DECIDED);
    assert_true(evidence_judge(&e, &ruling, &err));
    assert_int_equal(ruling.convicted, statement);
    assert_int_equal(ruling.witness_count, 1);
    assert_int_equal(ruling.witnesses[0], 1 - statement);
    buffer text = to_json(&e);
    evidence back;
    assert_true(evidence_read_json(buffer_slice(&text), &back, &err));
    assert_true(evidence_verify(&back, pool_id, NULL, &err));
    assert_string_equal(back.reason, e.reason);
    buffer_free(&text);
    e.reason[0] = 'I';
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
    e.reason[0] = '\0'; /* without the human the statements don't do */
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    e.version = EVIDENCE_VERSION;
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
}

static void test_a_human_s_decision_says_so_and_convicts_either_of_two(void **state) {
    (void)state;
    evidence e = draft_of_a_dispute();
    assert_decided(e.receipt.fields.worker_id, 0);
    assert_decided(e.findings[0].fields.worker_id, 1);
}

static void test_no_human_convicts_who_is_not_contradicted(void **state) {
    (void)state;
    error err;
    evidence e = draft_of_a_dispute();
    e.findings[0] = found(VERIFIER, true, 1);
    snprintf(e.reason, sizeof e.reason, "I don't like it");
    assert_false(evidence_make(&e, pool, NULL, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
}

static void test_no_salt_is_in_it(void **state) {
    (void)state;
    error err;
    evidence e = made(draft_of_three_answers());
    for (size_t i = 0; i < RECEIPT_SALT_SIZE; i++) {
        assert_int_equal(e.receipt.salt[i], 0);
        assert_int_equal(e.answers[1].salt[i], 0);
    }
    memset(e.receipt.salt, 0x88, sizeof e.receipt.salt);
    buffer text = to_json(&e);
    assert_true(evidence_read_json(buffer_slice(&text), &e, &err));
    buffer_free(&text);
}

static void assert_refused(evidence draft, const char *because) {
    error err;
    assert_false(evidence_make(&draft, pool, NULL, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_non_null(strstr(err.text, because));
}

static void test_who_is_not_contradicted_is_not_convicted(void **state) {
    (void)state;
    evidence e = draft_of_wrong_answer();
    name_worker(VERIFIER, e.convicted);
    assert_refused(e, "contradict");
    name_worker(SECOND_REFEREE, e.convicted);
    assert_refused(e, "nothing in the evidence");
    e = draft_of_wrong_finding();
    name_worker(WORKER, e.convicted);
    assert_refused(e, "contradict");
    name_worker(REFEREE, e.convicted);
    assert_refused(e, "contradict");
}

static void test_two_that_contradict_each_other_convict_nobody(void **state) {
    (void)state;
    for (size_t convicted = WORKER; convicted <= REFEREE; convicted++) {
        evidence e = draft_of_wrong_answer();
        e.findings[1] = found(REFEREE, false, 3);
        name_worker(convicted, e.convicted);
        assert_refused(e, "contradict");
        e = draft_of_wrong_answer();
        finding other = make_finding(REFEREE, false, 2);
        other.agreed--;
        e.findings[1] = sign_finding(other, REFEREE);
        name_worker(convicted, e.convicted);
        assert_refused(e, "contradict");
        e.finding_count = 1;
        name_worker(convicted, e.convicted);
        assert_refused(e, convicted == REFEREE ? "nothing" : "contradict");
    }
}

/* One says that the answer was whole, the other that it wasn't: they don't agree, whatever else they say. */
static void test_two_that_differ_in_how_it_ended_are_no_two_witnesses(void **state) {
    (void)state;
    evidence e = draft_of_wrong_answer();
    finding f = make_finding(REFEREE, true, 2);
    e.findings[0] = found(VERIFIER, true, 2);
    e.findings[1] = sign_finding(f, REFEREE);
    e = made(e);
    f.complete = false;
    e = draft_of_wrong_answer();
    e.findings[0] = found(VERIFIER, true, 2);
    e.findings[1] = sign_finding(f, REFEREE);
    assert_refused(e, "contradict");
}

/* Two gave the same tokens, fewer than the third; either may have had no room for more, and then says nothing
 * about that one. */
static void test_both_of_two_witnesses_must_contradict(void **state) {
    (void)state;
    for (unsigned cut = 0; cut < 4; cut++) { /* a bit for each of the two */
        evidence e = draft_of_three_answers();
        signed_receipt *two[] = {&e.receipt, &e.answers[0]};
        for (size_t i = 0; i < 2; i++) {
            receipt r = make_answer(WORKER + i, 2);
            r.completion_tokens--;
            r.finish = (cut >> i & 1) == 1 ? RECEIPT_FINISH_LENGTH : RECEIPT_FINISH_STOP;
            *two[i] = sign_answer(r, WORKER + i);
        }
        name_worker(REFEREE, e.convicted);
        if (cut == 0) {
            e = made(e);
        } else {
            assert_refused(e, "contradict");
        }
    }
}

static void test_one_worker_is_not_two_witnesses(void **state) {
    (void)state;
    evidence e = draft_of_wrong_answer();
    e.findings[1] = e.findings[0];
    assert_refused(e, "by one worker");
    finding again = make_finding(VERIFIER, false, 2);
    again.check_id[0] = 1;
    e.findings[1] = sign_finding(again, VERIFIER);
    assert_refused(e, "by one worker");
    e.findings[1] = found(WORKER, false, 2);
    assert_refused(e, "by one worker");
}

static void test_all_must_be_about_one_question(void **state) {
    (void)state;
    evidence e = draft_of_wrong_answer();
    finding f = make_finding(REFEREE, false, 2);
    f.seed++;
    e.findings[1] = sign_finding(f, REFEREE);
    assert_refused(e, "finding 2 of the evidence is about another answer");
    e = draft_of_wrong_answer();
    f = make_finding(REFEREE, false, 2);
    f.token_hash[31] ^= 1;
    e.findings[1] = sign_finding(f, REFEREE);
    assert_refused(e, "another answer");
    e = draft_of_three_answers();
    receipt r = make_answer(REFEREE, 2);
    r.prompt_hash[0] ^= 1;
    e.answers[1] = sign_answer(r, REFEREE);
    assert_refused(e, "answer 2 of the evidence is about another question");
}

static void test_a_profile_that_is_not_exact_proves_nothing(void **state) {
    (void)state;
    evidence e = draft_of_wrong_answer();
    receipt r = make_answer(WORKER, 1);
    snprintf(r.engine_profile, sizeof r.engine_profile, "vendor");
    e.receipt = sign_answer(r, WORKER);
    assert_refused(e, "isn't exact");
}

/* Where an answer ends for want of room depends on the context of who computed it. */
static void test_an_answer_cut_short_by_its_context_convicts_nobody(void **state) {
    (void)state;
    evidence e = draft_of_wrong_answer();
    receipt r = make_answer(WORKER, 1);
    r.finish = RECEIPT_FINISH_LENGTH;
    e.receipt = sign_answer(r, WORKER);
    for (size_t i = 0; i < 2; i++) {
        finding f = make_finding(VERIFIER + i, true, 1);
        f.complete = false;
        e.findings[i] = sign_finding(f, VERIFIER + i);
    }
    assert_refused(e, "contradict");
    e.receipt = sign_answer(make_answer(WORKER, 1), WORKER); /* it said that it ended by itself */
    e = made(e);
    e = draft_of_three_answers();
    r.completion_tokens--;
    r.commitment[0] ^= 1;
    e.receipt = sign_answer(r, WORKER);
    assert_refused(e, "contradict");
    r.completion_tokens += 2; /* longer than the whole answer */
    e.receipt = sign_answer(r, WORKER);
    e = made(e);
}

/* Right to the last token, and billed too high. */
static void test_a_false_length_of_the_prompt_convicts(void **state) {
    (void)state;
    evidence e = draft_of_wrong_answer();
    receipt r = make_answer(WORKER, 1);
    r.prompt_tokens++;
    e.receipt = sign_answer(r, WORKER);
    for (size_t i = 0; i < 2; i++) {
        e.findings[i] = found(VERIFIER + i, true, 1);
    }
    e = made(e);
    finding f = make_finding(VERIFIER, true, 1); /* the two witnesses don't agree */
    f.prompt_tokens += 2;
    e = draft_of_wrong_answer();
    e.receipt = sign_answer(r, WORKER);
    e.findings[0] = sign_finding(f, VERIFIER);
    e.findings[1] = found(REFEREE, true, 1);
    assert_refused(e, "contradict");
    e.receipt = sign_answer(make_answer(WORKER, 1), WORKER); /* the verifier alone is wrong */
    name_worker(VERIFIER, e.convicted);
    e = made(e);
}

static void flip_all(evidence *e, uint8_t *bytes, size_t length) {
    error err;
    for (size_t bit = 0; bit < 8 * length; bit += 3) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(evidence_verify(e, pool_id, NULL, &err));
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void flip_receipt(evidence *e, signed_receipt *s) {
    flip_all(e, s->bytes, s->length);
    flip_all(e, s->worker_key, sizeof s->worker_key);
    flip_all(e, s->worker_signature, sizeof s->worker_signature);
    flip_all(e, s->pool_key, sizeof s->pool_key);
    flip_all(e, s->pool_signature, sizeof s->pool_signature);
}

static void test_anything_flipped_fails_verification(void **state) {
    (void)state;
    error err;
    evidence e = draft_of_wrong_answer();
    e.answer_count = 1;
    e.answers[0] = sign_answer(make_answer(SECOND_REFEREE, 2), SECOND_REFEREE);
    e = made(e);
    flip_receipt(&e, &e.receipt);
    flip_receipt(&e, &e.answers[0]);
    for (size_t i = 0; i < 2; i++) {
        flip_all(&e, e.findings[i].bytes, e.findings[i].length);
        flip_all(&e, e.findings[i].worker_key, sizeof e.findings[i].worker_key);
        flip_all(&e, e.findings[i].worker_signature, sizeof e.findings[i].worker_signature);
    }
    flip_all(&e, e.pool_key, sizeof e.pool_key);
    flip_all(&e, e.pool_signature, sizeof e.pool_signature);
    flip_all(&e, e.pool_id, sizeof e.pool_id);
    flip_all(&e, e.convicted, sizeof e.convicted);
    flip_all(&e, (uint8_t *)&e.made_ms, sizeof e.made_ms);
    flip_all(&e, (uint8_t *)&e.version, sizeof e.version);
    assert_true(evidence_verify(&e, pool_id, NULL, &err));
}

static void test_statements_that_are_swapped_added_or_left_out_fail_verification(void **state) {
    (void)state;
    error err;
    const evidence good = made(draft_of_wrong_answer());
    evidence e = good;
    e.findings[0] = good.findings[1];
    e.findings[1] = good.findings[0];
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
    assert_non_null(strstr(err.text, "signature does not match the evidence"));
    e = good;
    e.findings[e.finding_count++] = found(SECOND_REFEREE, false, 2);
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
    e = good;
    e.finding_count--;
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
    e = good;
    e.findings[1] = found(SECOND_REFEREE, false, 2);
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
    e = good;
    e.finding_count = EVIDENCE_FINDINGS_MAX + 1;
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
    assert_false(evidence_make(&e, pool, NULL, &err));
    e = good;
    e.receipt.length = SIZE_MAX;
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
    e = good;
    e.findings[0].length = SIZE_MAX;
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
}

static void test_another_pool_convicts_nobody_here(void **state) {
    (void)state;
    error err;
    uint8_t other[HASH_SIZE] = {1};
    evidence e = made(draft_of_wrong_answer());
    assert_false(evidence_verify(&e, other, NULL, &err));
    assert_non_null(strstr(err.text, "another pool"));
    e = draft_of_wrong_answer();
    assert_false(evidence_make(&e, parties[WORKER], NULL, &err));
}

static void test_evidence_of_a_later_key_needs_the_keys_that_lead_to_it(void **state) {
    (void)state;
    error err;
    const uint8_t seed[SIGN_SEED_SIZE] = {77};
    sign_key *next = sign_key_from_seed(seed, &err);
    evidence e = draft_of_wrong_answer();
    succession keys;
    assert_true(succession_begin(sign_key_public(pool), &keys, &err));
    succession first = keys;
    assert_true(succession_append(&keys, pool, next, e.made_ms, &err));
    assert_true(evidence_make(&e, next, &keys, &err));
    assert_true(evidence_verify(&e, pool_id, &keys, &err));
    assert_false(evidence_verify(&e, pool_id, &first, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    assert_false(evidence_verify(&e, pool_id, NULL, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    e.pool_signature[5] ^= 1;
    assert_false(evidence_verify(&e, pool_id, &keys, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    sign_key_free(next);
}

/* `from` once in the text becomes `to`. */
static buffer replaced(const buffer *text, const char *from, const char *to) {
    size_t at = slice_find_slice(buffer_slice(text), slice_of_text(from));
    assert_true(at != SIZE_MAX);
    buffer out = buffer_make(2 * EVIDENCE_JSON_LIMIT);
    buffer_append(&out, slice_part(buffer_slice(text), 0, at));
    buffer_append_text(&out, to);
    buffer_append(&out, slice_after(buffer_slice(text), at + strlen(from)));
    return out;
}

static void test_reading_is_strict(void **state) {
    (void)state;
    error err;
    evidence back;
    evidence e = made(draft_of_wrong_answer());
    buffer text = to_json(&e);
    static const char *const changes[][2] = {
        {"cellule.evidence", "cellule.receipt"},
        {"cellule.finding", "cellule.receipt"},
        {"cellule.receipt", "cellule.finding"},
        {"\"version\":1", "\"version\":2"},
        {"\"convicted\":\"", "\"convicted\":\"00"},
        {"\"pool\":\"", "\"pool\":\"z"},
        {"\"made_ms\":1", "\"made_ms\":-1"},
        {"\"made_ms\":1800000009000", "\"made_ms\":9007199254740993"},
        {"\"receipt\":{", "\"other\":{"},
        {"\"answers\":[]", "\"answers\":{}"},
        {"\"answers\":[]", "\"answers\":[1]"},
        {"\"findings\":", "\"finds\":"},
        {"\"findings\":[", "\"findings\":[1,2,3,"},
        {"\"findings\":[", "\"findings\":[null,"},
        {"\"salt\":\"A", "\"salt\":\"B"},
        {"\"agreed\":17", "\"agreed\":16"},
        {"\"temperature\":0.7", "\"temperature\":0.8"},
        {"\"worker_signature\":\"", "\"worker_signature\":\"A"},
        {"\"pool_signature\":\"", "\"pool_signature\":\"A"},
        {"\"object\"", "\"made_ms\":1,\"object\""},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        buffer changed = replaced(&text, changes[i][0], changes[i][1]);
        assert_false(evidence_read_json(buffer_slice(&changed), &back, &err));
        assert_int_equal(back.finding_count, 0);
        buffer_free(&changed);
    }
    buffer_free(&text);
}

static void test_what_is_cut_off_is_refused(void **state) {
    (void)state;
    error err;
    evidence back;
    evidence e = made(draft_of_wrong_answer());
    buffer text = to_json(&e);
    slice whole = buffer_slice(&text);
    for (size_t length = 0; length < whole.length; length += 7) {
        assert_false(evidence_read_json(slice_part(whole, 0, length), &back, &err));
    }
    buffer_free(&text);
}

static void test_the_longest_evidence_fits(void **state) {
    (void)state;
    error err;
    evidence e = made(draft_of_three_answers());
    evidence back;
    e.answer_count = EVIDENCE_ANSWERS_MAX;
    e.finding_count = EVIDENCE_FINDINGS_MAX;
    receipt r = make_answer(WORKER, 1);
    finding f = make_finding(WORKER, false, 1);
    memset(r.engine_profile, '"', RECEIPT_PROFILE_LIMIT);
    memset(f.engine_profile, '"', RECEIPT_PROFILE_LIMIT);
    e.receipt = sign_answer(r, WORKER);
    e.version = EVIDENCE_VERSION_DECIDED;
    memset(e.reason, 1, EVIDENCE_REASON_MAX);
    for (size_t i = 0; i < EVIDENCE_ANSWERS_MAX; i++) {
        e.answers[i] = e.receipt;
    }
    for (size_t i = 0; i < EVIDENCE_FINDINGS_MAX; i++) {
        e.findings[i] = sign_finding(f, WORKER);
    }
    buffer text = to_json(&e);
    assert_true(evidence_read_json(buffer_slice(&text), &back, &err));
    buffer_free(&text);
}

static void test_each_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    evidence draft = draft_of_wrong_answer();
    draft.answer_count = 1;
    draft.answers[0] = sign_answer(make_answer(SECOND_REFEREE, 2), SECOND_REFEREE);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        evidence e = draft;
        evidence back;
        buffer text = buffer_make(EVIDENCE_JSON_LIMIT);
        fault_fail_nth(nth);
        bool good = evidence_make(&e, pool, NULL, &err) && evidence_write_json(&e, &text, &err) &&
                    evidence_read_json(buffer_slice(&text), &back, &err) &&
                    evidence_verify(&back, pool_id, NULL, &err);
        reached = fault_stop();
        assert_true(good || (reached && (err.code == ERROR_MEMORY || err.code == ERROR_INTERNAL)));
        buffer_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wrong_answer_convicts_its_worker),
        cmocka_unit_test(test_a_wrong_finding_convicts_its_verifier),
        cmocka_unit_test(test_the_one_of_three_answers_that_differs_convicts_its_worker),
        cmocka_unit_test(test_any_of_three_answers_may_be_the_wrong_one),
        cmocka_unit_test(test_the_two_that_agree_may_both_be_referees),
        cmocka_unit_test(test_a_human_s_decision_says_so_and_convicts_either_of_two),
        cmocka_unit_test(test_no_human_convicts_who_is_not_contradicted),
        cmocka_unit_test(test_no_salt_is_in_it),
        cmocka_unit_test(test_who_is_not_contradicted_is_not_convicted),
        cmocka_unit_test(test_two_that_contradict_each_other_convict_nobody),
        cmocka_unit_test(test_two_that_differ_in_how_it_ended_are_no_two_witnesses),
        cmocka_unit_test(test_both_of_two_witnesses_must_contradict),
        cmocka_unit_test(test_one_worker_is_not_two_witnesses),
        cmocka_unit_test(test_all_must_be_about_one_question),
        cmocka_unit_test(test_a_profile_that_is_not_exact_proves_nothing),
        cmocka_unit_test(test_an_answer_cut_short_by_its_context_convicts_nobody),
        cmocka_unit_test(test_a_false_length_of_the_prompt_convicts),
        cmocka_unit_test(test_anything_flipped_fails_verification),
        cmocka_unit_test(test_statements_that_are_swapped_added_or_left_out_fail_verification),
        cmocka_unit_test(test_another_pool_convicts_nobody_here),
        cmocka_unit_test(test_evidence_of_a_later_key_needs_the_keys_that_lead_to_it),
        cmocka_unit_test(test_reading_is_strict),
        cmocka_unit_test(test_what_is_cut_off_is_refused),
        cmocka_unit_test(test_the_longest_evidence_fits),
        cmocka_unit_test(test_each_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
