#include "support.h"

#include "../../../src/io/store/migrations.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

static error err;

static int raw_text(void *context, int columns, char **values, char **names) {
    (void)columns;
    (void)names;
    char *text = context;
    strncat(text, values[0] == NULL ? "" : values[0], 16383 - strlen(text));
    return 0;
}

/* Runs `sql` on a connection of its own; the text of the first column of all rows. */
static const char *raw(const place *p, const char *sql) {
    static char text[16384];
    text[0] = '\0';
    sqlite3 *connection = NULL;
    assert_int_equal(sqlite3_open(p->path, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, sql, raw_text, text, NULL), SQLITE_OK);
    sqlite3_close(connection);
    return text;
}

static error_code code_of_opening(const place *p) {
    store_options options = {.path = p->path};
    store *s = store_open(&options, &err);
    store_close(s);
    return s == NULL ? err.code : ERROR_NONE;
}

static error_code apply(const place *p, const migration *steps, size_t count) {
    database *d = database_open(p->path, 0, &err);
    assert_non_null(d);
    assert_true(database_prepare(d, 0, &err));
    bool applied = migrations_apply(d, steps, count, &err);
    database_close(d);
    return applied ? ERROR_NONE : err.code;
}

static const char schema_sql[] =
    "SELECT type || ' ' || name || ' ' || ifnull(sql, '') || char(10) FROM sqlite_schema "
    "ORDER BY type, name";

static void test_a_fresh_database_and_a_migrated_one_have_the_same_schema(void **state) {
    (void)state;
    static char of_fresh[16384];
    place fresh = place_make();
    assert_int_equal(code_of_opening(&fresh), ERROR_NONE);
    memcpy(of_fresh, raw(&fresh, schema_sql), sizeof of_fresh);
    assert_non_null(strstr(of_fresh, "CREATE TABLE receipts"));
    for (size_t from = 1; from <= store_migration_count; from++) {
        place migrated = place_make();
        for (size_t count = 1; count <= from; count++) {
            assert_int_equal(apply(&migrated, store_migrations, count), ERROR_NONE);
        }
        assert_int_equal(code_of_opening(&migrated), ERROR_NONE);
        assert_string_equal(raw(&migrated, schema_sql), of_fresh);
        place_remove(&migrated);
    }
    place_remove(&fresh);
}

static const char content_of_version_1[] =
    "INSERT INTO users VALUES (1, 'ana', 'it_admin', 5, 0);"
    "INSERT INTO keys VALUES (1, 1, randomblob(32), 'laptop', 5, 0, NULL), (2, 1, randomblob(32), 'old', 5, "
    "0, 9);"
    "INSERT INTO join_tokens VALUES (randomblob(8), randomblob(32), 'Ana', '', 9, 0, 1, NULL);"
    "INSERT INTO workers VALUES (x'01010101010101010101010101010101', randomblob(32), 'desk', 'Ana', 'cpu', "
    "'', 1, 1, "
    "'approved', 5, 0, NULL, 7), (randomblob(16), randomblob(32), 'gone', 'Ana', 'cpu', '', 1, 1, 'revoked', "
    "5, 0, 8, 7);"
    "INSERT INTO receipts VALUES (randomblob(16), 1, x'01010101010101010101010101010101', 6, x'aa', "
    "randomblob(64), "
    "randomblob(32), randomblob(32), NULL);";

static void count_loaded(void *context, const store_loaded_key *keys, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    assert_true(count == 1 && slice_equal_text(keys[0].verify_mode, "off"));
}

static void check_workers(void *context, const store_worker *workers, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    for (size_t i = 0; i < count; i++) {
        assert_false(workers[i].referee || workers[i].has_machine);
    }
}

static void test_a_database_of_version_1_keeps_its_content(void **state) {
    (void)state;
    place here = place_make();
    assert_int_equal(apply(&here, store_migrations, 1), ERROR_NONE);
    raw(&here, content_of_version_1);
    static char receipts[16384];
    memcpy(receipts, raw(&here, "SELECT hex(job_id) || hex(receipt) || hex(salt) FROM receipts"),
           sizeof receipts);
    outcome o = {0};
    store *s = open_at(&here, NULL);
    assert_true(store_load_keys(s, count_loaded, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_true(store_load_workers(s, check_workers, &o, &err));
    assert_int_equal(o.count, 2);
    store_close(s);
    assert_string_equal(raw(&here, "SELECT hex(job_id) || hex(receipt) || hex(salt) FROM receipts"),
                        receipts);
    assert_string_equal(raw(&here, "SELECT verify_mode FROM keys"), "offoff");
    assert_string_equal(raw(&here, "SELECT referee FROM join_tokens"), "0");
    assert_string_equal(raw(&here, "PRAGMA foreign_key_check"), "");
    assert_string_equal(raw(&here, "PRAGMA integrity_check"), "ok");
    place_remove(&here);
}

static void test_every_table_is_strict(void **state) {
    (void)state;
    place here = place_make();
    assert_int_equal(code_of_opening(&here), ERROR_NONE);
    assert_string_equal(raw(&here,
                            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' "
                            "AND strict = 0 AND name NOT LIKE 'sqlite%'"),
                        "");
    place_remove(&here);
}

static void test_a_step_that_fails_half_way_leaves_the_version_before_it(void **state) {
    (void)state;
    place here = place_make();
    migration steps[] = {
        {1, "0001_first", "CREATE TABLE first (a INTEGER) STRICT;"},
        {2, "0002_second", "CREATE TABLE second (a INTEGER) STRICT; INSERT INTO second VALUES ('text');"},
        {3, "0003_third", "CREATE TABLE third (a INTEGER) STRICT;"}};
    assert_int_not_equal(apply(&here, steps, 3), ERROR_NONE);
    assert_non_null(strstr(err.text, "0002_second"));
    assert_string_equal(raw(&here, "SELECT name FROM sqlite_schema"), "first");
    assert_string_equal(raw(&here, "PRAGMA user_version"), "1");
    steps[1].sql = "CREATE TABLE second (a INTEGER) STRICT;";
    assert_int_equal(apply(&here, steps, 3), ERROR_NONE);
    assert_string_equal(raw(&here, "SELECT name FROM sqlite_schema ORDER BY name"), "firstsecondthird");
    assert_string_equal(raw(&here, "PRAGMA user_version"), "3");
    assert_int_equal(apply(&here, steps, 3), ERROR_NONE);
    place_remove(&here);
}

static void test_a_database_of_a_newer_program_is_refused(void **state) {
    (void)state;
    place here = place_make();
    assert_int_equal(code_of_opening(&here), ERROR_NONE);
    raw(&here, "PRAGMA user_version = 4321");
    assert_int_equal(code_of_opening(&here), ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "newer"));
    assert_non_null(strstr(err.text, "4321"));
    assert_string_equal(raw(&here, "PRAGMA user_version"), "4321");
    place_remove(&here);
}

static void test_another_programs_database_is_refused_and_left_alone(void **state) {
    (void)state;
    place here = place_make();
    assert_int_equal(code_of_opening(&here), ERROR_NONE); /* SQLite is to be used by the store first */
    unlink(here.path);
    raw(&here, "CREATE TABLE theirs (a)");
    assert_int_equal(code_of_opening(&here), ERROR_UNSUPPORTED);
    assert_string_equal(raw(&here, "PRAGMA journal_mode"), "delete");
    assert_string_equal(raw(&here, "SELECT name FROM sqlite_schema"), "theirs");
    place_remove(&here);
}

static void write_over(const char *path, off_t from, size_t length) {
    static const uint8_t noise[65536] = {0xA5, 1, 2, 3};
    int descriptor = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(descriptor >= 0);
    for (size_t done = 0; done < length;) {
        size_t part = length - done < sizeof noise ? length - done : sizeof noise;
        assert_int_equal(pwrite(descriptor, noise, part, from + (off_t)done), part);
        done += part;
    }
    close(descriptor);
}

static void test_a_file_that_is_no_database_is_refused(void **state) {
    (void)state;
    place here = place_make();
    write_over(here.path, 0, 5000);
    assert_int_equal(code_of_opening(&here), ERROR_CORRUPT);
    place_remove(&here);
}

static void die_with_the_store_open(const place *p, uint64_t number) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        outcome o = {0};
        static store *s; /* left open; static, so that it isn't a leak */
        s = open_at(p, NULL);
        bool set =
            store_meta_set(s, SLICE_LITERAL("last"), slice_of(&number, sizeof number), on_done, &o, &err);
        _exit(set && o.code == ERROR_NONE ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_after_a_crash_the_content_is_checked(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    store_close(s);
    die_with_the_store_open(&here, 1);
    assert_int_equal(code_of_opening(&here), ERROR_NONE);
    die_with_the_store_open(&here, 2);
    struct stat status;
    assert_int_equal(stat(here.path, &status), 0);
    write_over(here.path, 4096, (size_t)status.st_size - 4096);
    assert_int_equal(code_of_opening(&here), ERROR_CORRUPT);
    assert_non_null(strstr(err.text, "backup"));
    place_remove(&here);
}

static void test_a_second_opener_is_refused_until_the_first_has_closed(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    assert_int_equal(code_of_opening(&here), ERROR_CONFLICT);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(code_of_opening(&here) == ERROR_CONFLICT ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fill_site(s);
    store_close(s);
    assert_int_equal(code_of_opening(&here), ERROR_NONE);
    place_remove(&here);
}

static void test_the_files_are_readable_by_their_owner_alone(void **state) {
    (void)state;
    place here = place_make();
    mode_t mask = umask(0);
    store *s = open_at(&here, NULL);
    umask(mask);
    fill_site(s);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        char path[300];
        struct stat status;
        snprintf(path, sizeof path, "%s%s", here.path, suffixes[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
    store_close(s);
    place_remove(&here);
}

static void test_a_missing_folder_is_named(void **state) {
    (void)state;
    store_options options = {.path = "/nonexistent/site.db"};
    assert_null(store_open(&options, &err));
    assert_non_null(strstr(err.text, "/nonexistent/site.db"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fresh_database_and_a_migrated_one_have_the_same_schema),
        cmocka_unit_test(test_a_database_of_version_1_keeps_its_content),
        cmocka_unit_test(test_every_table_is_strict),
        cmocka_unit_test(test_a_step_that_fails_half_way_leaves_the_version_before_it),
        cmocka_unit_test(test_a_database_of_a_newer_program_is_refused),
        cmocka_unit_test(test_another_programs_database_is_refused_and_left_alone),
        cmocka_unit_test(test_a_file_that_is_no_database_is_refused),
        cmocka_unit_test(test_after_a_crash_the_content_is_checked),
        cmocka_unit_test(test_a_second_opener_is_refused_until_the_first_has_closed),
        cmocka_unit_test(test_the_files_are_readable_by_their_owner_alone),
        cmocka_unit_test(test_a_missing_folder_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
