#include "base/map.h"

#include "unit.h"

static const uint8_t seed[MAP_SEED_SIZE] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* Appendix A of the SipHash paper: bytes 0..14 under key 0..15. */
static void test_hash_matches_the_published_vector(void **state) {
    (void)state;
    uint8_t message[15];
    for (size_t i = 0; i < sizeof message; i++) {
        message[i] = (uint8_t)i;
    }
    assert_int_equal(map_hash(seed, slice_of(message, sizeof message)), 0xa129ca6149be45e5U);
}

static void test_put_get_remove_over_many_keys(void **state) {
    (void)state;
    static int values[5000];
    map *m = map_new(seed);
    char key[16];
    for (size_t i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "key %zu", i);
        assert_true(map_put(m, slice_of_text(key), &values[i]));
    }
    for (size_t i = 0; i < 5000; i += 2) {
        snprintf(key, sizeof key, "key %zu", i);
        assert_ptr_equal(map_remove(m, slice_of_text(key)), &values[i]);
        assert_null(map_remove(m, slice_of_text(key)));
    }
    assert_int_equal(map_count(m), 2500);
    for (size_t i = 0; i < 5000; i++) {
        snprintf(key, sizeof key, "key %zu", i);
        assert_ptr_equal(map_get(m, slice_of_text(key)), i % 2 == 0 ? NULL : &values[i]);
    }
    map_free(m);
}

static void test_iteration_keeps_the_order_of_insertion(void **state) {
    (void)state;
    int values[3];
    map *m = map_new(seed);
    assert_true(map_put(m, SLICE_LITERAL("b"), &values[0]));
    assert_true(map_put(m, SLICE_LITERAL("a"), &values[1]));
    assert_true(map_put(m, SLICE_LITERAL(""), &values[2]));
    slice key;
    void *value = NULL;
    size_t seen = 0;
    for (size_t i = 0; map_next(m, &i, &key, &value);) {
        assert_ptr_equal(value, &values[seen++]);
    }
    assert_int_equal(seen, 3);
    map_free(m);
}

static void test_a_failed_allocation_changes_nothing(void **state) {
    (void)state;
    int value = 0;
    for (int nth = 0; nth < 4; nth++) {
        map *m = map_new(seed);
        fault_fail_nth(nth);
        bool put = map_put(m, SLICE_LITERAL("key"), &value);
        bool reached = fault_stop();
        assert_int_equal(put, !reached);
        assert_ptr_equal(map_get(m, SLICE_LITERAL("key")), put ? &value : NULL);
        map_free(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash_matches_the_published_vector),
        cmocka_unit_test(test_put_get_remove_over_many_keys),
        cmocka_unit_test(test_iteration_keeps_the_order_of_insertion),
        cmocka_unit_test(test_a_failed_allocation_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
