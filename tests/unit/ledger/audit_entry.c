#include "ledger/audit_entry.h"

#include "codec/json.h"
#include "crypto/start.h"

#include "unit.h"

static int start(void **state) {
    error err;
    (void)state;
    json_start(1);
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

static audit_entry make_entry(void) {
    audit_entry entry = {.at_ms = 1800000000000,
                         .outcome = AUDIT_ALLOWED,
                         .action = "worker_revoke",
                         .role = "it_admin",
                         .target = "worker 0123456789abcdef0123456789abcdef",
                         .request = "00112233445566778899aabbccddeeff",
                         .approval = "17",
                         .detail = "reason: lost laptop, \"blue\" one"};
    entry.actor.known = true;
    memset(entry.actor.hash, 0x11, HASH_SIZE);
    entry.origin.known = true;
    memset(entry.origin.hash, 0x22, HASH_SIZE);
    return entry;
}

static void test_an_entry_has_one_text_and_is_read_back(void **state) {
    error err;
    audit_entry entry = make_entry();
    audit_entry back;
    buffer bytes = buffer_make(AUDIT_ENTRY_SIZE_MAX);
    (void)state;
    assert_true(audit_entry_write(&entry, &bytes, &err));
    assert_true(
        slice_equal_text(buffer_slice(&bytes),
                         "{\"at_ms\":1800000000000,\"outcome\":\"allowed\",\"action\":\"worker_revoke\","
                         "\"actor\":\"ERERERERERERERERERERERERERERERERERERERERERE\",\"role\":\"it_admin\","
                         "\"target\":\"worker 0123456789abcdef0123456789abcdef\","
                         "\"origin\":\"IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI\","
                         "\"request\":\"00112233445566778899aabbccddeeff\",\"approval\":\"17\","
                         "\"detail\":\"reason: lost laptop, \\\"blue\\\" one\"}"));
    assert_true(audit_entry_parse(buffer_slice(&bytes), &back, &err));
    assert_memory_equal(&back, &entry, sizeof entry);
    buffer_free(&bytes);
}

static void test_the_longest_entry_fits(void **state) {
    error err;
    audit_entry entry = make_entry();
    audit_entry back;
    buffer bytes = buffer_make(AUDIT_ENTRY_SIZE_MAX);
    (void)state;
    entry.person = entry.actor;
    entry.at_ms = (uint64_t)1 << 53;
    memset(entry.action, 'a', AUDIT_WORD_MAX);
    memset(entry.role, '_', AUDIT_WORD_MAX);
    memset(entry.target, '"', AUDIT_TEXT_MAX);
    memset(entry.request, '"', AUDIT_TEXT_MAX);
    memset(entry.approval, '\\', AUDIT_TEXT_MAX);
    memset(entry.detail, '\\', AUDIT_TEXT_MAX);
    assert_true(audit_entry_write(&entry, &bytes, &err));
    assert_true(audit_entry_parse(buffer_slice(&bytes), &back, &err));
    assert_memory_equal(&back, &entry, sizeof entry);
    buffer_free(&bytes);
}

static void test_what_is_no_plain_text_is_not_written(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        error err;
        audit_entry entry = make_entry();
        buffer bytes = buffer_make(AUDIT_ENTRY_SIZE_MAX);
        if (i == 0) {
            entry.action[0] = '\0';
        } else if (i == 1) {
            entry.action[3] = ' ';
        } else if (i == 2) {
            entry.target[2] = '\n';
        } else if (i == 3) {
            entry.detail[0] = (char)0xFF;
        } else if (i == 4) {
            memset(entry.request, 'x', sizeof entry.request);
        } else if (i == 5) {
            entry.outcome = AUDIT_OUTCOME_COUNT;
        } else if (i == 6) {
            entry.role[0] = 'A';
        } else {
            entry.approval[1] = 0x7F;
        }
        assert_false(audit_entry_write(&entry, &bytes, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_int_equal(buffer_length(&bytes), 0);
        buffer_free(&bytes);
    }
}

static void test_another_text_for_the_same_entry_is_refused(void **state) {
    static const char *const wrong[] = {
        "",
        "null",
        "{}",
        "{\"at_ms\":1,\"outcome\":\"noted\"}",
        "{\"at_ms\":1,\"outcome\":\"noted\",\"action\":\"\"}",
        "{\"at_ms\":1,\"outcome\":\"else\",\"action\":\"boot\"}",
        "{\"outcome\":\"noted\",\"at_ms\":1,\"action\":\"boot\"}",
        "{\"at_ms\":1, \"outcome\":\"noted\",\"action\":\"boot\"}",
        "{\"at_ms\":1.0,\"outcome\":\"noted\",\"action\":\"boot\"}",
        "{\"at_ms\":1,\"outcome\":\"noted\",\"action\":\"boot\",\"more\":1}",
        "{\"at_ms\":1,\"outcome\":\"noted\",\"action\":\"boot\",\"role\":\"\"}",
        "{\"at_ms\":1,\"outcome\":\"noted\",\"action\":\"boot\",\"actor\":\"ERER\"}",
        "{\"at_ms\":1,\"outcome\":\"noted\",\"action\":\"b\\u006fot\"}",
        "{\"at_ms\":1,\"outcome\":\"noted\",\"action\":\"boot\"}\n",
        "{\"at_ms\":-1,\"outcome\":\"noted\",\"action\":\"boot\"}",
        "{\"at_ms\":1,\"outcome\":\"noted\",\"action\":\"boot\",\"target\":null}",
    };
    error err;
    audit_entry entry;
    (void)state;
    assert_true(audit_entry_parse(SLICE_LITERAL("{\"at_ms\":1,\"outcome\":\"noted\",\"action\":\"boot\"}"),
                                  &entry, &err));
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (audit_entry_parse(slice_of_text(wrong[i]), &entry, &err)) {
            fail_msg("accepted: %s", wrong[i]);
        }
        assert_int_equal(err.code, ERROR_CORRUPT);
        assert_string_equal(entry.action, "");
    }
}

static void test_a_person_is_known_by_salt_and_name_together(void **state) {
    error err;
    uint8_t salt[AUDIT_SALT_SIZE] = {1};
    audit_person one;
    audit_person two;
    (void)state;
    assert_true(audit_person_make(salt, SLICE_LITERAL("anna"), &one, &err));
    assert_true(audit_person_make(salt, SLICE_LITERAL("anna"), &two, &err));
    assert_true(one.known);
    assert_memory_equal(one.hash, two.hash, HASH_SIZE);
    assert_true(audit_person_make(salt, SLICE_LITERAL("bert"), &two, &err));
    assert_memory_not_equal(one.hash, two.hash, HASH_SIZE);
    salt[15] = 1;
    assert_true(audit_person_make(salt, SLICE_LITERAL("anna"), &two, &err));
    assert_memory_not_equal(one.hash, two.hash, HASH_SIZE);
}

static void test_no_memory_is_told(void **state) {
    (void)state;
    for (int nth = 0;; nth++) {
        error err = {0};
        audit_entry entry = make_entry();
        audit_entry back;
        audit_person person;
        uint8_t salt[AUDIT_SALT_SIZE] = {0};
        buffer bytes = buffer_make(AUDIT_ENTRY_SIZE_MAX);
        fault_fail_nth(nth);
        bool good = audit_entry_write(&entry, &bytes, &err) &&
                    audit_entry_parse(buffer_slice(&bytes), &back, &err) &&
                    audit_person_make(salt, SLICE_LITERAL("anna"), &person, &err);
        bool reached = fault_stop();
        buffer_free(&bytes);
        assert_int_equal(good, !reached);
        if (!reached) {
            break;
        }
        assert_int_equal(err.code, ERROR_MEMORY);
        assert_true(nth < 200);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_has_one_text_and_is_read_back),
        cmocka_unit_test(test_the_longest_entry_fits),
        cmocka_unit_test(test_what_is_no_plain_text_is_not_written),
        cmocka_unit_test(test_another_text_for_the_same_entry_is_refused),
        cmocka_unit_test(test_a_person_is_known_by_salt_and_name_together),
        cmocka_unit_test(test_no_memory_is_told),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
