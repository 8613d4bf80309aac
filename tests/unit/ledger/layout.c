/* The log as files: C2SP tlog-tiles. */
#include "unit.h"

#include "ledger/layout.h"

static void check_tile(unsigned level, uint64_t index, size_t count, const char *expected) {
    char path[LAYOUT_PATH_SIZE];
    merkle_tile_id tile = {level, index, count};
    layout_tile_path(&tile, path);
    assert_string_equal(path, expected);
}

static void test_paths_are_those_of_the_specification(void **state) {
    (void)state;
    char path[LAYOUT_PATH_SIZE];
    check_tile(0, 0, 256, "tile/0/000");
    check_tile(1, 999, 256, "tile/1/999");
    check_tile(0, 1000, 256, "tile/0/x001/000");
    check_tile(0, 1234067, 256, "tile/0/x001/x234/067");
    check_tile(0, 273, 112, "tile/0/273.p/112");
    check_tile(5, ((uint64_t)1 << 40) - 1, 1, "tile/5/x001/x099/x511/x627/775.p/1");
    layout_bundle_path(67, 256, path);
    assert_string_equal(path, "tile/entries/067");
    layout_bundle_path(1067, 3, path);
    assert_string_equal(path, "tile/entries/x001/067.p/3");
}

static void test_a_bundle_gives_its_entries_back(void **state) {
    (void)state;
    buffer bundle = buffer_make(LAYOUT_BUNDLE_MAX);
    static uint8_t large[65536];
    slice entry;
    assert_true(layout_bundle_append(&bundle, SLICE_LITERAL("one")));
    assert_true(layout_bundle_append(&bundle, slice_of(large, 65535)));
    assert_true(layout_bundle_append(&bundle, (slice){NULL, 0}));
    assert_false(layout_bundle_append(&bundle, slice_of(large, 65536)));
    slice rest = buffer_slice(&bundle);
    assert_true(layout_bundle_next(&rest, &entry) && slice_equal_text(entry, "one"));
    assert_true(layout_bundle_next(&rest, &entry) && entry.length == 65535);
    assert_true(layout_bundle_next(&rest, &entry) && entry.length == 0);
    assert_int_equal(rest.length, 0);
    assert_false(layout_bundle_next(&rest, &entry));
    for (size_t cut = 1; cut < 5; cut++) {
        rest = slice_part(buffer_slice(&bundle), 0, cut);
        assert_false(layout_bundle_next(&rest, &entry));
    }
    buffer_free(&bundle);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_those_of_the_specification),
        cmocka_unit_test(test_a_bundle_gives_its_entries_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
