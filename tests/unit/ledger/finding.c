#include "ledger/finding.h"

#include "codec/json.h"
#include "crypto/start.h"

#include "unit.h"

#include <math.h>
#include <stdlib.h>

static sign_key *worker;
static sign_key *other;

static int start(void **state) {
    (void)state;
    error err;
    uint8_t seed[SIGN_SEED_SIZE] = {1};
    json_start(1);
    if (!crypto_start(&err)) {
        return -1;
    }
    worker = sign_key_from_seed(seed, &err);
    seed[0] = 2;
    other = sign_key_from_seed(seed, &err);
    return worker != NULL && other != NULL ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    sign_key_free(worker);
    sign_key_free(other);
    crypto_stop();
    return 0;
}

static finding make_fields(void) {
    error err;
    finding f = {.version = FINDING_VERSION,
                 .engine_profile = "exact-2",
                 .temperature = 0.7F,
                 .top_p = 0.95F,
                 .max_tokens = 256,
                 .seed = UINT64_MAX - 1,
                 .claimed_tokens = 34,
                 .prompt_tokens = 12,
                 .agreed = 17,
                 .has_expected = true,
                 .expected = 4711,
                 .started_ms = 1800000000000,
                 .finished_ms = 1800000000090};
    memset(f.pool_id, 0x01, sizeof f.pool_id);
    memset(f.check_id, 0x11, sizeof f.check_id);
    memset(f.model_digest, 0x22, sizeof f.model_digest);
    memset(f.prompt_hash, 0x33, sizeof f.prompt_hash);
    memset(f.stop_hash, 0x55, sizeof f.stop_hash);
    memset(f.token_hash, 0x66, sizeof f.token_hash);
    memset(f.commitment, 0x77, sizeof f.commitment);
    assert_true(receipt_worker_id(sign_key_public(worker), f.worker_id, &err));
    return f;
}

static signed_finding make_signed(void) {
    error err;
    signed_finding s = {.fields = make_fields()};
    assert_true(finding_sign_worker(&s, worker, &err));
    return s;
}

/* The receipt that make_fields is about. */
static receipt make_receipt(void) {
    finding f = make_fields();
    receipt r = {.version = RECEIPT_VERSION,
                 .temperature = f.temperature,
                 .top_p = f.top_p,
                 .max_tokens = f.max_tokens,
                 .seed = f.seed,
                 .completion_tokens = f.claimed_tokens,
                 .finish = RECEIPT_FINISH_STOP};
    memcpy(r.pool_id, f.pool_id, sizeof r.pool_id);
    memcpy(r.model_digest, f.model_digest, sizeof r.model_digest);
    memcpy(r.engine_profile, f.engine_profile, sizeof r.engine_profile);
    memcpy(r.prompt_hash, f.prompt_hash, sizeof r.prompt_hash);
    memcpy(r.stop_hash, f.stop_hash, sizeof r.stop_hash);
    memcpy(r.token_hash, f.token_hash, sizeof r.token_hash);
    return r;
}

static void test_what_is_encoded_is_decoded_field_by_field(void **state) {
    (void)state;
    error err;
    finding f = make_fields();
    finding back;
    buffer out = buffer_make(FINDING_ENCODED_LIMIT);
    assert_true(finding_encode(&f, &out, &err));
    assert_true(finding_decode(buffer_slice(&out), &back, &err));
    assert_memory_equal(back.pool_id, f.pool_id, sizeof f.pool_id);
    assert_memory_equal(back.check_id, f.check_id, sizeof f.check_id);
    assert_memory_equal(back.worker_id, f.worker_id, sizeof f.worker_id);
    assert_memory_equal(back.model_digest, f.model_digest, sizeof f.model_digest);
    assert_string_equal(back.engine_profile, "exact-2");
    assert_memory_equal(back.prompt_hash, f.prompt_hash, sizeof f.prompt_hash);
    assert_true(back.temperature == 0.7F && back.top_p == 0.95F);
    assert_int_equal(back.max_tokens, 256);
    assert_memory_equal(back.stop_hash, f.stop_hash, sizeof f.stop_hash);
    assert_true(back.seed == UINT64_MAX - 1);
    assert_memory_equal(back.token_hash, f.token_hash, sizeof f.token_hash);
    assert_int_equal(back.claimed_tokens, 34);
    assert_int_equal(back.prompt_tokens, 12);
    assert_int_equal(back.agreed, 17);
    assert_false(back.complete);
    assert_true(back.has_expected);
    assert_int_equal(back.expected, 4711);
    assert_memory_equal(back.commitment, f.commitment, sizeof f.commitment);
    assert_int_equal(back.started_ms, f.started_ms);
    assert_int_equal(back.finished_ms, f.finished_ms);
    buffer_free(&out);
}

static void test_the_longest_finding_fits_the_limits(void **state) {
    (void)state;
    error err;
    signed_finding s = {.fields = make_fields()};
    signed_finding back;
    finding *f = &s.fields;
    memset(f->engine_profile, 'p', RECEIPT_PROFILE_LIMIT);
    f->max_tokens = f->claimed_tokens = f->prompt_tokens = UINT32_MAX;
    f->agreed = UINT32_MAX - 1;
    f->expected = FINDING_TOKEN_MAX;
    f->temperature = f->top_p = 0x1.fffffep-127F; /* many digits */
    f->started_ms = f->finished_ms = UINT64_C(1) << 53;
    buffer text = buffer_make(FINDING_JSON_LIMIT);
    assert_true(finding_sign_worker(&s, worker, &err));
    assert_true(finding_write_json(&s, &text, &err));
    assert_true(finding_read_json(buffer_slice(&text), &back, &err));
    assert_true(finding_verify_worker(&back, &err));
    assert_string_equal(back.fields.engine_profile, f->engine_profile);
    buffer_free(&text);
}

static void assert_encodes(finding f, bool wanted) {
    error err;
    buffer out = buffer_make(FINDING_ENCODED_LIMIT);
    assert_int_equal(finding_encode(&f, &out, &err), wanted);
    assert_int_equal(buffer_length(&out) > 0, wanted);
    buffer_free(&out);
}

static void test_values_out_of_range_are_not_encoded(void **state) {
    (void)state;
    finding good = make_fields();
    finding bad[9];
    for (size_t i = 0; i < 9; i++) {
        bad[i] = good;
    }
    bad[0].version = 2;
    bad[1].engine_profile[0] = '\0';
    bad[2].engine_profile[1] = '\n';
    memset(bad[3].engine_profile, 'p', sizeof bad[3].engine_profile);
    bad[4].temperature = NAN;
    bad[5].temperature = -1;
    bad[6].top_p = 1.5F;
    bad[7].started_ms = (UINT64_C(1) << 53) + 1;
    bad[8].finished_ms = UINT64_MAX;
    for (size_t i = 0; i < 9; i++) {
        assert_encodes(bad[i], false);
    }
    assert_encodes(good, true);
}

/* agreed of 34 claimed, complete, an expected token: what can be true together. */
static void test_a_result_that_contradicts_itself_is_not_encoded(void **state) {
    (void)state;
    static const struct {
        uint32_t agreed;
        bool complete;
        bool has_expected;
        uint32_t expected;
        bool good;
    } cases[] = {
        {0, false, true, 0, true},    {17, false, true, FINDING_TOKEN_MAX, true},
        {17, false, false, 0, true},  {34, false, false, 0, true},
        {34, true, false, 0, true},   {35, false, false, 0, false},
        {35, true, false, 0, false},  {33, true, false, 0, false},
        {34, true, true, 5, false},   {34, false, true, 5, false},
        {17, false, false, 5, false}, {17, false, true, FINDING_TOKEN_MAX + 1U, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        finding f = make_fields();
        f.agreed = cases[i].agreed;
        f.complete = cases[i].complete;
        f.has_expected = cases[i].has_expected;
        f.expected = cases[i].expected;
        assert_encodes(f, cases[i].good);
    }
}

static void test_truncated_and_oversized_findings_are_refused(void **state) {
    (void)state;
    error err;
    signed_finding s = make_signed();
    size_t whole = s.length;
    finding f;
    uint8_t longer[FINDING_ENCODED_LIMIT] = {0};
    memcpy(longer, s.bytes, whole);
    for (size_t length = 0; length <= sizeof longer; length++) {
        assert_int_equal(finding_decode(slice_of(longer, length), &f, &err), length == whole);
        assert_int_equal(f.version, length == whole ? FINDING_VERSION : 0);
    }
    for (size_t length = 0; length < whole; length++) {
        s.length = length;
        assert_false(finding_verify_worker(&s, &err));
    }
    s.length = FINDING_ENCODED_LIMIT + 1;
    assert_false(finding_verify_worker(&s, &err));
    s.length = SIZE_MAX;
    assert_false(finding_verify_worker(&s, &err));
}

static void flip_all(uint8_t *bytes, size_t length, signed_finding *s) {
    error err;
    for (size_t bit = 0; bit < 8 * length; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(finding_verify_worker(s, &err));
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void test_any_flipped_bit_of_what_is_signed_fails_verification(void **state) {
    (void)state;
    error err;
    signed_finding s = make_signed();
    assert_true(finding_verify_worker(&s, &err));
    flip_all(s.bytes, s.length, &s);
    flip_all(s.worker_key, sizeof s.worker_key, &s);
    flip_all(s.worker_signature, sizeof s.worker_signature, &s);
    assert_true(finding_verify_worker(&s, &err));
}

static void test_a_finding_is_of_the_worker_that_signed_it(void **state) {
    (void)state;
    error err;
    signed_finding s = {.fields = make_fields()};
    assert_false(finding_sign_worker(&s, other, &err));
    assert_int_equal(s.length, 0);
    s = make_signed();
    memcpy(s.worker_key, sign_key_public(other), sizeof s.worker_key);
    assert_false(finding_verify_worker(&s, &err));
    assert_non_null(strstr(err.text, "worker named"));
}

/* A worker's signature over its receipt says nothing as a finding, and the other way round. */
static void test_receipts_and_findings_are_not_taken_for_one_another(void **state) {
    (void)state;
    error err;
    finding f;
    receipt r = make_receipt();
    receipt back;
    signed_finding s = make_signed();
    buffer out = buffer_make(RECEIPT_ENCODED_LIMIT);
    assert_true(receipt_encode(&r, &out, &err));
    assert_false(finding_decode(buffer_slice(&out), &f, &err));
    assert_false(receipt_decode(slice_of(s.bytes, s.length), &back, &err));
    buffer_free(&out);
}

static void test_a_finding_is_about_the_receipt_with_the_same_computation(void **state) {
    (void)state;
    finding f = make_fields();
    receipt good = make_receipt();
    assert_true(finding_is_about(&f, &good));
    receipt r = good; /* what says how it came out, or by whom, doesn't matter */
    memset(r.commitment, 0x99, sizeof r.commitment);
    memset(r.job_id, 0x99, sizeof r.job_id);
    memset(r.worker_id, 0x99, sizeof r.worker_id);
    memset(r.answer_hash, 0x99, sizeof r.answer_hash);
    r.prompt_tokens++;
    r.started_ms++;
    assert_true(finding_is_about(&f, &r));
    receipt swapped[12];
    for (size_t i = 0; i < 12; i++) {
        swapped[i] = good;
    }
    swapped[0].pool_id[31] ^= 1;
    swapped[1].model_digest[0] ^= 1;
    swapped[2].engine_profile[0] = 'E';
    swapped[3].prompt_hash[16] ^= 1;
    swapped[4].temperature = 0.8F;
    swapped[5].top_p = 1;
    swapped[6].max_tokens++;
    swapped[7].stop_hash[1] ^= 1;
    swapped[8].seed++;
    memcpy(swapped[9].token_hash, good.prompt_hash, HASH_SIZE);
    memcpy(swapped[9].prompt_hash, good.token_hash, HASH_SIZE);
    swapped[10].completion_tokens--;
    swapped[11].temperature = -0.7F;
    for (size_t i = 0; i < 12; i++) {
        assert_false(finding_is_about(&f, &swapped[i]));
    }
    f.temperature = 0;
    good.temperature = -0.0F; /* signed as other bits */
    assert_false(finding_is_about(&f, &good));
}

static buffer to_json(const signed_finding *s) {
    error err;
    buffer out = buffer_make(FINDING_JSON_LIMIT);
    assert_true(finding_write_json(s, &out, &err));
    return out;
}

static void test_json_goes_both_ways_and_still_verifies(void **state) {
    (void)state;
    error err;
    signed_finding s = make_signed();
    signed_finding back;
    buffer text = to_json(&s);
    assert_true(slice_find_slice(buffer_slice(&text), SLICE_LITERAL("\"agreed\":17,\"complete\":false,"
                                                                    "\"expected\":4711")) != SIZE_MAX);
    assert_true(finding_read_json(buffer_slice(&text), &back, &err));
    assert_int_equal(back.length, s.length);
    assert_memory_equal(back.bytes, s.bytes, s.length);
    assert_true(finding_verify_worker(&back, &err));
    assert_int_equal(back.fields.expected, 4711);
    buffer_free(&text);
}

/* `from` once in the text becomes `to`. */
static buffer replaced(const buffer *text, const char *from, const char *to) {
    size_t at = slice_find_slice(buffer_slice(text), slice_of_text(from));
    assert_true(at != SIZE_MAX);
    buffer out = buffer_make(2 * FINDING_JSON_LIMIT);
    buffer_append(&out, slice_part(buffer_slice(text), 0, at));
    buffer_append_text(&out, to);
    buffer_append(&out, slice_after(buffer_slice(text), at + strlen(from)));
    return out;
}

static void assert_refused_with(const buffer *text, const char *from, const char *to, error_code code) {
    error err = {0};
    signed_finding back;
    buffer changed = replaced(text, from, to);
    assert_false(finding_read_json(buffer_slice(&changed), &back, &err));
    assert_int_equal(err.code, code);
    assert_int_equal(back.length, 0);
    buffer_free(&changed);
}

static void test_json_that_lies_or_lacks_something_is_refused(void **state) {
    (void)state;
    static const char *const lies[][2] = {
        {"\"version\":1", "\"version\":2"},
        {"\"agreed\":17", "\"agreed\":34"},
        {"\"complete\":false", "\"complete\":true"},
        {",\"expected\":4711", ""},
        {"\"expected\":4711", "\"expected\":4712"},
        {"\"check\":\"11", "\"check\":\"12"},
        {"\"seed\":\"1", "\"seed\":\"2"},
        {"\"agreed\":17", "\"agreed\":17,\"verified\":true"},
    };
    static const char *const gaps[][2] = {
        {"\"worker_signature\"", "\"x\""},
        {"\"worker_key\"", "\"x\""},
        {"\"finding\"", "\"x\""},
        {"cellule.finding", "cellule.receipt"},
        {"\"finding\":\"", "\"finding\":\"="},
    };
    signed_finding s = make_signed();
    buffer text = to_json(&s);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        assert_refused_with(&text, lies[i][0], lies[i][1], ERROR_CORRUPT);
    }
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        assert_refused_with(&text, gaps[i][0], gaps[i][1], ERROR_INVALID);
    }
    static char padding[FINDING_JSON_LIMIT + 32];
    snprintf(padding, sizeof padding, "{\"x\":\"%*s\",", FINDING_JSON_LIMIT, "");
    assert_refused_with(&text, "{", padding, ERROR_LIMIT);
    buffer_free(&text);
}

static void test_each_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        signed_finding s = {.fields = make_fields()};
        signed_finding back;
        uint8_t salt[RECEIPT_SALT_SIZE] = {0};
        uint8_t nonce[HASH_SIZE];
        buffer text = buffer_make(FINDING_JSON_LIMIT);
        fault_fail_nth(nth);
        bool good = receipt_nonce(salt, nonce, &err) && finding_sign_worker(&s, worker, &err) &&
                    finding_write_json(&s, &text, &err) &&
                    finding_read_json(buffer_slice(&text), &back, &err) && finding_verify_worker(&back, &err);
        reached = fault_stop();
        assert_true(good || (reached && (err.code == ERROR_MEMORY || err.code == ERROR_INTERNAL)));
        buffer_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_encoded_is_decoded_field_by_field),
        cmocka_unit_test(test_the_longest_finding_fits_the_limits),
        cmocka_unit_test(test_values_out_of_range_are_not_encoded),
        cmocka_unit_test(test_a_result_that_contradicts_itself_is_not_encoded),
        cmocka_unit_test(test_truncated_and_oversized_findings_are_refused),
        cmocka_unit_test(test_any_flipped_bit_of_what_is_signed_fails_verification),
        cmocka_unit_test(test_a_finding_is_of_the_worker_that_signed_it),
        cmocka_unit_test(test_receipts_and_findings_are_not_taken_for_one_another),
        cmocka_unit_test(test_a_finding_is_about_the_receipt_with_the_same_computation),
        cmocka_unit_test(test_json_goes_both_ways_and_still_verifies),
        cmocka_unit_test(test_json_that_lies_or_lacks_something_is_refused),
        cmocka_unit_test(test_each_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
