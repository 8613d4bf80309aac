#include "people.h"

#define DIGEST "1111111111111111111111111111111111111111111111111111111111111111"
#define MANIFEST "cellule release v1\nversion 1.2.3\nexpires 1795305600\nfile " DIGEST " 0 bin/cellule\n"

static release_manifest manifest;

static bool opens(const maintainers *m, const char *who, error *err) {
    buffer note_bytes = sign_text(SLICE_LITERAL(MANIFEST), who);
    bool opened = maintainers_open_manifest(m, buffer_slice(&note_bytes), &manifest, err);
    buffer_free(&note_bytes);
    return opened;
}

static void test_enough_of_them_must_sign(void **state) {
    error err;
    maintainers m = list_of(1, 2, 3);
    (void)state;
    assert_true(opens(&m, "01", &err));
    assert_int_equal(manifest.count, 1);
    assert_true(opens(&m, "20", &err));
    assert_true(opens(&m, "012", &err));
    assert_false(opens(&m, "1", &err));
    assert_int_equal(err.code, ERROR_DENIED);
    assert_non_null(
        strstr(err.text, "1 of the maintainers signed it, and 2 must: missing is one of ann, eve"));
    assert_false(opens(&m, "3", &err)); /* a stranger */
    assert_non_null(
        strstr(err.text, "0 of the maintainers signed it, and 2 must: missing are some of ann, bob, eve"));
    assert_false(opens(&m, "13", &err));
}

static void test_who_signs_twice_counts_once(void **state) {
    error err;
    maintainers m = list_of(1, 2, 3);
    (void)state;
    assert_false(opens(&m, "00", &err));
    assert_int_equal(err.code, ERROR_DENIED);
}

static void test_a_false_signature_refuses_the_whole(void **state) {
    error err;
    maintainers m = list_of(1, 1, 2);
    buffer note_bytes = sign_text(SLICE_LITERAL(MANIFEST), "01");
    buffer other = sign_text(SLICE_LITERAL("another text\n"), "1");
    buffer mixed = buffer_make(RELEASE_NOTE_MAX);
    (void)state;
    slice first = buffer_slice(&note_bytes);
    buffer_append(&mixed, slice_part(first, 0, slice_find_slice(first, SLICE_LITERAL("\xE2\x80\x94 bob"))));
    buffer_append(&mixed, slice_after(buffer_slice(&other), strlen("another text\n\n")));
    assert_false(maintainers_open_manifest(&m, buffer_slice(&mixed), &manifest, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_non_null(strstr(err.text, "bob"));
    buffer_free(&note_bytes);
    buffer_free(&other);
    buffer_free(&mixed);
}

static void test_a_change_anywhere_in_a_signed_manifest_is_refused(void **state) {
    error err;
    maintainers m = list_of(1, 2, 2);
    buffer note_bytes = sign_text(SLICE_LITERAL(MANIFEST), "01");
    (void)state;
    assert_true(maintainers_open_manifest(&m, buffer_slice(&note_bytes), &manifest, &err));
    for (size_t i = 0; i < buffer_length(&note_bytes); i++) {
        note_bytes.bytes[i] ^= 1;
        if (maintainers_open_manifest(&m, buffer_slice(&note_bytes), &manifest, &err)) {
            fail_msg("byte %zu may be changed", i);
        }
        note_bytes.bytes[i] ^= 1;
    }
    for (size_t length = 0; length < buffer_length(&note_bytes); length++) {
        assert_false(
            maintainers_open_manifest(&m, slice_part(buffer_slice(&note_bytes), 0, length), &manifest, &err));
    }
    buffer_free(&note_bytes);
}

static void test_a_list_is_read_and_written_as_the_same_text(void **state) {
    error err;
    maintainers m = list_of(7, 2, 3);
    maintainers read;
    buffer text = buffer_make(RELEASE_NOTE_MAX);
    (void)state;
    assert_true(maintainers_write(&m, &text, &err));
    assert_true(maintainers_parse(buffer_slice(&text), &read, &err));
    assert_int_equal(read.generation, 7);
    assert_int_equal(read.threshold, 2);
    assert_int_equal(read.count, 3);
    assert_memory_equal(&read.keys[2], &m.keys[2], sizeof m.keys[2]);
    for (size_t length = 0; length + 1 < buffer_length(&text); length++) {
        slice part = slice_part(buffer_slice(&text), 0, length);
        assert_true(!maintainers_parse(part, &read, &err) || part.data[part.length - 1] == '\n');
    }
    buffer_free(&text);
}

static void test_a_list_that_would_count_one_key_twice_is_none(void **state) {
    error err;
    buffer text = buffer_make(RELEASE_NOTE_MAX);
    maintainers m = list_of(1, 2, 2);
    (void)state;
    m.keys[1] = m.keys[0];
    assert_false(maintainers_write(&m, &text, &err));
    snprintf(m.keys[1].name, sizeof m.keys[1].name, "other");
    assert_false(maintainers_write(&m, &text, &err)); /* the same key under two names */
    assert_int_equal(err.code, ERROR_INVALID);
    m = list_of(1, 2, 2);
    snprintf(m.keys[1].name, sizeof m.keys[1].name, "ann");
    assert_false(maintainers_write(&m, &text, &err));
    m = list_of(1, 3, 2);
    assert_false(maintainers_write(&m, &text, &err)); /* nobody could sign */
    m = list_of(1, 0, 2);
    assert_false(maintainers_write(&m, &text, &err)); /* nobody would have to */
    m = list_of(0, 1, 2);
    assert_false(maintainers_write(&m, &text, &err));
    m = list_of(1, 1, 0);
    assert_false(maintainers_write(&m, &text, &err));
    m = list_of(1, 1, 1);
    m.keys[0].kind = NOTE_COSIGNATURE;
    assert_false(maintainers_write(&m, &text, &err));
    buffer_free(&text);
}

static bool follows(maintainers *m, const maintainers *next, const char *who, error *err) {
    error failure;
    buffer text = buffer_make(RELEASE_NOTE_MAX);
    assert_true(maintainers_write(next, &text, &failure));
    buffer note_bytes = sign_text(buffer_slice(&text), who);
    bool taken = maintainers_succeed(m, buffer_slice(&note_bytes), err);
    buffer_free(&text);
    buffer_free(&note_bytes);
    return taken;
}

/* ann, bob and eve; then bob and dan. */
static maintainers later(uint64_t generation) {
    maintainers next = {.generation = generation, .threshold = 2, .count = 2};
    next.keys[0] = person(1);
    next.keys[1] = person(3);
    return next;
}

static void test_the_next_list_is_signed_by_enough_of_both(void **state) {
    error err;
    maintainers m = list_of(1, 2, 3);
    maintainers next = later(2);
    (void)state;
    assert_false(follows(&m, &next, "13", &err)); /* the new ones alone */
    assert_non_null(strstr(err.text, "by the one before"));
    assert_false(follows(&m, &next, "012", &err)); /* dan hasn't shown his key */
    assert_non_null(strstr(err.text, "by its own"));
    assert_int_equal(m.generation, 1);
    assert_true(follows(&m, &next, "013", &err));
    assert_int_equal(m.generation, 2);
    assert_false(opens(&m, "02", &err)); /* they were enough before */
    assert_true(opens(&m, "13", &err));
}

static void test_only_the_next_generation_follows(void **state) {
    error err;
    maintainers m = list_of(5, 2, 3);
    (void)state;
    static const uint64_t wrong[] = {1, 4, 5, 7, UINT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        maintainers next = later(wrong[i]);
        assert_false(follows(&m, &next, "013", &err));
        assert_non_null(strstr(err.text, "doesn't follow 5"));
    }
    assert_int_equal(m.generation, 5);
}

static void test_a_list_is_no_manifest_and_a_manifest_no_list(void **state) {
    error err;
    maintainers m = list_of(1, 1, 1);
    maintainers next = list_of(2, 1, 1);
    buffer text = buffer_make(RELEASE_NOTE_MAX);
    (void)state;
    assert_true(maintainers_write(&next, &text, &err));
    buffer list_note = sign_text(buffer_slice(&text), "0");
    buffer manifest_note = sign_text(SLICE_LITERAL(MANIFEST), "0");
    assert_false(maintainers_open_manifest(&m, buffer_slice(&list_note), &manifest, &err));
    assert_false(maintainers_succeed(&m, buffer_slice(&manifest_note), &err));
    buffer_free(&text);
    buffer_free(&list_note);
    buffer_free(&manifest_note);
}

static void test_no_memory_is_neither_a_yes_nor_a_leak(void **state) {
    error err;
    maintainers m = list_of(1, 2, 3);
    buffer note_bytes = sign_text(SLICE_LITERAL(MANIFEST), "01");
    (void)state;
    for (int nth = 0; nth < 100; nth++) {
        fault_fail_nth(nth);
        bool opened = maintainers_open_manifest(&m, buffer_slice(&note_bytes), &manifest, &err);
        bool reached = fault_stop();
        assert_true(opened || (reached && err.code == ERROR_MEMORY));
        if (!reached) {
            break;
        }
    }
    buffer_free(&note_bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_enough_of_them_must_sign),
        cmocka_unit_test(test_who_signs_twice_counts_once),
        cmocka_unit_test(test_a_false_signature_refuses_the_whole),
        cmocka_unit_test(test_a_change_anywhere_in_a_signed_manifest_is_refused),
        cmocka_unit_test(test_a_list_is_read_and_written_as_the_same_text),
        cmocka_unit_test(test_a_list_that_would_count_one_key_twice_is_none),
        cmocka_unit_test(test_the_next_list_is_signed_by_enough_of_both),
        cmocka_unit_test(test_only_the_next_generation_follows),
        cmocka_unit_test(test_a_list_is_no_manifest_and_a_manifest_no_list),
        cmocka_unit_test(test_no_memory_is_neither_a_yes_nor_a_leak),
    };
    return cmocka_run_group_tests(tests, people_start, people_stop);
}
