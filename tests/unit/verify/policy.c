#include "verify/policy.h"

#include "unit.h"

static void test_each_mode_has_a_name_that_leads_back_to_it(void **state) {
    (void)state;
    const char *const names[] = {"off", "spot", "every", "proved", "required"};
    for (unsigned i = 0; i < 5; i++) {
        verify_mode mode = VERIFY_OFF;
        assert_string_equal(verify_mode_name((verify_mode)i), names[i]);
        assert_true(verify_mode_parse(slice_of_text(names[i]), &mode));
        assert_int_equal(mode, i);
    }
}

static void test_an_unknown_name_is_refused_and_taken_for_the_strictest(void **state) {
    (void)state;
    const char *const names[] = {"", "Spot", "spot ", "of", "none", "required,off"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        verify_mode mode = VERIFY_OFF;
        assert_false(verify_mode_parse(slice_of_text(names[i]), &mode));
        assert_int_equal(mode, VERIFY_REQUIRED);
    }
}

static void test_the_strictest_of_several_applies(void **state) {
    (void)state;
    const verify_mode modes[] = {VERIFY_SPOT, VERIFY_PROVED, VERIFY_OFF, VERIFY_EVERY};
    assert_int_equal(verify_strictest(modes, 4), VERIFY_PROVED);
    assert_int_equal(verify_strictest(modes, 1), VERIFY_SPOT);
    assert_int_equal(verify_strictest(modes + 2, 1), VERIFY_OFF);
    assert_int_equal(verify_strictest(NULL, 0), VERIFY_OFF);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mode_has_a_name_that_leads_back_to_it),
        cmocka_unit_test(test_an_unknown_name_is_refused_and_taken_for_the_strictest),
        cmocka_unit_test(test_the_strictest_of_several_applies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
