#include "auth/scim.h"

#include "codec/json.h"

#include "unit.h"

static auth_scim_active patched(const char *json) {
    error err = {0};
    auth_scim_active active = AUTH_SCIM_UNSAID;
    if (!auth_scim_read_patch(slice_of_text(json), &active, &err)) {
        fail_msg("%s: %s", json, err.text);
    }
    return active;
}

#define PATCH(operations)                                                                                    \
    "{\"schemas\":[\"urn:ietf:params:scim:api:messages:2.0:PatchOp\"],\"Operations\":[" operations "]}"

static void test_a_patch_says_whether_somebody_is_active(void **state) {
    (void)state;
    assert_int_equal(patched(PATCH("{\"op\":\"replace\",\"path\":\"active\",\"value\":false}")),
                     AUTH_SCIM_INACTIVE);
    assert_int_equal(patched(PATCH("{\"op\":\"Replace\",\"path\":\"active\",\"value\":\"False\"}")),
                     AUTH_SCIM_INACTIVE);
    assert_int_equal(patched(PATCH("{\"op\":\"add\",\"path\":\"ACTIVE\",\"value\":true}")), AUTH_SCIM_ACTIVE);
    assert_int_equal(patched(PATCH("{\"op\":\"replace\",\"value\":{\"active\":false,\"name\":\"x\"}}")),
                     AUTH_SCIM_INACTIVE);
    assert_int_equal(
        patched(PATCH("{\"op\":\"replace\",\"path\":\"urn:ietf:params:scim:schemas:core:2.0:User:"
                      "active\",\"value\":false}")),
        AUTH_SCIM_INACTIVE);
    assert_int_equal(patched("{\"operations\":[{\"OP\":\"replace\",\"PATH\":\"active\",\"Value\":false}]}"),
                     AUTH_SCIM_INACTIVE);
    assert_int_equal(patched(PATCH("{\"op\":\"replace\",\"path\":\"active\",\"value\":true},"
                                   "{\"op\":\"replace\",\"path\":\"active\",\"value\":false}")),
                     AUTH_SCIM_INACTIVE);
}

static void test_what_else_a_patch_says_is_passed_over(void **state) {
    (void)state;
    assert_int_equal(
        patched(PATCH("{\"op\":\"replace\",\"path\":\"displayName\",\"value\":\"x\"},"
                      "{\"op\":\"remove\",\"path\":\"title\"},{\"op\":\"add\",\"value\":{\"a\":1}}")),
        AUTH_SCIM_UNSAID);
    assert_int_equal(patched(PATCH("{\"op\":\"replace\",\"path\":\"inactive\",\"value\":false}")),
                     AUTH_SCIM_UNSAID);
}

static void test_a_patch_that_can_be_taken_two_ways_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"Operations\":{}}",
        PATCH(""),
        PATCH("1"),
        PATCH("{}"),
        PATCH("{\"op\":\"delete\",\"path\":\"active\"}"),
        PATCH("{\"op\":\"remove\",\"path\":\"active\"}"),
        PATCH("{\"op\":\"replace\",\"path\":1,\"value\":false}"),
        PATCH("{\"op\":\"replace\",\"path\":\"active\"}"),
        PATCH("{\"op\":\"replace\",\"path\":\"active\",\"value\":null}"),
        PATCH("{\"op\":\"replace\",\"path\":\"active\",\"value\":0}"),
        PATCH("{\"op\":\"replace\",\"path\":\"active\",\"value\":\"no\"}"),
        PATCH("{\"op\":\"replace\",\"path\":\"active\",\"value\":[false]}"),
        PATCH("{\"op\":\"replace\",\"path\":\"active\",\"value\":true,\"Value\":false}"),
        PATCH("{\"op\":\"replace\",\"value\":{\"active\":true,\"Active\":false}}"),
        "{\"Operations\":[{\"op\":\"add\",\"value\":{}}],\"operations\":[]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error err = {0};
        auth_scim_active active = AUTH_SCIM_UNSAID;
        if (auth_scim_read_patch(slice_of_text(bad[i]), &active, &err)) {
            fail_msg("%s", bad[i]);
        }
        assert_int_equal(err.code, ERROR_INVALID);
    }
}

static void test_a_whole_resource_says_it_too(void **state) {
    (void)state;
    error err = {0};
    auth_scim_active active = AUTH_SCIM_UNSAID;
    assert_true(
        auth_scim_read_resource(SLICE_LITERAL("{\"userName\":\"x\",\"active\":false}"), &active, &err));
    assert_int_equal(active, AUTH_SCIM_INACTIVE);
    assert_true(auth_scim_read_resource(SLICE_LITERAL("{\"Active\":true}"), &active, &err));
    assert_int_equal(active, AUTH_SCIM_ACTIVE);
    assert_true(auth_scim_read_resource(SLICE_LITERAL("{}"), &active, &err));
    assert_int_equal(active, AUTH_SCIM_UNSAID);
    assert_false(auth_scim_read_resource(SLICE_LITERAL("{\"active\":\"off\"}"), &active, &err));
    assert_false(auth_scim_read_resource(SLICE_LITERAL("[]"), &active, &err));
}

static void test_a_filter_is_of_one_attribute(void **state) {
    (void)state;
    error err = {0};
    auth_scim_filter filter;
    arena *a = arena_new(4096);
    assert_non_null(a);
    assert_true(auth_scim_read_filter(SLICE_LITERAL("userName eq \"Anna@Example.ORG\""), a, &filter, &err));
    assert_true(slice_equal_text(filter.user_name, "anna@example.org") && filter.external_id.length == 0);
    assert_true(auth_scim_read_filter(SLICE_LITERAL("EXTERNALID  EQ \"A \\\"b\""), a, &filter, &err));
    assert_true(slice_equal_text(filter.external_id, "A \"b") && filter.user_name.length == 0);
    assert_true(auth_scim_read_filter((slice){NULL, 0}, a, &filter, &err));
    assert_true(filter.external_id.length == 0 && filter.user_name.length == 0);
    static const char *const bad[] = {
        "userName",         "userName eq",       "userName eq x",
        "userName eq \"\"", "userName ne \"x\"", "userName eq \"x\" or userName eq \"y\"",
        "userName eq \"x",  "title eq \"x\"",    "userName eq [\"x\"]",
        "userName eq null"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (auth_scim_read_filter(slice_of_text(bad[i]), a, &filter, &err)) {
            fail_msg("%s", bad[i]);
        }
    }
    arena_free(a);
}

static void test_each_failed_allocation_is_an_error(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        auth_scim_filter filter;
        auth_scim_active active = AUTH_SCIM_UNSAID;
        fault_fail_nth(nth);
        arena *a = arena_new(4096);
        bool read = a != NULL &&
                    auth_scim_read_filter(SLICE_LITERAL("userName eq \"anna\""), a, &filter, &err) &&
                    auth_scim_read_patch(
                        SLICE_LITERAL(PATCH("{\"op\":\"replace\",\"path\":\"active\",\"value\":false}")),
                        &active, &err);
        reached = fault_stop();
        assert_int_equal(read, !reached);
        arena_free(a);
    }
}

static int start(void **state) {
    (void)state;
    json_start(1);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_patch_says_whether_somebody_is_active),
        cmocka_unit_test(test_what_else_a_patch_says_is_passed_over),
        cmocka_unit_test(test_a_patch_that_can_be_taken_two_ways_is_refused),
        cmocka_unit_test(test_a_whole_resource_says_it_too),
        cmocka_unit_test(test_a_filter_is_of_one_attribute),
        cmocka_unit_test(test_each_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
