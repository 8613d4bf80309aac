#include "proof/calibrations.h"

#include "unit.h"

#include "crypto/start.h"
#include "store/meta.h"

#include <stdlib.h>
#include <unistd.h>

/* A database in a folder of its own. */
typedef struct place {
    char folder[64];
    char path[96];
} place;

static place place_make(void) {
    place p;
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(p.folder, sizeof p.folder, "%s/cellule-calibrations-XXXXXX", parent);
    assert_non_null(mkdtemp(p.folder));
    snprintf(p.path, sizeof p.path, "%s/site.db", p.folder);
    return p;
}

static void place_remove(const place *p) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal", ".lock"};
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", p->path, suffixes[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(p->folder), 0);
}

static store *open_at(const place *p) {
    error err = {0};
    store *s = store_open(&(store_options){.path = p->path, .busy_timeout_ms = 50}, &err);
    assert_non_null(s);
    return s;
}

static void on_value(void *context, slice value, const error *failure) {
    (void)value;
    *(error_code *)context = failure == NULL ? ERROR_NONE : failure->code;
}

static void test_a_calibration_comes_back_as_it_was_stored(void **state) {
    (void)state;
    agreement_calibration c = {.by_referees = 1};
    agreement_calibration back;
    calibration_key key;
    calibration_key key_back;
    uint8_t bytes[CALIBRATION_ENCODED_SIZE];
    error err;
    memset(key.bytes, 7, sizeof key.bytes);
    for (size_t i = 0; i < 5000; i++) {
        agreement_calibrate(&c, (double)(i % 97) / 96);
        if (i % 613 == 0) {
            calibration_encode(&key, &c, bytes);
            assert_true(calibration_decode(slice_of(bytes, sizeof bytes), &key_back, &back, &err));
            assert_memory_equal(&back, &c, sizeof c);
            assert_memory_equal(&key_back, &key, sizeof key);
        }
    }
}

static void test_what_was_never_stored_is_refused(void **state) {
    (void)state;
    agreement_calibration c = {0};
    agreement_calibration back;
    calibration_key key = {{0}};
    uint8_t bytes[CALIBRATION_ENCODED_SIZE + 1] = {0};
    error err = {0};
    agreement_calibrate(&c, 0.5);
    calibration_encode(&key, &c, bytes);
    assert_false(calibration_decode(slice_of(bytes, 0), &key, &back, &err));
    assert_false(calibration_decode(slice_of(bytes, CALIBRATION_ENCODED_SIZE - 1), &key, &back, &err));
    assert_false(calibration_decode(slice_of(bytes, sizeof bytes), &key, &back, &err));
    bytes[HASH_SIZE + 11]++; /* one pair more in a bin than in all */
    assert_false(calibration_decode(slice_of(bytes, CALIBRATION_ENCODED_SIZE), &key, &back, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_int_equal(back.pairs, 0);
}

static void test_versions_of_a_runtime_do_not_share_what_is_known(void **state) {
    (void)state;
    const uint8_t digests[2][HASH_SIZE] = {{1}, {2}};
    calibration_key keys[5];
    error err;
    assert_true(crypto_start(&err));
    const char *profile = "runtime-llama.cpp";
    assert_true(calibration_key_of(digests[0], profile, CALIBRATION_TEXTS, &keys[0], &err));
    assert_true(calibration_key_of(digests[1], profile, CALIBRATION_TEXTS, &keys[1], &err));
    assert_true(calibration_key_of(digests[0], "runtime-llama.cpp-2", CALIBRATION_TEXTS, &keys[2], &err));
    assert_true(calibration_key_of(digests[0], profile, CALIBRATION_TEXTS, &keys[3], &err));
    assert_true(calibration_key_of(digests[0], profile, CALIBRATION_LOGPROBS, &keys[4], &err));
    assert_memory_equal(&keys[0], &keys[3], sizeof keys[0]);
    assert_memory_not_equal(&keys[0], &keys[1], sizeof keys[0]);
    assert_memory_not_equal(&keys[0], &keys[2], sizeof keys[0]);
    assert_memory_not_equal(&keys[0], &keys[4], sizeof keys[0]);
    crypto_stop();
}

static calibration_key key_of(unsigned number) {
    calibration_key key = {{0}};
    memcpy(key.bytes, &number, sizeof number);
    return key;
}

static uint32_t pairs_of(calibrations *all, unsigned number) {
    calibration_key key = key_of(number);
    return calibrations_find(all, &key)->pairs;
}

static void learn(calibrations *all, store *s, unsigned number, learning_lesson lesson, int times) {
    calibration_key key = key_of(number);
    for (int i = 0; i < times; i++) {
        bool known = agreement_is_calibrated(calibrations_find(all, &key));
        bool is_enough = calibrations_learn(all, s, &key, lesson, 1);
        assert_int_equal(is_enough, !known && agreement_is_calibrated(calibrations_find(all, &key)));
    }
}

static void test_what_is_learnt_outlives_the_pool(void **state) {
    (void)state;
    error err;
    place here = place_make();
    store *s = open_at(&here);
    calibrations *all = calibrations_new(&err);
    assert_non_null(all);
    learn(all, s, 1, LESSON_OF_WORKERS, 1);
    assert_int_equal(pairs_of(all, 1), 0); /* what is stored isn't known yet */
    calibrations_load(all, s);
    learn(all, s, 1, LESSON_OF_WORKERS, AGREEMENT_PAIRS_MIN + 3);
    learn(all, s, 2, LESSON_OF_REFEREES, 1);
    assert_int_equal(calibrations_learning(all), 1);
    calibrations_free(all, s);
    all = calibrations_new(&err);
    assert_non_null(all);
    calibrations_load(all, s);
    assert_int_equal(calibrations_learning(all), 1);
    assert_int_equal(pairs_of(all, 1), AGREEMENT_PAIRS_MIN + 3);
    assert_int_equal(pairs_of(all, 2), 1);
    calibration_key second = key_of(2);
    assert_int_equal(calibrations_find(all, &second)->by_referees, 1);
    assert_int_equal(pairs_of(all, 3), 0);
    calibrations_free(all, s);
    store_close(s);
    place_remove(&here);
}

static void test_names_that_workers_invent_take_no_more_than_their_places(void **state) {
    (void)state;
    enum { MANY = 1000 };
    error err;
    error_code code = ERROR_NONE;
    char name[32];
    place here = place_make();
    store *s = open_at(&here);
    calibrations *all = calibrations_new(&err);
    assert_non_null(all);
    calibrations_load(all, s);
    learn(all, s, 1, LESSON_OF_REFEREES, 1);
    learn(all, s, 2, LESSON_OF_WORKERS, AGREEMENT_PAIRS_MIN);
    for (unsigned i = 0; i < MANY; i++) {
        learn(all, s, 100 + i, LESSON_OF_WORKERS, AGREEMENT_PAIRS_MIN - 1);
    }
    assert_int_equal(pairs_of(all, 1), 1);
    assert_int_equal(pairs_of(all, 2), AGREEMENT_PAIRS_MIN);
    assert_int_equal(pairs_of(all, 100), 0);
    assert_int_equal(pairs_of(all, 100 + MANY - 1), AGREEMENT_PAIRS_MIN - 1);
    for (unsigned i = 0; i < CALIBRATIONS_MAX; i++) { /* more than it has, all as good as the first */
        learn(all, s, 5000 + i, LESSON_OF_REFEREES, 1);
    }
    assert_int_equal(pairs_of(all, 5000 + CALIBRATIONS_MAX - 1), 1);
    learn(all, s, 1, LESSON_OF_WORKERS, 1); /* it has gone by now, and these words make no room for it */
    assert_int_equal(pairs_of(all, 1), 0);
    calibrations_free(all, s);
    for (int i = 0; i <= CALIBRATIONS_MAX; i++) {
        snprintf(name, sizeof name, "calibration-%02d", i);
        assert_true(store_meta_get(s, slice_of_text(name), on_value, &code, &err));
        assert_int_equal(code, i < CALIBRATIONS_MAX ? ERROR_NONE : ERROR_NOT_FOUND);
    }
    store_close(s);
    place_remove(&here);
}

static void test_what_the_store_cannot_give_is_learnt_anew_and_not_put_over_it(void **state) {
    (void)state;
    error err;
    place here = place_make();
    store *s = open_at(&here);
    calibrations *all = calibrations_new(&err);
    assert_non_null(all);
    calibrations_load(all, s);
    learn(all, s, 1, LESSON_OF_REFEREES, 7);
    calibrations_free(all, s);
    bool failed = true;
    for (int n = 0; failed; n++) {
        all = calibrations_new(&err);
        assert_non_null(all);
        fault_fail_nth(n);
        calibrations_load(all, s);
        failed = fault_stop();
        uint32_t pairs = pairs_of(all, 1);
        assert_true(pairs == 0 || pairs == 7);
        learn(all, s, 2, LESSON_OF_REFEREES, 1);
        calibrations_free(all, s);
        all = calibrations_new(&err);
        assert_non_null(all);
        calibrations_load(all, s);
        assert_int_equal(pairs_of(all, 1), 7);
        calibrations_free(all, s);
    }
    store_close(s);
    place_remove(&here);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_calibration_comes_back_as_it_was_stored),
        cmocka_unit_test(test_what_was_never_stored_is_refused),
        cmocka_unit_test(test_versions_of_a_runtime_do_not_share_what_is_known),
        cmocka_unit_test(test_what_is_learnt_outlives_the_pool),
        cmocka_unit_test(test_names_that_workers_invent_take_no_more_than_their_places),
        cmocka_unit_test(test_what_the_store_cannot_give_is_learnt_anew_and_not_put_over_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
