#include "base/log.h"

#include "unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <unistd.h>

/* Standard error goes into a pipe while a test runs; a thread collects it when the test says so. It allocates
 * nothing, since the tests make allocations fail. */
static struct {
    int saved;
    int ends[2];
    pthread_t reader;
    size_t length;
    uint8_t text[16 << 20];
} capture;

static void *read_all(void *unused) {
    (void)unused;
    ssize_t length = 0;
    while ((length = read(capture.ends[0], capture.text + capture.length,
                          sizeof capture.text - 1 - capture.length)) > 0) {
        capture.length += (size_t)length;
    }
    return NULL;
}

static void capture_begin(void) {
    capture.length = 0;
    capture.saved = dup(STDERR_FILENO);
    assert_int_equal(pipe2(capture.ends, O_CLOEXEC), 0);
    assert_int_equal(dup2(capture.ends[1], STDERR_FILENO), STDERR_FILENO);
    close(capture.ends[1]);
}

static void capture_read(void) {
    assert_int_equal(pthread_create(&capture.reader, NULL, read_all, NULL), 0);
}

/* What was written, ending in a zero that doesn't count. */
static slice capture_end(void) {
    dup2(capture.saved, STDERR_FILENO);
    close(capture.saved);
    pthread_join(capture.reader, NULL);
    close(capture.ends[0]);
    assert_true(capture.length < sizeof capture.text - 1);
    capture.text[capture.length] = 0;
    return slice_of(capture.text, capture.length);
}

static int reset(void **state) {
    (void)state;
    log_configure(LOG_INFO, false);
    return 0;
}

static size_t count_of(slice text, uint8_t byte) {
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++) {
        count += text.data[i] == byte;
    }
    return count;
}

static slice log_one(bool json, slice value) {
    log_configure(LOG_DEBUG, json);
    capture_begin();
    capture_read();
    log_info("event name", LOG_SLICE("key", value), LOG_U64("number", INT64_MAX));
    return capture_end();
}

static const char *behind(slice line, const char *key) {
    const char *at = strstr((const char *)line.data, key);
    assert_non_null(at);
    return at + strlen(key);
}

static void test_a_plain_value_stands_as_it_is(void **state) {
    (void)state;
    slice line = log_one(false, SLICE_LITERAL("pool-1.example:8443"));
    assert_string_equal(behind(line, " level="),
                        "info event=\"event name\" key=pool-1.example:8443 number=9223372036854775807\n");
    assert_int_equal(strncmp((const char *)line.data, "time=20", 7), 0);
}

static void test_no_value_forges_a_line_or_a_field(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"x\nlevel=error event=forged", "\"x\\u000alevel=error event=forged\""},
        {"a b", "\"a b\""},
        {"a=b", "\"a=b\""},
        {"", "\"\""},
        {"say \"x\" key=1", "\"say \\\"x\\\" key=1\""},
        {"back\\", "\"back\\\\\""},
        {"\x1B[2J\x7F", "\"\\u001b[2J\\u007f\""},
        {"\xC2\x9B"
         "2J",
         "\"\\u009b2J\""},
        {"\xC3\xA9\xFF", "\"\xC3\xA9\\u00ff\""},
        {"\r\t", "\"\\u000d\\u0009\""},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        slice line = log_one(false, slice_of_text(pairs[i][0]));
        assert_int_equal(count_of(line, '\n'), 1);
        char expected[128];
        snprintf(expected, sizeof expected, "%s number=9223372036854775807\n", pairs[i][1]);
        assert_string_equal(behind(line, " key="), expected);
    }
}

static void test_json_lines_are_valid_whatever_the_value(void **state) {
    (void)state;
    uint8_t value[300];
    for (size_t i = 0; i < sizeof value; i++) {
        value[i] = (uint8_t)i;
    }
    slice values[] = {slice_of(value, sizeof value),
                      slice_of(value, 128),
                      slice_of(value + 128, 100),
                      SLICE_LITERAL("\"}\n{\"x\":\""),
                      SLICE_LITERAL("\xC3\xA9 \xF0\x9F\x98\x80"),
                      slice_of(NULL, 0)};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        slice line = log_one(true, values[i]);
        assert_int_equal(count_of(line, '\n'), 1);
        json_t *root = json_loadb((const char *)line.data, line.length, JSON_REJECT_DUPLICATES, NULL);
        /* jansson takes no U+0000 unless told to; the value with all bytes has one. */
        json_t *zero =
            root != NULL ? NULL : json_loadb((const char *)line.data, line.length, JSON_ALLOW_NUL, NULL);
        const json_t *line_object = root != NULL ? root : zero;
        assert_non_null(line_object);
        assert_string_equal(json_string_value(json_object_get(line_object, "event")), "event name");
        assert_string_equal(json_string_value(json_object_get(line_object, "level")), "info");
        assert_non_null(json_object_get(line_object, "time"));
        assert_non_null(json_object_get(line_object, "key"));
        json_decref(root);
        json_decref(zero);
    }
}

static void test_a_long_value_is_cut_between_characters_and_its_line_kept(void **state) {
    (void)state;
    static char value[20001];
    for (size_t shift = 0; shift < 4; shift++) {
        memset(value, 'a', shift);
        for (size_t i = shift; i + 4 <= 20000; i += 4) {
            memcpy(value + i, "\xF0\x9F\x98\x80", 4);
        }
        slice line = log_one(false, slice_of(value, 20000));
        assert_true(line.length > 1000 && line.length < 1400);
        assert_true(slice_is_utf8(line));
        assert_non_null(strstr((const char *)line.data, "...\" number=9223372036854775807\n"));
    }
}

static void test_lines_below_the_least_level_are_not_written(void **state) {
    (void)state;
    log_configure(LOG_WARNING, false);
    capture_begin();
    capture_read();
    log_info("quiet");
    log_debug("quiet");
    log_warning("loud");
    slice text = capture_end();
    assert_int_equal(count_of(text, '\n'), 1);
    assert_non_null(strstr((const char *)text.data, "event=loud"));
    log_level level = LOG_DEBUG;
    assert_true(log_level_parse("error", &level));
    assert_int_equal(level, LOG_ERROR);
    assert_false(log_level_parse("loud", &level));
}

/* Nobody reads at first: the pipe fills, the queue fills, the rest is dropped without holding up the caller.
 */
static void test_a_full_queue_drops_lines_and_says_how_many(void **state) {
    (void)state;
    error err;
    enum { LINES = 30000 };
    log_configure(LOG_INFO, false);
    capture_begin();
    assert_true(log_start(&err));
    for (uint64_t i = 0; i < LINES; i++) {
        log_info("line", LOG_U64("number", i),
                 LOG_TEXT("padding", "0123456789012345678901234567890123456789"));
    }
    capture_read();
    log_stop();
    slice text = capture_end();
    uint64_t written = 0;
    uint64_t dropped = 0;
    while (text.length > 0) {
        slice line = slice_part(text, 0, slice_find(text, '\n'));
        size_t at = slice_find_slice(line, SLICE_LITERAL("log lines dropped\" count="));
        uint64_t count = 0;
        if (at == SIZE_MAX) {
            written++;
        } else {
            assert_true(slice_to_u64(slice_after(line, at + 25), &count));
            dropped += count;
        }
        text = slice_after(text, line.length + 1);
    }
    assert_true(dropped > 0);
    assert_int_equal(written + dropped, LINES);
}

static void *log_many(void *name) {
    for (uint64_t i = 0; i < 500; i++) {
        log_info("line", LOG_TEXT("thread", name), LOG_U64("number", i));
    }
    return NULL;
}

static void test_lines_from_many_threads_stay_whole(void **state) {
    (void)state;
    error err;
    pthread_t threads[4];
    char names[4][8] = {"a", "b", "c", "d"};
    log_configure(LOG_INFO, true);
    capture_begin();
    capture_read();
    assert_true(log_start(&err));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    log_stop();
    slice text = capture_end();
    assert_int_equal(count_of(text, '\n'), 2000);
    while (text.length > 0) {
        size_t length = slice_find(text, '\n');
        json_t *root = json_loadb((const char *)text.data, length, 0, NULL);
        assert_non_null(root);
        json_decref(root);
        text = slice_after(text, length + 1);
    }
}

static void test_a_line_lost_to_memory_is_counted_and_told(void **state) {
    (void)state;
    error err;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        log_configure(LOG_INFO, false);
        capture_begin();
        capture_read();
        fault_fail_nth(nth);
        bool started = log_start(&err);
        log_info("first");
        log_info("second");
        log_stop();
        reached = fault_stop();
        bool restarted = log_start(&err);
        log_stop();
        slice text = capture_end();
        assert_true(restarted);
        assert_true(started || err.code == ERROR_MEMORY);
        int lost = (strstr((const char *)text.data, "event=first") == NULL) +
                   (strstr((const char *)text.data, "event=second") == NULL);
        assert_int_equal(lost, reached && started ? 1 : 0);
        assert_int_equal(strstr((const char *)text.data, "log lines dropped\" count=1\n") != NULL, lost == 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_a_plain_value_stands_as_it_is, reset),
        cmocka_unit_test_teardown(test_no_value_forges_a_line_or_a_field, reset),
        cmocka_unit_test_teardown(test_json_lines_are_valid_whatever_the_value, reset),
        cmocka_unit_test_teardown(test_a_long_value_is_cut_between_characters_and_its_line_kept, reset),
        cmocka_unit_test_teardown(test_lines_below_the_least_level_are_not_written, reset),
        cmocka_unit_test_teardown(test_a_full_queue_drops_lines_and_says_how_many, reset),
        cmocka_unit_test_teardown(test_lines_from_many_threads_stay_whole, reset),
        cmocka_unit_test_teardown(test_a_line_lost_to_memory_is_counted_and_told, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
