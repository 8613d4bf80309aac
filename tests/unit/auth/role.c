#include "auth/role.h"

#include "unit.h"

/* Written out apart from the table in the header: a slip in one of them shows. Columns: employee, worker
 * owner, IT admin, security officer. */
static const struct {
    auth_action action;
    const char *allowed;
} wanted[] = {
    {AUTH_ASK, "yyyy"},
    {AUTH_MODELS_LIST, "yyyy"},
    {AUTH_RECEIPT_READ_OWN, "yyyy"},
    {AUTH_USER_ADD, "nnyn"},
    {AUTH_USER_LIST, "nnyy"},
    {AUTH_USER_DISABLE, "nnyy"},
    {AUTH_KEY_ADD, "nnyn"},
    {AUTH_KEY_LIST, "nnyy"},
    {AUTH_KEY_REVOKE, "nnyy"},
    {AUTH_WORKER_TOKEN_ADD, "nnyn"},
    {AUTH_ENROLMENT_REQUEST, "nyyn"},
    {AUTH_APPROVAL_LIST, "nnyy"},
    {AUTH_APPROVAL_DECIDE, "nnyy"},
    {AUTH_RECOVERY_LIST, "nnny"},
    {AUTH_RECOVERY_DECIDE, "nnny"},
    {AUTH_WORKER_LIST, "nnyy"},
    {AUTH_WORKER_REVOKE, "nnyy"},
    {AUTH_WORKER_ROTATE, "nnyy"},
    {AUTH_EVERYTHING_REVOKE, "nnyy"},
    {AUTH_SECRET_LIST, "nnyy"},
    {AUTH_SECRET_ROTATE, "nnyy"},
    {AUTH_PROOF_READ, "nnyy"},
    {AUTH_WORKER_CLEAR, "nnyy"},
    {AUTH_BLACKLIST_CHANGE, "nnyy"},
    {AUTH_METRICS_READ, "nnyy"},
    {AUTH_LOG_VERIFY, "yyyy"},
    {AUTH_AUDIT_READ, "nnyy"},
    {AUTH_PERSON_ERASE, "nnny"},
    {AUTH_SESSION_OWN, "yyyy"},
    {AUTH_MEMORY_OWN, "yyyy"},
    {AUTH_PRIVACY_ERASE_OWN, "yyyy"},
    {AUTH_PRIVACY_ERASE, "nnny"},
    {AUTH_PRIVACY_READ, "nnyy"},
    {AUTH_KEY_LIST_OWN, "yyyy"},
    {AUTH_KEY_OWN, "yyyy"},
    {AUTH_SESSION_LIST, "nnyy"},
    {AUTH_SESSION_END, "nnyy"},
    {AUTH_SESSION_KEY_ROTATE, "nnyy"},
};

static void test_each_role_may_do_what_is_listed_and_nothing_else(void **state) {
    (void)state;
    assert_int_equal(sizeof wanted / sizeof wanted[0], AUTH_ACTION_COUNT);
    for (size_t i = 0; i < AUTH_ACTION_COUNT; i++) {
        assert_int_equal(wanted[i].action, i);
        for (unsigned role = 0; role < AUTH_ROLE_COUNT; role++) {
            assert_int_equal(auth_allowed((auth_role)role, wanted[i].action), wanted[i].allowed[role] == 'y');
        }
    }
}

static void test_what_not_everybody_may_do_is_entered_but_for_figures_and_so_are_keys_and_erasing_of_ones_own(
    void **state) {
    (void)state;
    for (size_t i = 0; i < AUTH_ACTION_COUNT; i++) {
        bool privileged = strcmp(wanted[i].allowed, "yyyy") != 0 || wanted[i].action == AUTH_KEY_OWN ||
                          wanted[i].action == AUTH_PRIVACY_ERASE_OWN;
        assert_int_equal(auth_is_privileged(wanted[i].action), privileged);
        assert_int_equal(auth_is_entered(wanted[i].action),
                         privileged && wanted[i].action != AUTH_METRICS_READ);
    }
    assert_true(auth_is_entered(AUTH_ACTION_COUNT));
}

static void test_what_is_not_in_the_table_is_denied(void **state) {
    (void)state;
    assert_false(auth_allowed(AUTH_ROLE_COUNT, AUTH_ASK));
    assert_false(auth_allowed(AUTH_IT_ADMIN, AUTH_ACTION_COUNT));
    assert_string_equal(auth_role_name(AUTH_ROLE_COUNT), "unknown");
    assert_string_equal(auth_action_name(AUTH_ACTION_COUNT), "unknown");
}

static void test_names_of_roles_are_read_back_exactly(void **state) {
    (void)state;
    for (unsigned i = 0; i < AUTH_ROLE_COUNT; i++) {
        auth_role role = AUTH_ROLE_COUNT;
        assert_true(auth_role_parse(slice_of_text(auth_role_name((auth_role)i)), &role));
        assert_int_equal(role, i);
    }
    static const char *const bad[] = {"", "admin", "it_admin ", "IT_ADMIN", "it_admi"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        auth_role role = AUTH_IT_ADMIN;
        assert_false(auth_role_parse(slice_of_text(bad[i]), &role));
        assert_false(auth_allowed(role, AUTH_ASK));
    }
    assert_string_equal(auth_action_name(AUTH_USER_ADD), "user_add");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_role_may_do_what_is_listed_and_nothing_else),
        cmocka_unit_test(
            test_what_not_everybody_may_do_is_entered_but_for_figures_and_so_are_keys_and_erasing_of_ones_own),
        cmocka_unit_test(test_what_is_not_in_the_table_is_denied),
        cmocka_unit_test(test_names_of_roles_are_read_back_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
