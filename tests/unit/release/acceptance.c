#include "release/acceptance.h"

#include "people.h"

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"
static const char too_long[] = "1" ONES;
#define TWOS "2222222222222222222222222222222222222222222222222222222222222222"
#define MANIFEST "cellule release v1\nversion 1.2.3\nexpires 1000\nfile " ONES " 0 bin/cellule\n"

static release_claim program(uint8_t byte) {
    release_claim claim = {.manifest = {NULL, 0}};
    memset(claim.program, byte, sizeof claim.program);
    return claim;
}

static bool accepts(const char *words, const release_asker *asker, const release_claim *claim, error *err) {
    release_acceptance wanted;
    assert_true(release_acceptance_parse(slice_of_text(words), &wanted, err));
    return release_accepts(&wanted, asker, claim, err);
}

static void test_who_asks_for_nothing_accepts_anything(void **state) {
    error err;
    release_asker asker = {.keys = NULL};
    release_claim silent = program(0);
    release_claim some = program(0x11);
    (void)state;
    assert_true(accepts("", &asker, &silent, &err));
    assert_true(accepts("  ", &asker, &some, &err));
}

static void test_programs_are_named_by_digest_or_are_the_same(void **state) {
    error err;
    release_asker asker = {.keys = NULL};
    release_claim ones = program(0x11);
    release_claim threes = program(0x33);
    (void)state;
    memset(asker.program, 0x33, sizeof asker.program);
    assert_true(accepts(ONES, &asker, &ones, &err));
    assert_true(accepts(TWOS ", " ONES, &asker, &ones, &err));
    assert_false(accepts(TWOS, &asker, &ones, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    assert_non_null(strstr(err.text, ONES));
    assert_false(accepts("same", &asker, &ones, &err));
    assert_true(accepts("same", &asker, &threes, &err));
    assert_true(accepts("same," ONES, &asker, &ones, &err));
}

static void test_who_does_not_say_what_he_runs_is_refused(void **state) {
    error err;
    release_asker asker = {.keys = NULL}; /* its own program isn't known either */
    release_claim silent = program(0);
    (void)state;
    assert_false(accepts("same", &asker, &silent, &err));
    assert_false(
        accepts("0000000000000000000000000000000000000000000000000000000000000000", &asker, &silent, &err));
    assert_false(accepts("signed", &asker, &silent, &err));
    assert_non_null(strstr(err.text, "isn't named"));
}

static void test_what_is_signed_is_accepted_until_it_expires(void **state) {
    error err;
    maintainers keys = list_of(1, 2, 2);
    release_asker asker = {.keys = &keys, .now_s = 999};
    buffer note_bytes = sign_text(SLICE_LITERAL(MANIFEST), "01");
    buffer half = sign_text(SLICE_LITERAL(MANIFEST), "0");
    release_claim ones = program(0x11);
    release_claim twos = program(0x22);
    (void)state;
    assert_false(accepts("signed", &asker, &ones, &err));
    assert_non_null(strstr(err.text, "no signed manifest"));
    ones.manifest = buffer_slice(&note_bytes);
    twos.manifest = ones.manifest;
    assert_true(accepts("signed", &asker, &ones, &err));
    assert_true(accepts("signed>=1.2.3", &asker, &ones, &err));
    assert_false(accepts("signed>=1.2.4", &asker, &ones, &err));
    assert_non_null(strstr(err.text, "release 1.2.3 is older than 1.2.4"));
    assert_false(accepts("signed", &asker, &twos, &err)); /* another's manifest */
    assert_non_null(strstr(err.text, "another program"));
    ones.manifest = buffer_slice(&half);
    assert_false(accepts("signed", &asker, &ones, &err));
    assert_non_null(strstr(err.text, "bob"));
    ones.manifest = SLICE_LITERAL("no note");
    assert_false(accepts("signed", &asker, &ones, &err));
    ones.manifest = buffer_slice(&note_bytes);
    asker.now_s = 1000;
    assert_false(accepts("signed", &asker, &ones, &err));
    assert_non_null(strstr(err.text, "expired"));
    assert_true(accepts("signed, " ONES, &asker, &ones, &err)); /* the other word stands */
    asker = (release_asker){.keys = NULL, .now_s = 999};
    assert_false(accepts("signed", &asker, &ones, &err));
    assert_non_null(strstr(err.text, "no maintainers' keys"));
    buffer_free(&note_bytes);
    buffer_free(&half);
}

static void test_words_that_mean_nothing_are_named(void **state) {
    static const char *const bad[] = {"any", "Same",         "signed>1.0.0",          "signed>=1.0", "1111",
                                      ",",   "same,,signed", "signed, signed>=1.0.0", too_long};
    error err;
    release_acceptance wanted;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (release_acceptance_parse(slice_of_text(bad[i]), &wanted, &err)) {
            fail_msg("taken: %s", bad[i]);
        }
        assert_int_equal(err.code, ERROR_INVALID);
    }
    buffer many = buffer_make(65536);
    for (int i = 0; i < RELEASE_ACCEPTED_MAX; i++) {
        buffer_append_text(&many, i == 0 ? ONES : "," ONES);
    }
    assert_true(release_acceptance_parse(buffer_slice(&many), &wanted, &err));
    assert_int_equal(wanted.count, RELEASE_ACCEPTED_MAX);
    buffer_append_text(&many, "," ONES);
    assert_false(release_acceptance_parse(buffer_slice(&many), &wanted, &err));
    buffer_free(&many);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_asks_for_nothing_accepts_anything),
        cmocka_unit_test(test_programs_are_named_by_digest_or_are_the_same),
        cmocka_unit_test(test_who_does_not_say_what_he_runs_is_refused),
        cmocka_unit_test(test_what_is_signed_is_accepted_until_it_expires),
        cmocka_unit_test(test_words_that_mean_nothing_are_named),
    };
    return cmocka_run_group_tests(tests, people_start, people_stop);
}
