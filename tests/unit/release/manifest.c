#include "release/manifest.h"

#include "unit.h"

#define DIGEST_A "1111111111111111111111111111111111111111111111111111111111111111"
#define DIGEST_B "2222222222222222222222222222222222222222222222222222222222222222"
#define HEAD "cellule release v1\nversion 1.20.3\nexpires 1795305600\n"
#define GOOD HEAD "file " DIGEST_A " 0 LICENSE\nfile " DIGEST_B " 4711 bin/cellule\n"

static release_manifest m;

static bool takes(const char *text) {
    error err = {0};
    bool taken = release_manifest_parse(slice_of_text(text), &m, &err);
    assert_true(taken || err.code == ERROR_INVALID || err.code == ERROR_LIMIT);
    return taken;
}

static void test_a_manifest_is_read_and_written_as_the_same_text(void **state) {
    error err;
    buffer text = buffer_make(RELEASE_NOTE_MAX);
    (void)state;
    assert_true(takes(GOOD));
    assert_int_equal(m.count, 2);
    assert_int_equal(m.version.numbers[1], 20);
    assert_int_equal(m.expires_s, 1795305600);
    assert_string_equal(m.files[1].path, RELEASE_PROGRAM);
    assert_int_equal(m.files[1].size, 4711);
    assert_int_equal(m.files[1].digest[31], 0x22);
    assert_true(release_manifest_write(&m, &text, &err));
    assert_true(slice_equal_text(buffer_slice(&text), GOOD));
    buffer_free(&text);
}

static void test_a_file_is_found_by_its_whole_path(void **state) {
    (void)state;
    assert_true(takes(GOOD));
    assert_ptr_equal(release_manifest_find(&m, SLICE_LITERAL(RELEASE_PROGRAM)), &m.files[1]);
    assert_null(release_manifest_find(&m, SLICE_LITERAL("bin/cellul")));
    assert_null(release_manifest_find(&m, SLICE_LITERAL("bin/cellule2")));
    assert_null(release_manifest_find(&m, SLICE_LITERAL("")));
}

static void test_every_part_of_a_manifest_has_one_form(void **state) {
    static const char *const bad[] = {
        "",
        HEAD,
        "cellule release v2\nversion 1.20.3\nexpires 1\nfile " DIGEST_A " 0 a\n",
        "cellule release v1\nversion 1.20\nexpires 1\nfile " DIGEST_A " 0 a\n",
        "cellule release v1\nversion 1.20.03\nexpires 1\nfile " DIGEST_A " 0 a\n",
        "cellule release v1\nversion 1.20.3.4\nexpires 1\nfile " DIGEST_A " 0 a\n",
        "cellule release v1\nversion 1.20.4294967296\nexpires 1\nfile " DIGEST_A " 0 a\n",
        "cellule release v1\nversion 1.20.3-rc1\nexpires 1\nfile " DIGEST_A " 0 a\n",
        "cellule release v1\nversion 1.20.3\nexpires -1\nfile " DIGEST_A " 0 a\n",
        "cellule release v1\nversion 1.20.3\nexpires 01\nfile " DIGEST_A " 0 a\n",
        "cellule release v1\nexpires 1\nversion 1.20.3\nfile " DIGEST_A " 0 a\n",
        HEAD "file " DIGEST_A " 0 a",
        HEAD "file " DIGEST_A " 0 a\n\n",
        HEAD "file " DIGEST_A " 0 a\nmore\n",
        HEAD "file " DIGEST_A "  0 a\n",
        HEAD "file " DIGEST_A " 00 a\n",
        HEAD "file " DIGEST_A " 0\n",
        HEAD "file " DIGEST_A " 0 \n",
        HEAD "file " DIGEST_A " a\n",
        HEAD "file 1111 0 a\n",
        HEAD "file AAAA111111111111111111111111111111111111111111111111111111111111 0 a\n",
        HEAD "file " DIGEST_A " 0 b\nfile " DIGEST_A " 0 a\n",
        HEAD "file " DIGEST_A " 0 a\nfile " DIGEST_B " 0 a\n",
        HEAD "file " DIGEST_A " 18446744073709551616 a\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (takes(bad[i])) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

static void test_no_path_leads_out_of_the_release_or_is_hidden(void **state) {
    static const char *const bad[] = {"/etc/passwd", "../a", "a/../b",   "a/..", ".a",   "a/.b",
                                      "a//b",        "a/",   "/",        "a b",  "a\\b", "a\tb",
                                      "-a",          "a:b",  "\xC3\xA4", "a*"};
    static const char *const good[] = {"a", "a/b", "a/b.c", "share/man/man1/cellule.1", "a..b", "x_y+z-1"};
    char text[512];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, HEAD "file " DIGEST_A " 0 %s\n", bad[i]);
        if (takes(text)) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, HEAD "file " DIGEST_A " 0 %s\n", good[i]);
        if (!takes(text)) {
            fail_msg("refused: %s", good[i]);
        }
    }
    char path[RELEASE_PATH_MAX + 2] = {0};
    memset(path, 'a', RELEASE_PATH_MAX);
    snprintf(text, sizeof text, HEAD "file " DIGEST_A " 0 %s\n", path);
    assert_true(takes(text));
    snprintf(text, sizeof text, HEAD "file " DIGEST_A " 0 %sa\n", path);
    assert_false(takes(text));
}

static void test_what_can_not_be_read_is_not_written(void **state) {
    error err;
    buffer text = buffer_make(RELEASE_NOTE_MAX);
    (void)state;
    assert_true(takes(GOOD));
    m.count = 0;
    assert_false(release_manifest_write(&m, &text, &err));
    m.count = RELEASE_FILES_MAX + 1;
    assert_false(release_manifest_write(&m, &text, &err));
    assert_true(takes(GOOD));
    snprintf(m.files[1].path, sizeof m.files[1].path, "A");
    assert_false(release_manifest_write(&m, &text, &err)); /* before LICENSE */
    snprintf(m.files[1].path, sizeof m.files[1].path, "LICENSE");
    assert_false(release_manifest_write(&m, &text, &err)); /* twice */
    assert_int_equal(buffer_length(&text), 0);
    buffer_free(&text);
}

static void test_more_files_than_a_release_has_are_refused(void **state) {
    buffer text = buffer_make(65536);
    error err;
    (void)state;
    buffer_append_text(&text, HEAD);
    for (unsigned i = 0; i < RELEASE_FILES_MAX; i++) {
        buffer_append_format(&text, "file " DIGEST_A " 0 f%04u\n", i);
    }
    assert_true(release_manifest_parse(buffer_slice(&text), &m, &err));
    buffer_append_text(&text, "file " DIGEST_A " 0 g\n");
    assert_false(release_manifest_parse(buffer_slice(&text), &m, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    buffer_free(&text);
}

static void test_it_expires_at_the_second_that_it_names(void **state) {
    error err;
    (void)state;
    assert_true(takes(GOOD));
    assert_true(release_manifest_is_current(&m, 1795305599, &err));
    assert_false(release_manifest_is_current(&m, 1795305600, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    assert_non_null(strstr(err.text, "release 1.20.3 has expired on 2026-11-22"));
}

static void test_versions_are_ordered_as_numbers(void **state) {
    static const char *const ascending[] = {"0.0.0",  "0.0.9", "0.0.10",        "0.1.0",
                                            "0.10.0", "1.0.0", "1.0.4294967295"};
    (void)state;
    for (size_t i = 0; i < sizeof ascending / sizeof ascending[0]; i++) {
        release_version a;
        char text[RELEASE_VERSION_SIZE];
        assert_true(release_version_parse(slice_of_text(ascending[i]), &a));
        release_version_write(&a, text);
        assert_string_equal(text, ascending[i]);
        for (size_t j = 0; j < sizeof ascending / sizeof ascending[0]; j++) {
            release_version b;
            assert_true(release_version_parse(slice_of_text(ascending[j]), &b));
            int order = release_version_compare(&a, &b);
            assert_int_equal(order, i < j ? -1 : i > j ? 1 : 0);
        }
    }
}

static void test_days_are_read_and_written(void **state) {
    static const struct {
        const char *text;
        uint64_t unix_s;
    } days[] = {{"1970-01-01", 0},          {"2000-02-29", 951782400},  {"2024-12-31", 1735603200},
                {"2100-03-01", 4107542400}, {"2026-11-22", 1795305600}, {"9999-12-31", 253402214400}};
    static const char *const bad[] = {"",           "2026-11-2",  "2026-13-01", "2026-00-01",
                                      "2026-02-29", "1900-01-01", "2100-02-29", "2026-11-31",
                                      "2026/11/22", "26-11-22",   "2026-11-22x"};
    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        uint64_t unix_s = 1;
        char text[RELEASE_DATE_SIZE];
        assert_true(release_date_parse(slice_of_text(days[i].text), &unix_s));
        assert_int_equal(unix_s, days[i].unix_s);
        release_date_write(unix_s + 86399, text);
        assert_string_equal(text, days[i].text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t unix_s;
        assert_false(release_date_parse(slice_of_text(bad[i]), &unix_s));
    }
    char text[RELEASE_DATE_SIZE];
    release_date_write(UINT64_MAX, text);
    assert_string_equal(text, "9999-12-31");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_manifest_is_read_and_written_as_the_same_text),
        cmocka_unit_test(test_a_file_is_found_by_its_whole_path),
        cmocka_unit_test(test_every_part_of_a_manifest_has_one_form),
        cmocka_unit_test(test_no_path_leads_out_of_the_release_or_is_hidden),
        cmocka_unit_test(test_what_can_not_be_read_is_not_written),
        cmocka_unit_test(test_more_files_than_a_release_has_are_refused),
        cmocka_unit_test(test_it_expires_at_the_second_that_it_names),
        cmocka_unit_test(test_versions_are_ordered_as_numbers),
        cmocka_unit_test(test_days_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
