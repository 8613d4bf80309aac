#include "runtime_pieces.h"

#include "unit.h"

/* Gives all of `text`; the pieces' lengths as text, "!" when there are too many. */
static void take_all(runtime_pieces *p, slice text, char *result, size_t size) {
    size_t written = 0;
    slice piece = {0};
    runtime_piece kind = RUNTIME_PIECE_GIVEN;
    result[0] = '\0';
    while ((kind = runtime_pieces_take(p, &text, &piece)) == RUNTIME_PIECE_GIVEN) {
        assert_true(slice_is_utf8(piece));
        written += (size_t)snprintf(result + written, size - written, "%zu,", piece.length);
    }
    if (kind == RUNTIME_PIECE_TOO_MANY) {
        snprintf(result + written, size - written, "!");
    } else {
        assert_int_equal(text.length, 0);
    }
}

static void expect(runtime_pieces *p, slice text, const char *wanted) {
    char result[256];
    take_all(p, text, result, sizeof result);
    assert_string_equal(result, wanted);
}

static void test_a_piece_is_a_token_and_large_ones_are_cut_between_characters(void **state) {
    (void)state;
    static char text[3000];
    runtime_pieces p = {.most = 100};
    memset(text, 'a', sizeof text);
    expect(&p, SLICE_LITERAL(""), "");
    expect(&p, SLICE_LITERAL("a"), "1,");
    expect(&p, slice_of(text, 1024), "1024,");
    expect(&p, slice_of(text, 1025), "1024,1,");
    memcpy(text + 1023, "\xE4\xB8\x96", 3);
    expect(&p, slice_of(text, sizeof text), "1023,1024,953,");
    memcpy(text + 1022, "\xF0\x9F\x98\x80", 4);
    expect(&p, slice_of(text, 1026), "1022,4,");
    assert_int_equal(p.count, 9);
}

static void test_the_last_piece_takes_all_that_is_left(void **state) {
    (void)state;
    static const uint8_t text[RUNTIME_PIECE_MAX] = {0};
    runtime_pieces p = {.most = 3};
    slice last;
    uint32_t missing;
    expect(&p, SLICE_LITERAL("a"), "1,");
    expect(&p, SLICE_LITERAL("b"), "1,");
    expect(&p, SLICE_LITERAL("c"), "");
    expect(&p, SLICE_LITERAL("d"), "");
    assert_false(runtime_pieces_take_empty(&p));
    runtime_pieces_end(&p, 9, &last, &missing);
    assert_true(slice_equal_text(last, "cd"));
    assert_int_equal(missing, 0);
    assert_int_equal(p.count, 3);

    p = (runtime_pieces){.most = 1};
    expect(&p, slice_of(text, 1000), "");
    expect(&p, slice_of(text, 24), "");
    expect(&p, slice_of(text, 1), "!");
    expect(&p, slice_of(text, 0), "");
    runtime_pieces_end(&p, 0, &last, &missing);
    assert_int_equal(last.length, 1024);
    assert_int_equal(p.count, 1);
}

static void test_the_runtime_s_count_is_reached_but_never_passes_what_was_asked_for(void **state) {
    (void)state;
    static const struct {
        uint32_t given;
        uint32_t told;
        uint32_t missing;
    } cases[] = {{0, 0, 0}, {0, 4, 4}, {3, 0, 0}, {3, 3, 0}, {3, 7, 4}, {3, 10, 7}, {3, UINT32_MAX, 7}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        runtime_pieces p = {.most = 10};
        slice last;
        uint32_t missing;
        for (uint32_t k = 0; k < cases[i].given; k++) {
            assert_true(runtime_pieces_take_empty(&p));
        }
        runtime_pieces_end(&p, cases[i].told, &last, &missing);
        assert_int_equal(last.length, 0);
        assert_int_equal(missing, cases[i].missing);
        assert_int_equal(p.count, cases[i].given + missing);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_piece_is_a_token_and_large_ones_are_cut_between_characters),
        cmocka_unit_test(test_the_last_piece_takes_all_that_is_left),
        cmocka_unit_test(test_the_runtime_s_count_is_reached_but_never_passes_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
