/* Rows of the audit log. */
#include "site_support.h"

#include "store/audit.h"

typedef struct found {
    outcome o;
    size_t entries;
    char last[STORE_AUDIT_ENTRY_MAX];
    size_t tiles;
    uint8_t tile_byte[STORE_AUDIT_TILES_MAX];
    bool tile_there[STORE_AUDIT_TILES_MAX];
    store_audit_state state;
    char note[64];
    size_t salts;
    bool known[8];
    uint8_t salt_byte[8];
} found;

static void keep_entries(found *f, const slice *entries, size_t count) {
    f->entries = count;
    f->last[0] = '\0';
    if (count > 0) {
        snprintf(f->last, sizeof f->last, "%.*s", SLICE_FORMAT(entries[count - 1]));
    }
}

static void on_entries(void *context, const slice *entries, size_t count, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    keep_entries(f, entries, count);
}

static void on_found(void *context, const store_audit_tile *tiles, size_t tile_count, const slice *entries,
                     size_t entry_count, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    keep_entries(f, entries, entry_count);
    f->tiles = tile_count;
    for (size_t i = 0; i < tile_count; i++) {
        f->tile_there[i] = tiles[i].hashes != NULL;
        f->tile_byte[i] = f->tile_there[i] ? tiles[i].hashes[STORE_AUDIT_TILE_SIZE - 1] : 0;
    }
}

static void on_state(void *context, const store_audit_state *state, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    f->state = *state;
    snprintf(f->note, sizeof f->note, "%.*s", SLICE_FORMAT(state->note));
}

static void on_salts(void *context, const store_audit_salt *salts, size_t count, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    f->salts = count;
    for (size_t i = 0; i < count; i++) {
        f->known[i] = salts[i].known;
        f->salt_byte[i] = salts[i].salt[0];
    }
}

static error_code append(uint64_t first, const char *const *texts, size_t count, const char *note) {
    outcome o = {0};
    slice entries[8];
    for (size_t i = 0; i < count; i++) {
        entries[i] = slice_of_text(texts[i]);
    }
    store_audit_batch batch = {
        .first = first, .entries = entries, .entry_count = count, .note = slice_of_text(note)};
    if (!store_audit_append(site, &batch, on_done, &o, &err)) {
        return err.code;
    }
    assert_int_equal(o.calls, 1);
    return o.code;
}

static void test_entries_are_given_in_their_order(void **state) {
    (void)state;
    found f = {0};
    assert_true(store_audit_get_state(site, on_state, &f, &err));
    assert_true(f.state.end == 0 && f.state.tiles == 0 && f.state.size == 0 && f.state.note.length == 0);
    assert_int_equal(append(0, (const char *const[]){"one", "two"}, 2, "note of 2"), ERROR_NONE);
    assert_int_equal(append(2, (const char *const[]){"three"}, 1, "note of 3"), ERROR_NONE);
    reopen();
    assert_true(store_audit_entries(site, 0, 10, on_entries, &f, &err));
    assert_int_equal(f.entries, 3);
    assert_string_equal(f.last, "three");
    assert_true(store_audit_entries(site, 1, 1, on_entries, &f, &err));
    assert_int_equal(f.entries, 1);
    assert_string_equal(f.last, "two");
    assert_true(store_audit_entries(site, 3, 10, on_entries, &f, &err));
    assert_int_equal(f.entries, 0);
    assert_true(store_audit_entries(site, UINT64_MAX, 10, on_entries, &f, &err));
    assert_int_equal(f.entries, 0);
    assert_true(store_audit_get_state(site, on_state, &f, &err));
    assert_int_equal(f.state.end, 3);
    assert_int_equal(f.state.size, 3);
    assert_string_equal(f.note, "note of 3");
}

static void test_an_entry_is_never_replaced(void **state) {
    (void)state;
    found f = {0};
    assert_int_equal(append(0, (const char *const[]){"one", "two"}, 2, "note"), ERROR_NONE);
    assert_int_equal(append(1, (const char *const[]){"another", "three"}, 2, "forged"), ERROR_CONFLICT);
    assert_true(store_audit_entries(site, 0, 10, on_entries, &f, &err));
    assert_int_equal(f.entries, 2);
    assert_string_equal(f.last, "two");
    assert_true(store_audit_get_state(site, on_state, &f, &err));
    assert_string_equal(f.note, "note");
}

static void test_a_gap_ends_what_is_read(void **state) {
    (void)state;
    found f = {0};
    assert_int_equal(append(0, (const char *const[]){"one"}, 1, "note"), ERROR_NONE);
    assert_int_equal(append(2, (const char *const[]){"three"}, 1, "note"), ERROR_NONE);
    assert_true(store_audit_entries(site, 0, 10, on_entries, &f, &err));
    assert_int_equal(f.entries, 1);
    assert_true(store_audit_entries(site, 1, 10, on_entries, &f, &err));
    assert_int_equal(f.entries, 0);
    assert_true(store_audit_get_state(site, on_state, &f, &err));
    assert_int_equal(f.state.end, 3);
}

static void test_tiles_and_entries_come_together(void **state) {
    (void)state;
    static uint8_t hashes[2][STORE_AUDIT_TILE_SIZE];
    found f = {0};
    memset(hashes[0], 7, sizeof hashes[0]);
    memset(hashes[1], 9, sizeof hashes[1]);
    slice entry = SLICE_LITERAL("one");
    store_audit_tile tiles[] = {{0, 4, hashes[0]}, {5, 4, hashes[1]}};
    store_audit_batch batch = {
        .entries = &entry, .entry_count = 1, .tiles = tiles, .tile_count = 2, .note = SLICE_LITERAL("note")};
    assert_true(store_audit_append(site, &batch, on_done, &f.o, &err));
    assert_int_equal(f.o.code, ERROR_NONE);
    store_audit_tile wanted[] = {{5, 4, NULL}, {1, 4, NULL}, {0, 4, NULL}};
    store_audit_read read = {.tiles = wanted, .tile_count = 3, .from = 0, .limit = 5};
    assert_true(store_audit_get(site, &read, on_found, &f, &err));
    assert_int_equal(f.o.code, ERROR_NONE);
    assert_int_equal(f.tiles, 3);
    assert_true(f.tile_there[0] && !f.tile_there[1] && f.tile_there[2]);
    assert_true(f.tile_byte[0] == 9 && f.tile_byte[2] == 7);
    assert_int_equal(f.entries, 1);
    assert_true(store_audit_get(site, &(store_audit_read){.limit = 0}, on_found, &f, &err));
    assert_true(f.tiles == 0 && f.entries == 0);
}

static void test_salts_are_found_until_they_are_erased(void **state) {
    (void)state;
    found f = {0};
    slice entry = SLICE_LITERAL("one");
    store_audit_salt salts[] = {{.person = SLICE_LITERAL("ana")}, {.person = SLICE_LITERAL("bo")}};
    memset(salts[0].salt, 1, sizeof salts[0].salt);
    memset(salts[1].salt, 2, sizeof salts[1].salt);
    store_audit_batch batch = {
        .entries = &entry, .entry_count = 1, .salts = salts, .salt_count = 2, .note = SLICE_LITERAL("note")};
    assert_true(store_audit_append(site, &batch, on_done, &f.o, &err));
    assert_int_equal(f.o.code, ERROR_NONE);
    const slice persons[] = {SLICE_LITERAL("bo"), SLICE_LITERAL("cy"), SLICE_LITERAL("ana")};
    assert_true(store_audit_get_salts(site, persons, 3, on_salts, &f, &err));
    assert_int_equal(f.salts, 3);
    assert_true(f.known[0] && !f.known[1] && f.known[2]);
    assert_true(f.salt_byte[0] == 2 && f.salt_byte[2] == 1);
    assert_true(store_audit_erase_salt(site, persons[0], on_done, &f.o, &err));
    assert_int_equal(f.o.code, ERROR_NONE);
    assert_true(store_audit_erase_salt(site, persons[0], on_done, &f.o, &err));
    assert_int_equal(f.o.code, ERROR_NOT_FOUND);
    assert_true(store_audit_get_salts(site, persons, 3, on_salts, &f, &err));
    assert_true(!f.known[0] && f.known[2]);
    batch.first = 1; /* who has a salt gets no other */
    assert_true(store_audit_append(site, &batch, on_done, &f.o, &err));
    assert_int_equal(f.o.code, ERROR_CONFLICT);
    assert_true(store_audit_entries(site, 0, 10, on_entries, &f, &err));
    assert_int_equal(f.entries, 1);
}

static void test_what_is_out_of_bounds_is_refused_at_once(void **state) {
    (void)state;
    static char large[STORE_AUDIT_ENTRY_MAX + 2];
    found f = {0};
    memset(large, 'x', sizeof large - 1);
    assert_int_equal(append(0, (const char *const[]){""}, 1, "note"), ERROR_INVALID);
    assert_int_equal(append(0, (const char *const[]){large}, 1, "note"), ERROR_INVALID);
    assert_int_equal(append(0, (const char *const[]){"one"}, 1, ""), ERROR_INVALID);
    assert_int_equal(append(0, NULL, 0, "note"), ERROR_INVALID);
    assert_int_equal(append(STORE_AUDIT_SIZE_MAX, (const char *const[]){"one"}, 1, "note"), ERROR_INVALID);
    assert_false(store_audit_entries(site, 0, 0, on_entries, &f, &err));
    store_audit_tile tile = {STORE_AUDIT_LEVELS, 0, NULL};
    assert_false(
        store_audit_get(site, &(store_audit_read){.tiles = &tile, .tile_count = 1}, on_found, &f, &err));
    assert_false(store_audit_get_salts(site, &(slice){NULL, 0}, 1, on_salts, &f, &err));
    assert_false(store_audit_erase_salt(site, SLICE_LITERAL("a\nb"), on_done, &f.o, &err));
}

static void test_each_failing_allocation_appends_nothing(void **state) {
    (void)state;
    static uint8_t hashes[STORE_AUDIT_TILE_SIZE];
    bool reached = true;
    uint64_t size = 0;
    for (int nth = 0; reached; nth++) {
        found f = {0};
        char person[16];
        snprintf(person, sizeof person, "user%d", nth);
        slice entry = SLICE_LITERAL("an entry");
        store_audit_tile tile = {0, (uint64_t)nth, hashes};
        store_audit_salt salt = {.person = slice_of_text(person)};
        store_audit_batch batch = {.first = size,
                                   .entries = &entry,
                                   .entry_count = 1,
                                   .tiles = &tile,
                                   .tile_count = 1,
                                   .salts = &salt,
                                   .salt_count = 1,
                                   .note = SLICE_LITERAL("note")};
        reopen();
        fault_fail_nth(nth);
        bool accepted = store_audit_append(site, &batch, on_done, &f.o, &err);
        reached = fault_stop();
        error_code code = accepted ? f.o.code : err.code;
        assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
        size += code == ERROR_NONE ? 1 : 0;
        assert_true(store_audit_get_state(site, on_state, &f, &err));
        assert_int_equal(f.state.end, size);
        assert_int_equal(f.state.tiles, size);
        assert_int_equal(f.state.size, size);
        fault_fail_nth(nth);
        accepted = store_audit_get(site, &(store_audit_read){.tiles = &tile, .tile_count = 1, .limit = 1},
                                   on_found, &f, &err);
        (void)fault_stop();
        code = accepted ? f.o.code : err.code;
        assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
        assert_true(code != ERROR_MEMORY || (f.entries == 0 && f.tiles == 0) || !accepted);
    }
    assert_true(size > 0);
}

static void test_a_full_disk_appends_nothing(void **state) {
    (void)state;
    NEEDS_FILES
    static char large[STORE_AUDIT_ENTRY_MAX + 1];
    memset(large, 'x', STORE_AUDIT_ENTRY_MAX);
    store_close(site);
    site = store_open(&(store_options){.path = here.path, .size_limit = 1024 * 1024}, &err);
    assert_non_null(site);
    uint64_t size = 0;
    error_code code = ERROR_NONE;
    while (code == ERROR_NONE && size < 1000) {
        code = append(size, (const char *const[]){large, large, large, large}, 4, "note");
        size += code == ERROR_NONE ? 4 : 0;
    }
    assert_int_equal(code, ERROR_IO);
    found f = {0};
    assert_true(store_audit_get_state(site, on_state, &f, &err));
    assert_int_equal(f.state.end, size);
    assert_int_equal(f.state.size, size);
    store_close(site);
    site = open_at(&here, NULL); /* room again */
    assert_int_equal(append(size, (const char *const[]){"one"}, 1, "note"), ERROR_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_entries_are_given_in_their_order),
        SITE_TEST(test_an_entry_is_never_replaced),
        SITE_TEST(test_a_gap_ends_what_is_read),
        SITE_TEST(test_tiles_and_entries_come_together),
        SITE_TEST(test_salts_are_found_until_they_are_erased),
        SITE_TEST(test_what_is_out_of_bounds_is_refused_at_once),
        SITE_TEST(test_each_failing_allocation_appends_nothing),
        SITE_TEST(test_a_full_disk_appends_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
