#include "ledger/receipt.h"

#include "codec/envelope.h"
#include "codec/json.h"
#include "crypto/start.h"

#include "unit.h"

#include <math.h>
#include <stdlib.h>

static sign_key *worker;
static sign_key *pool;
static uint8_t pool_id[HASH_SIZE];

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
    pool = sign_key_from_seed(seed, &err);
    return worker != NULL && pool != NULL && receipt_pool_id(sign_key_public(pool), pool_id, &err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    sign_key_free(worker);
    sign_key_free(pool);
    crypto_stop();
    return 0;
}

static receipt make_fields(void) {
    error err;
    receipt r = {.version = RECEIPT_VERSION,
                 .engine_profile = "exact-v1",
                 .temperature = 0.7F,
                 .top_p = 0.95F,
                 .max_tokens = 256,
                 .seed = UINT64_MAX - 1,
                 .prompt_tokens = 12,
                 .completion_tokens = 34,
                 .finish = RECEIPT_FINISH_LENGTH,
                 .started_ms = 1800000000000,
                 .finished_ms = 1800000001500};
    memset(r.job_id, 0x11, sizeof r.job_id);
    memset(r.model_digest, 0x22, sizeof r.model_digest);
    memset(r.prompt_hash, 0x33, sizeof r.prompt_hash);
    memset(r.answer_hash, 0x44, sizeof r.answer_hash);
    memset(r.stop_hash, 0x55, sizeof r.stop_hash);
    memset(r.token_hash, 0x66, sizeof r.token_hash);
    memset(r.commitment, 0x77, sizeof r.commitment);
    memcpy(r.pool_id, pool_id, sizeof r.pool_id);
    assert_true(receipt_worker_id(sign_key_public(worker), r.worker_id, &err));
    return r;
}

static signed_receipt make_signed(void) {
    error err;
    signed_receipt s = {.fields = make_fields()};
    memset(s.salt, 0x88, sizeof s.salt);
    assert_true(receipt_sign_worker(&s, worker, &err));
    assert_true(receipt_countersign(&s, pool, NULL, &err));
    return s;
}

/* The pool's key is exchanged for `next` `after_ms` after the answer's end. */
static succession exchanged(const sign_key *next, int64_t after_ms) {
    error err;
    succession keys;
    assert_true(succession_begin(sign_key_public(pool), &keys, &err));
    assert_true(succession_append(&keys, pool, next,
                                  (uint64_t)((int64_t)make_fields().finished_ms + after_ms), &err));
    return keys;
}

static void test_a_key_that_succeeded_signs_and_the_one_before_only_what_ended_before(void **state) {
    error err;
    const uint8_t seed[SIGN_SEED_SIZE] = {7};
    sign_key *next = sign_key_from_seed(seed, &err);
    const succession before = exchanged(next, -2 * SUCCESSION_LEEWAY_MS);
    const succession after = exchanged(next, 0);
    signed_receipt old = make_signed();
    signed_receipt s = make_signed();
    (void)state;
    assert_true(receipt_countersign(&s, next, &after, &err));
    assert_true(receipt_verify(&s, pool_id, &after, &err)); /* signed late: by the key of now */
    assert_true(receipt_verify(&s, pool_id, &before, &err));
    assert_false(receipt_verify(&s, pool_id, NULL, &err)); /* nothing leads to that key */
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    s.pool_signature[5] ^= 1; /* but whoever's it is, it hasn't signed this */
    assert_false(receipt_verify(&s, pool_id, NULL, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    s.pool_signature[5] ^= 1;
    assert_true(receipt_verify(&old, pool_id, &after, &err));
    assert_true(receipt_verify(&old, pool_id, NULL, &err));
    assert_false(receipt_verify(&old, pool_id, &before, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_false(receipt_countersign(&old, worker, &after, &err)); /* never the pool's */
    succession others;
    assert_true(succession_begin(sign_key_public(next), &others, &err));
    assert_false(receipt_countersign(&s, next, &others, &err)); /* of another pool by its id */
    assert_true(receipt_countersign(&s, next, &after, &err));
    assert_false(receipt_verify(&s, pool_id, &others, &err));
    sign_key_free(next);
}

static void assert_same_fields(const receipt *a, const receipt *b) {
    error err;
    buffer one = buffer_make(RECEIPT_ENCODED_LIMIT);
    buffer two = buffer_make(RECEIPT_ENCODED_LIMIT);
    assert_true(receipt_encode(a, &one, &err));
    assert_true(receipt_encode(b, &two, &err));
    assert_true(slice_equal(buffer_slice(&one), buffer_slice(&two)));
    buffer_free(&one);
    buffer_free(&two);
}

static void test_what_is_encoded_is_decoded_field_by_field(void **state) {
    (void)state;
    error err;
    receipt r = make_fields();
    receipt back;
    buffer out = buffer_make(RECEIPT_ENCODED_LIMIT);
    assert_true(receipt_encode(&r, &out, &err));
    assert_true(receipt_decode(buffer_slice(&out), &back, &err));
    assert_memory_equal(back.pool_id, r.pool_id, sizeof r.pool_id);
    assert_memory_equal(back.job_id, r.job_id, sizeof r.job_id);
    assert_memory_equal(back.worker_id, r.worker_id, sizeof r.worker_id);
    assert_memory_equal(back.model_digest, r.model_digest, sizeof r.model_digest);
    assert_string_equal(back.engine_profile, "exact-v1");
    assert_memory_equal(back.prompt_hash, r.prompt_hash, sizeof r.prompt_hash);
    assert_memory_equal(back.answer_hash, r.answer_hash, sizeof r.answer_hash);
    assert_true(back.temperature == 0.7F && back.top_p == 0.95F);
    assert_int_equal(back.max_tokens, 256);
    assert_memory_equal(back.stop_hash, r.stop_hash, sizeof r.stop_hash);
    assert_true(back.seed == UINT64_MAX - 1);
    assert_memory_equal(back.token_hash, r.token_hash, sizeof r.token_hash);
    assert_memory_equal(back.commitment, r.commitment, sizeof r.commitment);
    assert_int_equal(back.prompt_tokens, 12);
    assert_int_equal(back.completion_tokens, 34);
    assert_int_equal(back.finish, RECEIPT_FINISH_LENGTH);
    assert_int_equal(back.started_ms, r.started_ms);
    assert_int_equal(back.finished_ms, r.finished_ms);
    buffer_free(&out);
}

static void test_the_longest_profile_fits_the_limit(void **state) {
    (void)state;
    error err;
    receipt r = make_fields();
    memset(r.engine_profile, 'p', RECEIPT_PROFILE_LIMIT);
    buffer out = buffer_make(RECEIPT_ENCODED_LIMIT);
    receipt back;
    assert_true(receipt_encode(&r, &out, &err));
    assert_true(receipt_decode(buffer_slice(&out), &back, &err));
    assert_string_equal(back.engine_profile, r.engine_profile);
    buffer_free(&out);
}

static void test_values_out_of_range_are_not_encoded(void **state) {
    (void)state;
    error err;
    receipt good = make_fields();
    receipt bad[10];
    for (size_t i = 0; i < 10; i++) {
        bad[i] = good;
    }
    bad[0].version = 2;
    bad[1].engine_profile[0] = '\0';
    bad[2].engine_profile[1] = '\n';
    memset(bad[3].engine_profile, 'p', sizeof bad[3].engine_profile);
    bad[4].temperature = NAN;
    bad[5].temperature = -1;
    bad[6].top_p = 1.5F;
    bad[7].top_p = INFINITY;
    bad[8].finish = (receipt_finish)9;
    bad[9].finished_ms = UINT64_MAX;
    for (size_t i = 0; i < 10; i++) {
        buffer out = buffer_make(RECEIPT_ENCODED_LIMIT);
        assert_false(receipt_encode(&bad[i], &out, &err));
        assert_int_equal(buffer_length(&out), 0);
        buffer_free(&out);
    }
}

static void test_truncated_and_oversized_receipts_are_refused(void **state) {
    (void)state;
    error err;
    signed_receipt s = make_signed();
    size_t whole = s.length;
    receipt r;
    uint8_t longer[RECEIPT_ENCODED_LIMIT] = {0};
    memcpy(longer, s.bytes, whole);
    for (size_t length = 0; length <= sizeof longer; length++) {
        assert_int_equal(receipt_decode(slice_of(longer, length), &r, &err), length == whole);
    }
    s.length = RECEIPT_ENCODED_LIMIT + 1;
    assert_false(receipt_verify(&s, pool_id, NULL, &err));
    s.length = SIZE_MAX;
    assert_false(receipt_verify(&s, pool_id, NULL, &err));
}

static void flip_all(uint8_t *bytes, size_t length, signed_receipt *s) {
    error err;
    for (size_t bit = 0; bit < 8 * length; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(receipt_verify(s, pool_id, NULL, &err));
        bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

static void test_any_flipped_bit_of_what_is_signed_fails_verification(void **state) {
    (void)state;
    error err;
    signed_receipt s = make_signed();
    assert_true(receipt_verify(&s, pool_id, NULL, &err));
    flip_all(s.bytes, s.length, &s);
    flip_all(s.worker_key, sizeof s.worker_key, &s);
    flip_all(s.worker_signature, sizeof s.worker_signature, &s);
    flip_all(s.pool_key, sizeof s.pool_key, &s);
    flip_all(s.pool_signature, sizeof s.pool_signature, &s);
    assert_true(receipt_verify(&s, pool_id, NULL, &err));
}

static void test_a_receipt_of_another_pool_or_worker_is_refused(void **state) {
    (void)state;
    error err;
    signed_receipt s = make_signed();
    uint8_t other[HASH_SIZE] = {0};
    assert_false(receipt_verify(&s, other, NULL, &err));
    assert_non_null(strstr(err.text, "another pool"));
    s.fields = make_fields();
    assert_false(receipt_sign_worker(&s, pool, &err));
    s.fields.pool_id[0] ^= 1;
    assert_true(receipt_sign_worker(&s, worker, &err));
    assert_false(receipt_countersign(&s, pool, NULL, &err));
    assert_non_null(strstr(err.text, "pool"));
}

/* A stranger who makes up both keys passes every check but the one against the pool that the user knows. */
static void test_a_made_up_pool_passes_only_under_its_own_id(void **state) {
    (void)state;
    error err;
    sign_key *stranger = sign_key_generate(&err);
    assert_non_null(stranger);
    signed_receipt s = {.fields = make_fields()};
    assert_true(receipt_pool_id(sign_key_public(stranger), s.fields.pool_id, &err));
    assert_true(receipt_sign_worker(&s, worker, &err));
    assert_true(receipt_countersign(&s, stranger, NULL, &err));
    assert_true(receipt_verify(&s, s.fields.pool_id, NULL, &err));
    assert_false(receipt_verify(&s, pool_id, NULL, &err));
    memcpy(s.pool_key, sign_key_public(pool), SIGN_PUBLIC_SIZE);
    assert_false(receipt_verify(&s, pool_id, NULL, &err));
    sign_key_free(stranger);
}

/* A stranger's signature over what the pool signs, as the README says: in place of the pool's it is worth
 * nothing. */
static void test_a_countersignature_of_a_stranger_is_refused(void **state) {
    (void)state;
    error err;
    const sign_key *signers[] = {pool, worker};
    for (size_t i = 0; i < 2; i++) {
        signed_receipt s = make_signed();
        buffer message = buffer_make(2 * RECEIPT_ENCODED_LIMIT);
        envelope_begin(&message, "cellule receipt pool v1");
        envelope_add(&message, slice_of(s.bytes, s.length));
        envelope_add(&message, slice_of(s.worker_signature, sizeof s.worker_signature));
        assert_true(sign_bytes(signers[i], buffer_slice(&message), s.pool_signature, &err));
        memcpy(s.pool_key, sign_key_public(signers[i]), SIGN_PUBLIC_SIZE);
        assert_int_equal(receipt_verify(&s, pool_id, NULL, &err), signers[i] == pool);
        buffer_free(&message);
    }
}

static void test_the_pool_signs_nothing_that_its_worker_has_not_signed(void **state) {
    (void)state;
    error err;
    signed_receipt s = make_signed();
    for (size_t i = 0; i < sizeof s.worker_signature; i++) {
        s.worker_signature[i] ^= 1;
        assert_false(receipt_verify_worker(&s, &err));
        assert_false(receipt_countersign(&s, pool, NULL, &err));
        s.worker_signature[i] ^= 1;
    }
    assert_true(receipt_countersign(&s, pool, NULL, &err));
    /* Another's signature, which holds, under this worker's name. */
    assert_true(sign_bytes(pool, slice_of(s.bytes, s.length), s.worker_signature, &err));
    memcpy(s.worker_key, sign_key_public(pool), SIGN_PUBLIC_SIZE);
    assert_false(receipt_verify_worker(&s, &err));
    assert_false(receipt_countersign(&s, pool, NULL, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
}

static void test_only_an_answer_that_ended_below_its_limit_may_have_been_cut(void **state) {
    (void)state;
    receipt r = make_fields();
    assert_true(receipt_may_have_been_cut(&r));
    r.completion_tokens = r.max_tokens;
    assert_false(receipt_may_have_been_cut(&r));
    r.finish = RECEIPT_FINISH_STOP;
    r.completion_tokens = r.max_tokens - 1;
    assert_false(receipt_may_have_been_cut(&r));
    r.finish = RECEIPT_FINISH_CANCELLED;
    assert_true(receipt_may_have_been_cut(&r));
}

static void test_a_commitment_binds_all_that_can_be_computed_again(void **state) {
    (void)state;
    enum { COUNT = 5 };
    error err;
    uint8_t chain[HASH_SIZE] = {1};
    uint8_t text_hash[HASH_SIZE] = {2};
    uint8_t digests[COUNT][HASH_SIZE];
    assert_true(receipt_commit(chain, text_hash, 3, true, digests[0], &err));
    assert_true(receipt_commit(chain, text_hash, 3, false, digests[1], &err));
    assert_true(receipt_commit(chain, text_hash, 4, true, digests[2], &err));
    text_hash[0] = 3;
    assert_true(receipt_commit(chain, text_hash, 3, true, digests[3], &err));
    text_hash[0] = 2;
    chain[0] = 2;
    assert_true(receipt_commit(chain, text_hash, 3, true, digests[4], &err));
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(digests[i], digests[k], HASH_SIZE);
        }
    }
}

static buffer to_json(const signed_receipt *s) {
    error err;
    buffer out = buffer_make(RECEIPT_JSON_LIMIT);
    assert_true(receipt_write_json(s, &out, &err));
    return out;
}

static void test_json_goes_both_ways_and_still_verifies(void **state) {
    (void)state;
    error err;
    signed_receipt s = make_signed();
    signed_receipt back;
    buffer text = to_json(&s);
    assert_non_null(memmem(text.bytes, text.end, "\"temperature\":0.7,", 18));
    assert_non_null(memmem(text.bytes, text.end, "\"seed\":\"18446744073709551614\"", 29));
    assert_non_null(memmem(text.bytes, text.end, "\"finish_reason\":\"length\"", 24));
    assert_true(receipt_read_json(buffer_slice(&text), &back, &err));
    assert_same_fields(&back.fields, &s.fields);
    assert_memory_equal(back.salt, s.salt, sizeof s.salt);
    assert_true(receipt_verify(&back, pool_id, NULL, &err));
    buffer_free(&text);
}

/* `from` once in the text becomes `to`. */
static buffer replaced(const buffer *text, const char *from, const char *to) {
    size_t at = slice_find_slice(buffer_slice(text), slice_of_text(from));
    assert_true(at != SIZE_MAX);
    buffer out = buffer_make(2 * RECEIPT_JSON_LIMIT);
    buffer_append(&out, slice_part(buffer_slice(text), 0, at));
    buffer_append_text(&out, to);
    buffer_append(&out, slice_after(buffer_slice(text), at + strlen(from)));
    return out;
}

static void test_readable_copies_that_disagree_are_refused(void **state) {
    (void)state;
    error err;
    signed_receipt s = make_signed();
    signed_receipt back;
    buffer text = to_json(&s);
    static const char *const changes[][2] = {
        {"\"version\":1", "\"version\":2"},
        {"\"temperature\":0.7", "\"temperature\":0.8"},
        {"\"seed\":\"1", "\"seed\":\"2"},
        {"\"engine_profile\":\"exact-v1\"", "\"engine_profile\":\"other\""},
        {"\"finish_reason\":\"length\"", "\"finish_reason\":\"stop\""},
        {"\"job\":\"11", "\"job\":\"12"},
        {"\"completion_tokens\":34,", ""},
        {"\"completion_tokens\":34,", "\"completion_tokens\":34,\"verified\":true,"},
        {"\"max_tokens\":256", "\"max_tokens\":\"256\""},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        buffer changed = replaced(&text, changes[i][0], changes[i][1]);
        assert_false(receipt_read_json(buffer_slice(&changed), &back, &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        assert_int_equal(back.length, 0);
        buffer_free(&changed);
    }
    buffer_free(&text);
}

static void test_a_receipt_without_copies_is_read_and_one_without_a_signature_is_not(void **state) {
    (void)state;
    error err;
    signed_receipt s = make_signed();
    signed_receipt back;
    buffer text = to_json(&s);
    size_t at = slice_find_slice(buffer_slice(&text), SLICE_LITERAL(",\"fields\""));
    buffer bare = buffer_make(RECEIPT_JSON_LIMIT);
    buffer_append(&bare, slice_part(buffer_slice(&text), 0, at));
    buffer_append_text(&bare, "}");
    assert_true(receipt_read_json(buffer_slice(&bare), &back, &err));
    assert_true(receipt_verify(&back, pool_id, NULL, &err));
    static const char *const changes[][2] = {{"\"worker_signature\"", "\"x\""},
                                             {"\"pool_signature\"", "\"x\""},
                                             {"\"pool_key\"", "\"x\""},
                                             {"\"worker_key\"", "\"x\""},
                                             {"\"salt\"", "\"x\""},
                                             {"\"receipt\"", "\"x\""},
                                             {"cellule.receipt", "other"},
                                             {"\"salt\":\"", "\"salt\":\"AAAA"}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        buffer changed = replaced(&bare, changes[i][0], changes[i][1]);
        assert_false(receipt_read_json(buffer_slice(&changed), &back, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        buffer_free(&changed);
    }
    buffer_free(&bare);
    buffer_free(&text);
}

static void test_an_oversized_json_receipt_is_refused(void **state) {
    (void)state;
    error err;
    signed_receipt s = make_signed();
    buffer text = to_json(&s);
    static char padding[RECEIPT_JSON_LIMIT + 32];
    snprintf(padding, sizeof padding, "{\"x\":\"%*s\",", RECEIPT_JSON_LIMIT, "");
    buffer changed = replaced(&text, "{", padding);
    assert_false(receipt_read_json(buffer_slice(&changed), &s, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    buffer_free(&changed);
    buffer_free(&text);
}

static void test_hashes_bind_salt_roles_and_borders(void **state) {
    (void)state;
    error err;
    static const receipt_message lists[][2] = {
        {{SLICE_LITERAL("user"), SLICE_LITERAL("ab")}, {SLICE_LITERAL("user"), SLICE_LITERAL("c")}},
        {{SLICE_LITERAL("user"), SLICE_LITERAL("a")}, {SLICE_LITERAL("user"), SLICE_LITERAL("bc")}},
        {{SLICE_LITERAL("system"), SLICE_LITERAL("ab")}, {SLICE_LITERAL("user"), SLICE_LITERAL("c")}},
    };
    uint8_t salt[RECEIPT_SALT_SIZE] = {0};
    uint8_t digests[6][HASH_SIZE];
    for (size_t i = 0; i < 3; i++) {
        assert_true(receipt_hash_prompt(salt, lists[i], 2, digests[i], &err));
    }
    assert_true(receipt_hash_prompt(salt, lists[0], 1, digests[3], &err));
    assert_true(receipt_hash_answer(salt, SLICE_LITERAL("ab"), digests[4], &err));
    salt[15] = 1;
    assert_true(receipt_hash_prompt(salt, lists[0], 2, digests[5], &err));
    for (size_t i = 0; i < 6; i++) {
        for (size_t k = 0; k < i; k++) {
            assert_memory_not_equal(digests[i], digests[k], HASH_SIZE);
        }
    }
}

/* Computed once with another program (Python's hashlib) from the definitions in the header and the README. */
static void test_hashes_are_the_documented_ones(void **state) {
    (void)state;
    error err;
    uint8_t salt[RECEIPT_SALT_SIZE];
    uint8_t digest[HASH_SIZE];
    char text[HASH_HEX_SIZE];
    for (size_t i = 0; i < sizeof salt; i++) {
        salt[i] = (uint8_t)i;
    }
    const receipt_message message = {SLICE_LITERAL("user"), SLICE_LITERAL("hello")};
    assert_true(receipt_hash_prompt(salt, &message, 1, digest, &err));
    hex_encode(slice_of(digest, sizeof digest), text);
    assert_string_equal(text, "f2d6851f12137ca3e11cabea6d67c8ac9c1e38bd8d6dec5a5e32c34a4ef0e9a8");
    assert_true(receipt_hash_answer(salt, SLICE_LITERAL("hi"), digest, &err));
    hex_encode(slice_of(digest, sizeof digest), text);
    assert_string_equal(text, "f9731ada217509636da2cdbdb71ac5aa61fcfcd1feed1f3c5de0af9cb72c7ff2");
    const slice stops[] = {SLICE_LITERAL("\n"), SLICE_LITERAL("END")};
    assert_true(receipt_hash_stop(stops, 2, digest, &err));
    hex_encode(slice_of(digest, sizeof digest), text);
    assert_string_equal(text, "50a21e745ff3292816c2bd47b26bb13893502440ef5f6e9e81ca747af3cbc17b");
    assert_true(receipt_nonce(salt, digest, &err));
    hex_encode(slice_of(digest, sizeof digest), text);
    assert_string_equal(text, "78bc3338983ecedfc890d86477b865301ad98cec88d185294ce1e1144b57fa57");
    uint8_t nonce[HASH_SIZE];
    uint8_t text_hash[HASH_SIZE];
    for (size_t i = 0; i < HASH_SIZE; i++) {
        nonce[i] = (uint8_t)i;
    }
    assert_true(hash_sha256(SLICE_LITERAL("Run it."), text_hash, &err));
    assert_true(receipt_commit_text(nonce, text_hash, digest, &err));
    hex_encode(slice_of(digest, sizeof digest), text);
    assert_string_equal(text, "7bc66c4ec1595c36554ca3658cd4521afe0a1f946cfe5ec5162b440e42c448da");
    assert_true(receipt_commit(nonce, text_hash, 23, true, digest, &err));
    hex_encode(slice_of(digest, sizeof digest), text);
    assert_string_equal(text, "6a9a63d9c2eaa9806590c6a2da41ce44e94af6568c0c8b00783b4b7ddbbbd8a3");
    assert_true(receipt_commit(nonce, text_hash, 23, false, digest, &err));
    hex_encode(slice_of(digest, sizeof digest), text);
    assert_string_equal(text, "0982608e523d09240c171260cde3f2b910aa0fdb6fb48801a6627d21777dd368");
    uint32_t tokens[300];
    for (uint32_t i = 0; i < 300; i++) {
        tokens[i] = i * 1000003;
    }
    assert_true(receipt_hash_tokens(tokens, 300, digest, &err));
    hex_encode(slice_of(digest, sizeof digest), text);
    assert_string_equal(text, "d557a09f17cd0f08a398e9f85405497347bfa185e0875f7f66d3ade5ff4995cf");
}

static void test_each_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        signed_receipt s = {.fields = make_fields()};
        signed_receipt back;
        uint8_t digest[HASH_SIZE];
        buffer text = buffer_make(RECEIPT_JSON_LIMIT);
        fault_fail_nth(nth);
        bool good = receipt_hash_answer(s.salt, SLICE_LITERAL("x"), digest, &err) &&
                    receipt_sign_worker(&s, worker, &err) && receipt_countersign(&s, pool, NULL, &err) &&
                    receipt_write_json(&s, &text, &err) &&
                    receipt_read_json(buffer_slice(&text), &back, &err) &&
                    receipt_verify(&back, pool_id, NULL, &err);
        reached = fault_stop();
        assert_true(good || (reached && (err.code == ERROR_MEMORY || err.code == ERROR_INTERNAL)));
        buffer_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_encoded_is_decoded_field_by_field),
        cmocka_unit_test(test_the_longest_profile_fits_the_limit),
        cmocka_unit_test(test_values_out_of_range_are_not_encoded),
        cmocka_unit_test(test_truncated_and_oversized_receipts_are_refused),
        cmocka_unit_test(test_any_flipped_bit_of_what_is_signed_fails_verification),
        cmocka_unit_test(test_a_receipt_of_another_pool_or_worker_is_refused),
        cmocka_unit_test(test_a_made_up_pool_passes_only_under_its_own_id),
        cmocka_unit_test(test_a_countersignature_of_a_stranger_is_refused),
        cmocka_unit_test(test_the_pool_signs_nothing_that_its_worker_has_not_signed),
        cmocka_unit_test(test_only_an_answer_that_ended_below_its_limit_may_have_been_cut),
        cmocka_unit_test(test_a_commitment_binds_all_that_can_be_computed_again),
        cmocka_unit_test(test_json_goes_both_ways_and_still_verifies),
        cmocka_unit_test(test_readable_copies_that_disagree_are_refused),
        cmocka_unit_test(test_a_receipt_without_copies_is_read_and_one_without_a_signature_is_not),
        cmocka_unit_test(test_an_oversized_json_receipt_is_refused),
        cmocka_unit_test(test_hashes_bind_salt_roles_and_borders),
        cmocka_unit_test(test_hashes_are_the_documented_ones),
        cmocka_unit_test(test_a_key_that_succeeded_signs_and_the_one_before_only_what_ended_before),
        cmocka_unit_test(test_each_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
