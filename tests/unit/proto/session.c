#include "proto/session.h"

#include "unit.h"

/* The state after each message from each state; '.' where it isn't allowed. Rows: states in the order of the
 * enum; columns: messages in theirs. a c p s d x: awaiting hello, challenged, proven, serving, draining,
 * closed. */
static const char *const wanted[PROTO_STATE_COUNT] = {
    /* hello challenge proof welcome refuse job delta done scored embedded fail cancel credit drain beat
     * revoke log_ask log_proof rekey new_key rekeyed trust keys */
    "c...x..................", /* awaiting hello */
    ".cp.x..................", /* challenged */
    "...sx..................", /* proven */
    ".....ssssssssdsxsssssss", /* serving */
    "......ddddddd.dxdd.dddd", /* draining */
    ".......................", /* closed */
};

static proto_state state_of(char letter) {
    static const char letters[] = "acpsdx";
    return (proto_state)(strchr(letters, letter) - letters);
}

static void test_each_message_moves_each_state_as_listed(void **state) {
    (void)state;
    for (unsigned from = 0; from < PROTO_STATE_COUNT; from++) {
        assert_int_equal(strlen(wanted[from]), PROTO_TYPE_COUNT);
        for (unsigned type = 0; type < PROTO_TYPE_COUNT; type++) {
            proto_state now = (proto_state)from;
            unsigned code = 1;
            bool allowed =
                proto_session_move(&now, proto_type_sender((proto_type)type), (proto_type)type, &code);
            char letter = wanted[from][type];
            assert_int_equal(allowed, letter != '.');
            assert_int_equal(now, allowed ? state_of(letter) : (proto_state)from);
            assert_int_equal(code, allowed ? 0 : PROTO_CLOSE_VIOLATION);
        }
    }
}

static void test_a_message_from_the_wrong_side_is_a_violation(void **state) {
    (void)state;
    for (unsigned from = 0; from < PROTO_STATE_COUNT; from++) {
        for (unsigned type = 0; type < PROTO_TYPE_COUNT; type++) {
            proto_state now = (proto_state)from;
            unsigned code = 0;
            proto_side other = proto_type_sender((proto_type)type) == PROTO_POOL ? PROTO_WORKER : PROTO_POOL;
            assert_false(proto_session_move(&now, other, (proto_type)type, &code));
            assert_int_equal(now, from);
            assert_int_equal(code, PROTO_CLOSE_VIOLATION);
        }
    }
}

static void test_values_outside_the_table_are_refused(void **state) {
    (void)state;
    proto_state now = PROTO_STATE_COUNT;
    unsigned code = 0;
    assert_false(proto_session_move(&now, PROTO_WORKER, PROTO_HELLO, &code));
    now = PROTO_SERVING;
    assert_false(proto_session_move(&now, PROTO_WORKER, PROTO_TYPE_COUNT, &code));
    assert_string_equal(proto_state_name(PROTO_STATE_COUNT), "unknown");
    assert_string_equal(proto_state_name(PROTO_SERVING), "serving");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_message_moves_each_state_as_listed),
        cmocka_unit_test(test_a_message_from_the_wrong_side_is_a_violation),
        cmocka_unit_test(test_values_outside_the_table_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
