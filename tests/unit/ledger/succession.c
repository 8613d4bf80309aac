#include "ledger/succession.h"

#include "codec/json.h"
#include "crypto/start.h"

#include "unit.h"

enum { KEY_COUNT = 5, LATER_MS = 1000 };

static sign_key *keys[KEY_COUNT];
static const uint64_t start_ms = UINT64_C(1700000000000);

static int start(void **state) {
    error err;
    (void)state;
    if (!crypto_start(&err)) {
        return -1;
    }
    json_start(1);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const uint8_t seed[SIGN_SEED_SIZE] = {(uint8_t)(i + 1)};
        keys[i] = sign_key_from_seed(seed, &err);
        if (keys[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        sign_key_free(keys[i]);
    }
    crypto_stop();
    return 0;
}

/* The first key is keys[0], the n-th after it keys[n]. */
static succession chain_of(size_t count) {
    error err;
    succession s;
    assert_true(succession_begin(sign_key_public(keys[0]), &s, &err));
    for (size_t i = 0; i < count; i++) {
        assert_true(succession_append(&s, keys[i], keys[i + 1], start_ms + i * LATER_MS, &err));
    }
    return s;
}

static bool reads(const succession *s, const uint8_t pool_id[HASH_SIZE], error *err) {
    static succession back;
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    assert_true(succession_write_json(s, &json, err));
    bool read = succession_read_json(buffer_slice(&json), pool_id, &back, err);
    assert_int_equal(memcmp(&back, read ? s : &(succession){0}, sizeof back), 0);
    buffer_free(&json);
    return read;
}

static void assert_refused(const succession *s, const uint8_t pool_id[HASH_SIZE]) {
    error err = {0};
    assert_false(reads(s, pool_id, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
}

static void test_a_chain_leads_from_the_id_to_the_key_that_signs(void **state) {
    (void)state;
    for (size_t count = 0; count < KEY_COUNT; count++) {
        error err;
        uint8_t id[HASH_SIZE];
        succession s = chain_of(count);
        assert_true(hash_sha256(slice_of(sign_key_public(keys[0]), SIGN_PUBLIC_SIZE), id, &err));
        assert_memory_equal(s.pool_id, id, sizeof id);
        assert_memory_equal(succession_current(&s), sign_key_public(keys[count]), SIGN_PUBLIC_SIZE);
        assert_true(reads(&s, id, &err));
    }
}

static void test_no_more_than_the_most_fits_where_it_is_read(void **state) {
    error err;
    succession s;
    sign_key *former = keys[0];
    (void)state;
    assert_true(succession_begin(sign_key_public(keys[0]), &s, &err));
    for (size_t i = 0; i < SUCCESSION_MAX; i++) {
        const uint8_t seed[SIGN_SEED_SIZE] = {9, (uint8_t)i};
        sign_key *next = sign_key_from_seed(seed, &err);
        assert_non_null(next);
        assert_true(succession_append(&s, former, next, (UINT64_C(1) << 53), &err));
        if (former != keys[0]) {
            sign_key_free(former);
        }
        former = next;
    }
    assert_true(reads(&s, s.pool_id, &err));
    assert_false(succession_append(&s, former, keys[1], (UINT64_C(1) << 53), &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(s.count, SUCCESSION_MAX);
    sign_key_free(former);
}

static void test_only_the_current_key_names_another_and_never_an_old_one(void **state) {
    error err;
    succession s = chain_of(2);
    const succession before = s;
    (void)state;
    assert_false(succession_append(&s, keys[1], keys[3], start_ms + 9999, &err)); /* replaced */
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(succession_append(&s, keys[4], keys[3], start_ms + 9999, &err)); /* a stranger's */
    for (size_t old = 0; old < 3; old++) {
        assert_false(succession_append(&s, keys[2], keys[old], start_ms + 9999, &err));
    }
    assert_false(succession_append(&s, keys[2], keys[3], start_ms, &err)); /* before the one before */
    assert_memory_equal(&s, &before, sizeof s);
}

static void test_a_chain_that_is_cut_reordered_or_anothers_is_refused(void **state) {
    const succession good = chain_of(4);
    (void)state;
    for (size_t gone = 0; gone + 1 < good.count; gone++) { /* cut out of the middle or the front */
        succession s = good;
        memmove(&s.steps[gone], &s.steps[gone + 1], (s.count - gone - 1) * sizeof s.steps[0]);
        s.count--;
        assert_refused(&s, good.pool_id);
    }
    for (size_t at = 0; at + 1 < good.count; at++) {
        succession s = good;
        s.steps[at] = good.steps[at + 1];
        s.steps[at + 1] = good.steps[at];
        assert_refused(&s, good.pool_id);
        s.steps[at] = good.steps[at];
        s.steps[at + 1] = good.steps[at];
        assert_refused(&s, good.pool_id); /* twice */
    }
    succession s = good;
    memcpy(s.first_key, sign_key_public(keys[1]), sizeof s.first_key);
    assert_refused(&s, good.pool_id);
    s = good;
    s.pool_id[0] ^= 1;
    assert_refused(&s, good.pool_id);
    assert_refused(&good, s.pool_id);
}

static void test_a_change_of_any_bit_of_a_statement_voids_it(void **state) {
    const succession good = chain_of(3);
    (void)state;
    for (size_t number = 0; number < good.count; number++) {
        for (size_t byte = 0; byte < SIGN_SIGNATURE_SIZE; byte++) {
            succession s = good;
            s.steps[number].former_signature[byte] ^= 1;
            assert_refused(&s, good.pool_id);
            s = good;
            s.steps[number].signature[byte] ^= 1;
            assert_refused(&s, good.pool_id);
            s = good;
            s.steps[number].key[byte % SIGN_PUBLIC_SIZE] ^= 1;
            assert_refused(&s, good.pool_id);
        }
        succession s = good;
        s.steps[number].made_ms++;
        assert_refused(&s, good.pool_id);
    }
}

static void test_neither_key_alone_makes_a_statement(void **state) {
    (void)state;
    /* Who has the old key alone signs twice with it; so does who has only the new one. */
    const succession good = chain_of(1);
    succession s = good;
    memcpy(s.steps[0].signature, good.steps[0].former_signature, SIGN_SIGNATURE_SIZE);
    assert_refused(&s, good.pool_id);
    s = good;
    memcpy(s.steps[0].former_signature, good.steps[0].signature, SIGN_SIGNATURE_SIZE);
    assert_refused(&s, good.pool_id);
}

static void test_a_statement_is_of_one_pool_and_one_place(void **state) {
    error err;
    succession s = chain_of(0);
    succession elsewhere;
    (void)state;
    /* keys[1] -> keys[2] as the first step of the pool of keys[1], shown as the second of another pool. */
    assert_true(succession_append(&s, keys[0], keys[1], start_ms, &err));
    assert_true(succession_begin(sign_key_public(keys[1]), &elsewhere, &err));
    assert_true(succession_append(&elsewhere, keys[1], keys[2], start_ms, &err));
    s.steps[s.count++] = elsewhere.steps[0];
    assert_refused(&s, s.pool_id);
}

static void test_what_was_seen_goes_on_and_never_back_or_aside(void **state) {
    error err;
    const succession one = chain_of(1);
    const succession three = chain_of(3);
    succession fork = chain_of(1);
    succession stranger;
    (void)state;
    assert_true(succession_goes_on(&one, &one, &err));
    assert_true(succession_goes_on(&one, &three, &err));
    assert_false(succession_goes_on(&three, &one, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    assert_true(succession_append(&fork, keys[1], keys[4], start_ms + LATER_MS, &err));
    assert_true(reads(&fork, fork.pool_id, &err)); /* whole by itself: only who saw the other knows */
    assert_true(succession_goes_on(&one, &fork, &err));
    assert_false(succession_goes_on(&three, &fork, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_false(succession_goes_on(&fork, &three, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_true(succession_begin(sign_key_public(keys[4]), &stranger, &err));
    assert_false(succession_goes_on(&one, &stranger, &err));
    assert_false(succession_goes_on(&stranger, &three, &err));
}

static void test_a_key_counts_for_its_time_and_the_current_one_for_all(void **state) {
    error err;
    const succession s = chain_of(2);
    const uint64_t leeway = start_ms + SUCCESSION_LEEWAY_MS;
    (void)state;
    assert_true(succession_covers(&s, sign_key_public(keys[0]), leeway, &err));
    assert_false(succession_covers(&s, sign_key_public(keys[0]), leeway + 1, &err));
    assert_true(succession_covers(&s, sign_key_public(keys[1]), leeway + LATER_MS, &err));
    assert_false(succession_covers(&s, sign_key_public(keys[1]), leeway + LATER_MS + 1, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_true(succession_covers(&s, sign_key_public(keys[2]), 0, &err)); /* signed late */
    assert_true(succession_covers(&s, sign_key_public(keys[2]), UINT64_MAX, &err));
    assert_false(succession_covers(&s, sign_key_public(keys[3]), 0, &err)); /* a later one, for all we know */
    assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void test_what_is_no_succession_is_refused(void **state) {
    static const char *const wrong[] = {
        "",
        "{}",
        "[]",
        "{\"object\":\"cellule.receipt\"}",
        "{\"object\":\"cellule.succession\",\"pool\":\"00\",\"first_key\":\"\",\"steps\":[]}",
        "{\"object\":\"cellule.succession\",\"pool\":7}",
    };
    error err;
    succession s;
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    const succession good = chain_of(2);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(succession_read_json(slice_of_text(wrong[i]), good.pool_id, &s, &err));
    }
    assert_true(succession_write_json(&good, &json, &err));
    for (size_t length = 0; length < buffer_length(&json); length++) {
        assert_false(
            succession_read_json(slice_part(buffer_slice(&json), 0, length), good.pool_id, &s, &err));
    }
    buffer_free(&json);
}

static void test_every_failing_allocation_is_an_error(void **state) {
    const succession good = chain_of(2);
    (void)state;
    for (int nth = 0, done = 0; !done; nth++) {
        error err = {0};
        succession s = good;
        succession back;
        buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
        fault_fail_nth(nth);
        bool made = succession_append(&s, keys[2], keys[3], start_ms + 9 * LATER_MS, &err) &&
                    succession_write_json(&s, &json, &err) &&
                    succession_read_json(buffer_slice(&json), s.pool_id, &back, &err);
        done = !fault_stop();
        assert_int_equal(made, done);
        assert_true(done || err.code == ERROR_MEMORY);
        buffer_free(&json);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_chain_leads_from_the_id_to_the_key_that_signs),
        cmocka_unit_test(test_no_more_than_the_most_fits_where_it_is_read),
        cmocka_unit_test(test_only_the_current_key_names_another_and_never_an_old_one),
        cmocka_unit_test(test_a_chain_that_is_cut_reordered_or_anothers_is_refused),
        cmocka_unit_test(test_a_change_of_any_bit_of_a_statement_voids_it),
        cmocka_unit_test(test_neither_key_alone_makes_a_statement),
        cmocka_unit_test(test_a_statement_is_of_one_pool_and_one_place),
        cmocka_unit_test(test_what_was_seen_goes_on_and_never_back_or_aside),
        cmocka_unit_test(test_a_key_counts_for_its_time_and_the_current_one_for_all),
        cmocka_unit_test(test_what_is_no_succession_is_refused),
        cmocka_unit_test(test_every_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
