#include "ledger/messages.h"

#include "unit.h"

/* Reads it into `memory`, which is made anew. */
static bool read_list(const char *text, arena *memory, receipt_message **messages, size_t *count,
                      error *err) {
    json_value *root = json_parse(slice_of_text(text), (json_limits){.size = 65536, .depth = 8}, err);
    bool good = root != NULL && messages_read(root, memory, messages, count, err);
    json_free(root);
    return good;
}

static const char two[] = "[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":["
                          "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"\"},"
                          "{\"type\":\"text\",\"text\":\"é\"}],\"name\":\"x\"}]";

static void test_strings_and_parts_of_text_are_read(void **state) {
    (void)state;
    arena *memory = arena_new(65536);
    receipt_message *messages = NULL;
    size_t count = 0;
    error err = {0};
    assert_true(read_list(two, memory, &messages, &count, &err));
    assert_int_equal(count, 2);
    assert_true(slice_equal_text(messages[0].role, "system") && slice_equal_text(messages[0].content, "s"));
    assert_true(slice_equal_text(messages[1].role, "user") && slice_equal_text(messages[1].content, "aé"));
    arena_free(memory);
}

static void test_what_is_no_question_is_refused(void **state) {
    static const char *const wrong[] = {
        "[]",
        "{}",
        "[1]",
        "[{}]",
        "[{\"role\":\"user\"}]",
        "[{\"role\":\"user\",\"content\":null}]",
        "[{\"role\":\"user\",\"content\":1}]",
        "[{\"role\":\"robot\",\"content\":\"a\"}]",
        "[{\"role\":7,\"content\":\"a\"}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"text\":\"a\"}]}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":1}]}]",
        "[{\"role\":\"user\",\"content\":[\"a\"]}]",
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        arena *memory = arena_new(65536);
        receipt_message *messages = NULL;
        size_t count = 0;
        error err = {0};
        assert_false(read_list(wrong[i], memory, &messages, &count, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        arena_free(memory);
    }
}

static void test_each_failed_allocation_is_an_error(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        arena *memory = arena_new(65536);
        receipt_message *messages = NULL;
        size_t count = 0;
        error err = {0};
        assert_non_null(memory);
        fault_fail_nth(nth);
        bool good = read_list(two, memory, &messages, &count, &err);
        reached = fault_stop();
        assert_true(good != reached);
        assert_true(good || err.code == ERROR_MEMORY);
        arena_free(memory);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_and_parts_of_text_are_read),
        cmocka_unit_test(test_what_is_no_question_is_refused),
        cmocka_unit_test(test_each_failed_allocation_is_an_error),
    };
    json_start(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
