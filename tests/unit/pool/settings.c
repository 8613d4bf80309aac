#include "settings.h"
#include "base/memory.h"
#include "model_files.h"

#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/cellule-settings-XXXXXX";

static void write_settings(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_file(void **state) {
    (void)state;
    int descriptor = mkstemp(path);
    return descriptor < 0 ? -1 : close(descriptor);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static void test_absent_keys_take_their_defaults(void **state) {
    (void)state;
    pool_settings settings;
    error err = {0};
    static const char *const texts[] = {"", "# nothing\n\n  # but comments\n", "queue_limit: 7\n"};
    for (size_t i = 0; i < 3; i++) {
        write_settings(texts[i]);
        assert_true(pool_settings_load(path, &settings, &err));
        assert_string_equal(settings.listen, "0.0.0.0:8443");
        assert_int_equal(settings.beat_ms, 10000);
        assert_int_equal(settings.queue_limit, i == 2 ? 7 : 1000);
        pool_settings_free(&settings);
    }
}

static void test_what_is_wrong_is_named(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *named;
    } cases[] = {
        {"queue_limit: 0\n", "queue_limit"},
        {"queue_limit: 1000001\n", "queue_limit"},
        {"queue_limit: many\n", "queue_limit"},
        {"queue_limit: -1\n", "queue_limit: -1 is"},
        {"verify_floor: 3.5\n", "verify_floor: 3.5 is not a whole number"},
        {"beat_ms: 10s\n", "beat_ms: 10s is"},
        {"queue_limit: 99999999999999999999\n", "queue_limit: 99999999999999999999 is"},
        {"no_such_setting: 1\n", "no_such_setting"},
        {"log_level: loud\n", "log_level"},
        {"log_format: xml\n", "log_format"},
        {"max_tokens_default: 5000\nmax_tokens_limit: 4000\n", "max_tokens_default"},
        {"- a\n- list\n", ""},
        {"listen: [1, 2\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pool_settings settings;
        error err = {0};
        write_settings(cases[i].text);
        assert_false(pool_settings_load(path, &settings, &err));
        assert_true(err.code == ERROR_INVALID);
        assert_non_null(strstr(err.text, cases[i].named));
        assert_non_null(strstr(err.text, path));
    }
}

static void test_a_missing_file_is_an_error(void **state) {
    (void)state;
    pool_settings settings;
    error err = {0};
    assert_false(pool_settings_load("/nonexistent/pool.yaml", &settings, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
}

/* What is described is valid YAML once the #s before the keys are gone, and gives the defaults. */
static void test_the_description_holds_every_default(void **state) {
    (void)state;
    pool_settings described;
    pool_settings defaults;
    error err = {0};
    char *text = pool_settings_describe();
    assert_non_null(text);
    for (char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n'), line += line != NULL) {
        if (line[0] == '#' && line[1] != ' ') {
            line[0] = ' ';
        }
    }
    for (char *at = strstr(text, "\n "); at != NULL; at = strstr(at + 1, "\n ")) {
        memmove(at + 1, at + 2, strlen(at + 2) + 1);
    }
    write_settings(text);
    memory_free(text);
    assert_true(pool_settings_load(path, &described, &err));
    assert_true(pool_settings_load(NULL, &defaults, &err));
#define NUMBER(name, initial, least, most, when, doc) assert_int_equal(described.name, defaults.name);
#define TEXT(name, initial, when, doc) assert_string_equal(described.name, defaults.name);
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
    pool_settings_free(&described);
    pool_settings_free(&defaults);
}

static void test_what_counts_at_start_only_is_not_exchanged(void **state) {
    (void)state;
    pool_settings running;
    pool_settings read;
    error err = {0};
    assert_true(pool_settings_load(NULL, &running, &err));
    write_settings("queue_limit: 7\nbeat_ms: 200\nlisten: \"127.0.0.1:1\"\nlog_level: debug\n");
    assert_true(pool_settings_load(path, &read, &err));
    pool_settings_swap(&running, &read);
    buffer names = buffer_make(1024);
    pool_settings_list_waiting(&running, &read, &names);
    assert_true(slice_equal_text(buffer_slice(&names), "listen, beat_ms"));
    buffer_free(&names);
    assert_int_equal(running.queue_limit, 7);
    assert_int_equal(running.beat_ms, 10000);
    assert_string_equal(running.listen, "0.0.0.0:8443");
    assert_string_equal(running.log_level, "debug");
    pool_settings_swap(&running, &read);
    assert_int_equal(running.queue_limit, 1000);
    assert_string_equal(running.log_level, "info");
    pool_settings_free(&running);
    pool_settings_free(&read);
}

static void test_each_failed_allocation_is_an_error(void **state) {
    (void)state;
    bool reached = true;
    write_settings("queue_limit: 7\nlisten: \"127.0.0.1:1\"\n");
    for (int nth = 0; reached; nth++) {
        pool_settings settings;
        error err = {0};
        fault_fail_nth(nth);
        bool loaded = pool_settings_load(path, &settings, &err);
        reached = fault_stop();
        assert_int_equal(loaded, !reached);
        pool_settings_free(&settings);
    }
}

#define DIGEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_files_of_models_are_told_by_name_digest_and_profile(void **state) {
    (void)state;
    const char *list = " demo=" DIGEST ":exact-2, ,demo =" DIGEST ":exact-3,big=" DIGEST;
    const slice demo = SLICE_LITERAL("demo");
    uint8_t digest[HASH_SIZE];
    error err = {0};
    assert_true(hex_decode(SLICE_LITERAL(DIGEST), digest, sizeof digest));
    assert_true(model_files_check(list, &err));
    assert_true(model_files_check("", &err));
    assert_true(model_files_allow(list, demo, digest, SLICE_LITERAL("exact-3")));
    assert_false(model_files_allow(list, demo, digest, SLICE_LITERAL("exact-4")));
    assert_true(model_files_allow(list, SLICE_LITERAL("big"), digest, SLICE_LITERAL("exact-4")));
    digest[31] ^= 1;
    assert_false(model_files_allow(list, demo, digest, SLICE_LITERAL("exact-2")));
    assert_false(model_files_allow(list, SLICE_LITERAL("big"), digest, SLICE_LITERAL("exact-2")));
    assert_true(model_files_allow(list, SLICE_LITERAL("other"), digest, SLICE_LITERAL("exact-2")));
    for (size_t i = 0; i < 4; i++) {
        const char *const bad[] = {"demo", "demo=" DIGEST "0", "=" DIGEST, "demo=" DIGEST ", big=00"};
        assert_false(model_files_check(bad[i], &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_false(model_files_allow(bad[i], SLICE_LITERAL("other"), digest, demo));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_of_models_are_told_by_name_digest_and_profile),
        cmocka_unit_test(test_absent_keys_take_their_defaults),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_a_missing_file_is_an_error),
        cmocka_unit_test(test_the_description_holds_every_default),
        cmocka_unit_test(test_what_counts_at_start_only_is_not_exchanged),
        cmocka_unit_test(test_each_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
