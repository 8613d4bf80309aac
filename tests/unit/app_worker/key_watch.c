/* What a worker remembers of its pool's keys. */
#include "key_watch.h"

#include "codec/json.h"
#include "crypto/start.h"

#include "unit.h"

enum { KEY_COUNT = 5 };

static sign_key *signers[KEY_COUNT];
static key_watch watch;
static error err;

static int start(void **state) {
    (void)state;
    if (!crypto_start(&err)) {
        return -1;
    }
    json_start(1);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const uint8_t seed[SIGN_SEED_SIZE] = {(uint8_t)(i + 1)};
        signers[i] = sign_key_from_seed(seed, &err);
        assert_non_null(signers[i]);
    }
    return 0;
}

static int stop(void **state) {
    (void)state;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        sign_key_free(signers[i]);
    }
    crypto_stop();
    return 0;
}

/* Of keys by their numbers, as "01": the first is signers[0], then comes signers[1]. */
static succession chain_of(const char *numbers) {
    succession s;
    assert_true(succession_begin(sign_key_public(signers[numbers[0] - '0']), &s, &err));
    for (size_t i = 1; numbers[i] != '\0'; i++) {
        assert_true(succession_append(&s, signers[numbers[i - 1] - '0'], signers[numbers[i] - '0'], i, &err));
    }
    return s;
}

static buffer text_of(const char *numbers) {
    succession s = chain_of(numbers);
    buffer text = buffer_make(SUCCESSION_JSON_LIMIT);
    assert_true(succession_write_json(&s, &text, &err));
    return text;
}

static int set_up(void **state) {
    (void)state;
    key_watch_init(&watch, chain_of("0").pool_id);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    key_watch_free(&watch);
    return 0;
}

/* Takes what is newer, as if the disk had it. */
static key_verdict show_text(slice text) {
    succession next;
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    err = (error){0};
    key_verdict verdict = key_watch_look(&watch, text, &next, &json, &err);
    if (verdict == KEYS_NEWER) {
        key_watch_take(&watch, &next, &json);
    }
    buffer_free(&json);
    return verdict;
}

static key_verdict show(const char *numbers) {
    buffer text = text_of(numbers);
    key_verdict verdict = show_text(buffer_slice(&text));
    buffer_free(&text);
    return verdict;
}

static void assert_knows(const char *numbers) {
    succession wanted = chain_of(numbers);
    buffer text = text_of(numbers);
    assert_memory_equal(&watch.known, &wanted, sizeof wanted);
    assert_true(slice_equal(buffer_slice(&watch.json), buffer_slice(&text)));
    buffer_free(&text);
}

static void test_the_chain_grows_and_what_is_known_is_no_news(void **state) {
    (void)state;
    assert_int_equal(show("0"), KEYS_NEWER);
    assert_knows("0");
    assert_int_equal(show("0"), KEYS_UNCHANGED);
    assert_int_equal(show("01"), KEYS_NEWER);
    assert_int_equal(show("0123"), KEYS_NEWER); /* two at once */
    assert_int_equal(show("0123"), KEYS_UNCHANGED);
    assert_knows("0123");
}

static void test_a_worker_may_come_after_many_exchanges(void **state) {
    (void)state;
    assert_int_equal(show("01234"), KEYS_NEWER);
    assert_knows("01234");
}

static void test_nothing_is_known_before_it_is_taken(void **state) {
    (void)state;
    succession next;
    buffer shown = text_of("01");
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    assert_int_equal(show("0"), KEYS_NEWER);
    assert_int_equal(key_watch_look(&watch, buffer_slice(&shown), &next, &json, &err), KEYS_NEWER);
    assert_knows("0");
    buffer_free(&json);
    buffer_free(&shown);
}

static void test_an_older_chain_is_an_alarm_and_is_kept(void **state) {
    (void)state;
    assert_int_equal(show("012"), KEYS_NEWER);
    assert_int_equal(show("01"), KEYS_FORKED);
    assert_int_equal(err.code, ERROR_DENIED);
    buffer shown = text_of("01");
    assert_true(slice_equal(buffer_slice(&watch.forked), buffer_slice(&shown)));
    buffer_free(&shown);
    assert_int_equal(show("0"), KEYS_FORKED);
    assert_knows("012");
    assert_int_equal(show("012"), KEYS_UNCHANGED);
}

static void test_another_key_in_the_place_of_one_that_was_shown_is_an_alarm(void **state) {
    (void)state;
    assert_int_equal(show("012"), KEYS_NEWER);
    assert_int_equal(show("013"), KEYS_FORKED); /* signed by the same keys before */
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_true(buffer_length(&watch.forked) > 0);
    assert_int_equal(show("0134"), KEYS_FORKED); /* however long */
    assert_knows("012");
}

static void test_another_pools_keys_are_an_alarm(void **state) {
    (void)state;
    assert_int_equal(show("1"), KEYS_FORKED);
    assert_int_equal(show("12"), KEYS_FORKED);
    assert_int_equal(buffer_length(&watch.json), 0);
    assert_int_equal(show("01"), KEYS_NEWER);
    assert_int_equal(show("12"), KEYS_FORKED);
    assert_knows("01");
}

static void test_what_is_no_chain_or_doesnt_hold_is_an_alarm_and_never_kept(void **state) {
    static const char *const garbage[] = {"{",        "[]",   "{}",
                                          "not JSON", "\"\"", "{\"object\":\"cellule.receipt\"}"};
    (void)state;
    assert_int_equal(show("0"), KEYS_NEWER);
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        assert_int_equal(show_text(slice_of_text(garbage[i])), KEYS_FORKED);
        assert_int_equal(buffer_length(&watch.forked), 0);
    }
    buffer text = text_of("01");
    size_t length = buffer_length(&text);
    char *copy = test_malloc(SUCCESSION_JSON_LIMIT + 1);
    memcpy(copy, buffer_slice(&text).data, length);
    char *signature = strstr(copy, "\"signature\":\"") + strlen("\"signature\":\"");
    signature[0] = signature[0] == 'A' ? 'B' : 'A';
    assert_int_equal(show_text(slice_of(copy, length)), KEYS_FORKED);
    assert_int_equal(buffer_length(&watch.forked), 0);
    memset(copy, ' ', SUCCESSION_JSON_LIMIT + 1); /* longer than any chain is */
    memcpy(copy, buffer_slice(&text).data, length);
    assert_int_equal(show_text(slice_of(copy, SUCCESSION_JSON_LIMIT + 1)), KEYS_FORKED);
    assert_knows("0");
    test_free(copy);
    buffer_free(&text);
}

/* The same keys in another form are no news, and the pool's blanks and other words don't get on the disk. */
static void test_only_what_was_checked_is_kept(void **state) {
    (void)state;
    buffer text = text_of("01");
    buffer other = buffer_make(SUCCESSION_JSON_LIMIT);
    buffer_append_text(&other, "{ \"words\": \"of the pool\",");
    buffer_append(&other, slice_after(buffer_slice(&text), 1));
    assert_int_equal(show_text(buffer_slice(&other)), KEYS_NEWER);
    assert_knows("01");
    assert_int_equal(show_text(buffer_slice(&other)), KEYS_UNCHANGED);
    assert_int_equal(show_text(buffer_slice(&text)), KEYS_UNCHANGED);
    buffer_free(&other);
    buffer_free(&text);
}

static void test_what_was_kept_counts_after_a_restart(void **state) {
    (void)state;
    buffer kept = text_of("012");
    buffer others = text_of("12");
    assert_true(key_watch_restore(&watch, (slice){NULL, 0}, &err));
    assert_int_equal(buffer_length(&watch.json), 0);
    assert_false(key_watch_restore(&watch, buffer_slice(&others), &err));
    assert_false(key_watch_restore(&watch, SLICE_LITERAL("{}"), &err));
    assert_true(key_watch_restore(&watch, buffer_slice(&kept), &err));
    assert_knows("012");
    assert_int_equal(show("01"), KEYS_FORKED);
    assert_int_equal(show("0123"), KEYS_NEWER);
    buffer_free(&others);
    buffer_free(&kept);
}

static void test_no_memory_is_no_alarm(void **state) {
    (void)state;
    bool reached = true;
    buffer kept = text_of("0");
    buffer shown = text_of("012");
    for (int nth = 0; reached; nth++) {
        key_watch_free(&watch);
        key_watch_init(&watch, chain_of("0").pool_id);
        err = (error){0};
        fault_fail_nth(nth);
        bool restored = key_watch_restore(&watch, buffer_slice(&kept), &err);
        key_verdict verdict = restored ? show_text(buffer_slice(&shown)) : KEYS_UNKNOWN;
        reached = fault_stop();
        assert_int_equal(verdict, reached ? KEYS_UNKNOWN : KEYS_NEWER);
        if (reached) {
            assert_int_equal(err.code, ERROR_MEMORY);
        }
        if (restored) {
            assert_knows(reached ? "0" : "012");
        }
    }
    buffer_free(&shown);
    buffer_free(&kept);
}

#define WATCH_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        WATCH_TEST(test_the_chain_grows_and_what_is_known_is_no_news),
        WATCH_TEST(test_a_worker_may_come_after_many_exchanges),
        WATCH_TEST(test_nothing_is_known_before_it_is_taken),
        WATCH_TEST(test_an_older_chain_is_an_alarm_and_is_kept),
        WATCH_TEST(test_another_key_in_the_place_of_one_that_was_shown_is_an_alarm),
        WATCH_TEST(test_another_pools_keys_are_an_alarm),
        WATCH_TEST(test_what_is_no_chain_or_doesnt_hold_is_an_alarm_and_never_kept),
        WATCH_TEST(test_only_what_was_checked_is_kept),
        WATCH_TEST(test_what_was_kept_counts_after_a_restart),
        WATCH_TEST(test_no_memory_is_no_alarm),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
