#include "serve/text_filter.h"

#include "unit.h"

/* Feeds `parts` (ended by NULL); gives what came out, with | after each call. `*stopped` as the filter says.
 */
static void feed(const slice *stops, size_t stop_count, const char *const *parts, char out[256],
                 bool *stopped) {
    error err;
    text_filter f;
    slice text;
    size_t length = 0;
    *stopped = false;
    assert_true(text_filter_start(&f, stops, stop_count, &err));
    for (size_t i = 0; parts[i] != NULL && !*stopped; i++) {
        assert_true(text_filter_add(&f, slice_of_text(parts[i]), &text, stopped, &err));
        assert_true(slice_is_utf8(text));
        length += (size_t)snprintf(out + length, 256 - length, "%.*s|", SLICE_FORMAT(text));
    }
    if (!*stopped) {
        assert_true(text_filter_finish(&f, &text, &err));
        assert_true(slice_is_utf8(text));
        snprintf(out + length, 256 - length, "%.*s", SLICE_FORMAT(text));
    }
    text_filter_free(&f);
}

static void test_characters_are_held_until_whole(void **state) {
    (void)state;
    char out[256];
    bool stopped = false;
    const char *const parts[] = {"a\xe2", "\x82", "\xac", "\xf0\x9f", "\x98\x80z", NULL};
    feed(NULL, 0, parts, out, &stopped);
    assert_string_equal(out, "a||\xe2\x82\xac||\xf0\x9f\x98\x80z|");
}

static void test_bytes_that_are_no_character_become_the_replacement_mark(void **state) {
    (void)state;
    char out[256];
    bool stopped = false;
    const char *const broken[] = {"\xff", "\xe2\x82", "b\x80", "\xed\xa0\x80", "\xf0\x9f", NULL};
    feed(NULL, 0, broken, out, &stopped);
    assert_string_equal(out, "\xef\xbf\xbd||\xef\xbf\xbd"
                             "b\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd||\xef\xbf\xbd");
}

static void test_what_may_become_a_stop_string_is_held_back(void **state) {
    (void)state;
    char out[256];
    bool stopped = false;
    const slice stops[] = {SLICE_LITERAL("END"), SLICE_LITERAL("\n\n"), SLICE_LITERAL("EEEX")};
    const char *const cut[] = {"one E", "N", "D two", NULL};
    feed(stops, 3, cut, out, &stopped);
    assert_true(stopped);
    assert_string_equal(out, "one |||");
    const char *const not_quite[] = {"one E", "N", "Z\n", "x", "EEEE", "N", NULL};
    feed(stops, 3, not_quite, out, &stopped);
    assert_false(stopped);
    assert_string_equal(out, "one ||ENZ|\nx|E|EE|EN");
    const char *const within[] = {"abc\n\ndef", NULL};
    feed(stops, 3, within, out, &stopped);
    assert_true(stopped);
    assert_string_equal(out, "abc|");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters_are_held_until_whole),
        cmocka_unit_test(test_bytes_that_are_no_character_become_the_replacement_mark),
        cmocka_unit_test(test_what_may_become_a_stop_string_is_held_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
