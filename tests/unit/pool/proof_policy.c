#include "proof/parties.h"
#include "proof/policy.h"
#include "settings.h"
#include "unit.h"

/* What settings say of checking, and which network an address is of. */

static verify_mode find(const char *list, const char *name) {
    verify_mode mode = VERIFY_OFF;
    assert_true(policy_list_find(slice_of_text(list), slice_of_text(name), &mode));
    return mode;
}

static void test_a_list_gives_the_mode_of_a_name(void **state) {
    (void)state;
    assert_int_equal(find("", "a"), VERIFY_OFF);
    assert_int_equal(find("a=every", "a"), VERIFY_EVERY);
    assert_int_equal(find(" a = every , b=required,", "b"), VERIFY_REQUIRED);
    assert_int_equal(find("a=every", "b"), VERIFY_OFF);
    assert_int_equal(find("a=every, a=spot", "a"), VERIFY_EVERY);
}

static void test_a_list_that_can_not_be_read_asks_for_the_strictest(void **state) {
    (void)state;
    static const char *const bad[] = {"a", "a=", "=spot", "a=always", "a=spot b=every", "a==spot"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        verify_mode mode = VERIFY_OFF;
        assert_false(policy_list_find(slice_of_text(bad[i]), SLICE_LITERAL("z"), &mode));
        assert_int_equal(mode, VERIFY_REQUIRED);
    }
}

static pool_settings settings_of(char *verify, char *models, char *tiers) {
    return (pool_settings){
        .verify = verify, .verify_models = models, .verify_tiers = tiers, .verify_floor = 5};
}

static void test_of_site_model_and_tiers_the_strictest_counts(void **state) {
    (void)state;
    char verify[] = "spot";
    char models[] = "large=every, small=off";
    char tiers[] = "laptop=required, server=off";
    const pool_settings s = settings_of(verify, models, tiers);
    assert_int_equal(policy_of_model(&s, SLICE_LITERAL("large")), VERIFY_EVERY);
    assert_int_equal(policy_of_model(&s, SLICE_LITERAL("small")), VERIFY_SPOT);
    assert_int_equal(policy_of_model(&s, SLICE_LITERAL("other")), VERIFY_SPOT);
    assert_int_equal(policy_of_tiers(&s, SLICE_LITERAL("")), VERIFY_OFF);
    assert_int_equal(policy_of_tiers(&s, SLICE_LITERAL("server")), VERIFY_OFF);
    assert_int_equal(policy_of_tiers(&s, SLICE_LITERAL("server, laptop")), VERIFY_REQUIRED);
    assert_true(policy_rules(&s).floor > 0.049 && policy_rules(&s).floor < 0.051);
}

static void test_settings_that_say_no_mode_are_refused_by_name(void **state) {
    (void)state;
    char good[] = "spot";
    char bad[] = "sometimes";
    char list[] = "a=sometimes";
    char empty[] = "";
    error err = {0};
    pool_settings s = settings_of(good, empty, empty);
    assert_true(policy_check_settings(&s, &err));
    s = settings_of(bad, empty, empty);
    assert_false(policy_check_settings(&s, &err));
    assert_non_null(strstr(err.text, "verify:"));
    assert_int_equal(policy_of_model(&s, SLICE_LITERAL("m")), VERIFY_REQUIRED);
    s = settings_of(good, list, empty);
    assert_false(policy_check_settings(&s, &err));
    assert_non_null(strstr(err.text, "verify_models"));
    s = settings_of(good, empty, list);
    assert_false(policy_check_settings(&s, &err));
    assert_non_null(strstr(err.text, "verify_tiers"));
}

static void test_an_address_is_of_its_network(void **state) {
    (void)state;
    static const struct {
        const char *peer;
        const char *network;
    } cases[] = {
        {"192.0.2.7:443", "192.0.2.0/24"},
        {"192.0.2.7", "192.0.2.0/24"},
        {"[2001:db8:1:2::7]:443", "2001:db8:1::/48"},
        {"2001:db8:1:2::7", "2001:db8:1::/48"},
        {"[::ffff:192.0.2.7]:443", "192.0.2.0/24"},
        {"203.113.255.254:443", "203.113.255.0/24"},
        {"[2001:db8:ffff:ffff:ffff:ffff:ffff:fffe]:443", "2001:db8:ffff::/48"},
        {"[::1]:80", "::/48"},
        {"", ""},
        {"localhost:443", ""},
        {"[2001:db8", ""},
        {"192.0.2:1", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char network[FLEET_NETWORK_SIZE];
        party_network(cases[i].peer, network);
        assert_string_equal(network, cases[i].network);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_list_gives_the_mode_of_a_name),
        cmocka_unit_test(test_a_list_that_can_not_be_read_asks_for_the_strictest),
        cmocka_unit_test(test_of_site_model_and_tiers_the_strictest_counts),
        cmocka_unit_test(test_settings_that_say_no_mode_are_refused_by_name),
        cmocka_unit_test(test_an_address_is_of_its_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
