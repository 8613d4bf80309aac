/* What only a database in a server has: its connection is lost, others look into it, and it is copied from
 * and to a file. */
#include "verification_support.h"

#include "store/copy.h"
#include "store/server.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static error err;

static error_code code_of_opening(const place *p) {
    store *s = store_open(&(store_options){.path = p->path}, &err);
    store_close(s);
    return s == NULL ? err.code : ERROR_NONE;
}

static void pause_ms(long ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static outcome add_receipt(store *s, uint64_t number) {
    outcome o = {0};
    store_receipt receipt = new_receipt(number);
    assert_true(store_receipt_add(s, &receipt, on_done, &o, &err));
    assert_int_equal(o.calls, 1);
    return o;
}

static outcome keep_answer(store *s, uint64_t number) {
    outcome o = {0};
    const store_verification v = new_verification(number, "");
    const store_kept_answer answer = kept_of(&v);
    assert_true(store_kept_add(s, &answer, 3, on_done, &o, &err));
    return o;
}

static const char end_connections[] = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                                      "WHERE application_name = 'cellule' AND datname = current_database()";

/* Whose connection the server doesn't know any more, to him it has said so. */
static void end_all(const place *p) {
    outside o = outside_open(p);
    assert_int_equal(outside_ask(&o, end_connections), 1);
    while (outside_ask(&o, "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'cellule' "
                           "AND datname = current_database()") > 0) {
        pause_ms(5);
    }
    outside_close(&o);
}

static void test_a_connection_that_was_ended_is_made_anew_before_anything_is_lost(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    for (uint64_t i = 0; i < 3; i++) {
        end_all(&here);
        assert_int_equal(add_receipt(s, i).code, ERROR_NONE);
        assert_int_equal(keep_answer(s, i).code, ERROR_NONE);
    }
    assert_int_equal(count_rows(&here, "receipts"), 3);
    assert_int_equal(count_rows(&here, "kept_answers"), 3);
    store_close(s);
    place_remove(&here);
}

/* A child, which asserts nothing. */
static pid_t end_when(const place *p, const char *condition) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child > 0) {
        return child;
    }
    char sql[400];
    snprintf(sql, sizeof sql, "%s AND %s", end_connections, condition);
    outside o = outside_open(p);
    for (int i = 0; i < 2000; i++) {
        if (outside_ask(&o, sql) > 0) {
            outside_close(&o);
            _exit(0);
        }
        pause_ms(5);
    }
    _exit(1);
}

static void check_child(pid_t child) {
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_what_was_under_way_when_the_connection_broke_fails_and_says_so(void **state) {
    (void)state;
    place here = place_make();
    store *s = store_open(&(store_options){.path = here.path, .busy_timeout_ms = 60000}, &err);
    assert_non_null(s);
    fill_site(s);
    assert_int_equal(keep_answer(s, 1).code, ERROR_NONE);
    outside other = outside_hold(&here);
    pid_t child = end_when(&here, "wait_event_type = 'Lock'");
    outcome o = add_receipt(s, 1);
    check_child(child);
    outside_let_go(&other);
    assert_int_equal(o.code, ERROR_IO);
    assert_non_null(strstr(o.text, "lost"));
    assert_null(strstr(o.text, "isn't known"));
    assert_int_equal(count_rows(&here, "receipts"), 0);
    assert_int_equal(add_receipt(s, 1).code, ERROR_NONE);
    for (uint64_t i = 2; i < 6; i++) { /* whose they are is read anew */
        assert_int_equal(keep_answer(s, i).code, ERROR_NONE);
    }
    assert_int_equal(count_rows(&here, "kept_answers"), 3);
    store_close(s);
    place_remove(&here);
}

static const char slow_commit[] =
    "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(30); RETURN "
    "NULL; END $$;"
    "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON receipts DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
    "EXECUTE FUNCTION dawdle()";

static void test_a_connection_lost_while_committing_leaves_the_outcome_unknown_and_says_so(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    server_run(here.database, slow_commit);
    pid_t child = end_when(&here, "wait_event = 'PgSleep'");
    outcome o = add_receipt(s, 1);
    check_child(child);
    assert_int_equal(o.code, ERROR_IO);
    assert_non_null(strstr(o.text, "isn't known"));
    server_run(here.database, "DROP TRIGGER slow ON receipts");
    assert_int_equal(add_receipt(s, 2).code, ERROR_NONE);
    store_close(s);
    place_remove(&here);
}

static void test_who_finds_that_another_has_stored_meanwhile_stores_no_more(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    outside o = outside_open(&here);
    outside_ask(&o, "UPDATE cellule_schema SET opener = '\\x01'");
    outside_close(&o);
    end_all(&here);
    outcome failed = add_receipt(s, 1);
    assert_int_equal(failed.code, ERROR_IO);
    assert_non_null(strstr(failed.text, "start this pool again"));
    store_close(s);
    s = open_at(&here, NULL);
    assert_int_equal(add_receipt(s, 1).code, ERROR_NONE);
    store_close(s);
    place_remove(&here);
}

static void test_a_second_opener_is_refused_until_the_first_has_closed(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    assert_int_equal(code_of_opening(&here), ERROR_CONFLICT);
    assert_non_null(strstr(err.text, "another pool"));
    store_close(s);
    assert_int_equal(code_of_opening(&here), ERROR_NONE);
    place_remove(&here);
}

static void test_a_newer_database_and_another_programs_are_refused_and_left_alone(void **state) {
    (void)state;
    place here = place_make();
    assert_int_equal(code_of_opening(&here), ERROR_NONE);
    server_run(here.database, "UPDATE cellule_schema SET version = 4321");
    assert_int_equal(code_of_opening(&here), ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "4321"));
    place_remove(&here);
    here = place_make();
    server_run(here.database, "CREATE TABLE theirs (a int)");
    assert_int_equal(code_of_opening(&here), ERROR_UNSUPPORTED);
    assert_int_equal(count_rows(&here, "pg_class WHERE relkind = 'r' AND relname !~ '^(pg|sql)_'"), 1);
    place_remove(&here);
}

static void test_an_error_shows_no_password(void **state) {
    (void)state;
    static const char *const urls[] = {"postgresql://ana:hunter2@/x?host=/nonexistent",
                                       "postgresql://ana:hunter2@h1,h2/x", "postgresql://ana:hunter2@[bad/x",
                                       "postgresql:///x?host=/nonexistent&password=hunter2&nonsense=1"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        assert_null(store_open(&(store_options){.path = urls[i]}, &err));
        assert_null(strstr(err.text, "hunter2"));
    }
}

static void test_an_address_that_nobody_has_let_through_is_not_dialled(void **state) {
    (void)state;
    assert_null(store_open(&(store_options){.path = "postgresql://ana@127.0.0.1:1/x"}, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    assert_null(store_open(&(store_options){.path = "postgresql://ana@localhost:1/x"}, &err));
    assert_non_null(strstr(err.text, "localhost"));
}

/* Not in any of the table's files, as the server itself reads them. */
static uint64_t count_in_table(const place *p, const char *mark) {
    char sql[600];
    outside o = outside_open(p);
    outside_ask(&o, "CHECKPOINT");
    snprintf(
        sql, sizeof sql,
        "SELECT count(*) FROM (SELECT pg_read_binary_file(pg_relation_filepath(oid)) AS content FROM "
        "pg_class "
        "WHERE oid = 'inference_payloads'::regclass OR oid = (SELECT reltoastrelid FROM pg_class "
        "WHERE oid = 'inference_payloads'::regclass)) AS files WHERE position('%s'::bytea IN content) > 0",
        mark);
    uint64_t found = outside_ask(&o, sql);
    outside_close(&o);
    return found;
}

static void test_a_wiped_payload_leaves_the_tables_files(void **state) {
    (void)state;
    static uint8_t payload[20000];
    place here = place_make();
    store *s = store_open(&(store_options){.path = here.path, .scrub_after_ms = 1}, &err);
    assert_non_null(s);
    fill_site(s);
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t) "a-mark-to-look-for "[i % 19];
    }
    outcome o = {0};
    for (uint64_t i = 0; i < 4; i++) {
        store_verification v = new_verification(i, "waiting");
        v.payload = slice_of(payload, i % 2 == 0 ? sizeof payload : 200);
        assert_true(store_verification_add(s, &v, on_done, &o, &err));
    }
    assert_int_equal(count_in_table(&here, "a-mark-to-look-for"), 2);
    for (uint64_t i = 0; i < 4; i++) {
        store_verification v = new_verification(i, "agreed");
        v.decided_ms = NOW_MS;
        assert_true(store_verification_update(s, &v, true, on_done, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    for (uint64_t i = 0; i < 3; i++) { /* the first notes when it is due */
        pause_ms(5);
        assert_int_equal(add_receipt(s, i).code, ERROR_NONE);
    }
    assert_int_equal(count_in_table(&here, "a-mark-to-look-for"), 0);
    store_close(s);
    place_remove(&here);
}

/* Of both kinds, "table.column" in order. */
static void list_columns(const place *p, const char *sql, char *list, size_t size) {
    outside o = outside_open(p);
    sqlite3_stmt *statement = NULL;
    if (o.server != NULL) {
        server_ask(o.server, sql, list, size);
    } else {
        assert_int_equal(sqlite3_prepare_v2(o.file, sql, -1, &statement, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        snprintf(list, size, "%s", (const char *)sqlite3_column_text(statement, 0));
        sqlite3_finalize(statement);
    }
    outside_close(&o);
}

static void test_both_kinds_of_database_have_the_same_columns(void **state) {
    (void)state;
    static char of_file[16384];
    static char of_server[16384];
    place file = place_make_in_files();
    place server = place_make();
    assert_int_equal(code_of_opening(&file), ERROR_NONE);
    assert_int_equal(code_of_opening(&server), ERROR_NONE);
    list_columns(
        &file,
        "SELECT group_concat(line, ' ') FROM (SELECT t.name || '.' || c.name || ':' || CASE c.type WHEN "
        "'INTEGER' THEN 'bigint' WHEN 'BLOB' THEN 'bytea' WHEN 'REAL' THEN 'double precision' ELSE "
        "'text' END || (c.\"notnull\" = 1 OR c.pk > 0) AS line FROM sqlite_schema t, "
        "pragma_table_info(t.name) c WHERE t.type = 'table' AND c.name <> 'beginning' ORDER BY 1)",
        of_file, sizeof of_file);
    list_columns(
        &server,
        "SELECT string_agg(line, ' ' ORDER BY line COLLATE \"C\") FROM (SELECT table_name || '.' || "
        "column_name || ':' || data_type || (is_nullable = 'NO')::int AS line FROM "
        "information_schema.columns WHERE table_schema = 'public' AND table_name <> 'cellule_schema') AS c",
        of_server, sizeof of_server);
    assert_non_null(strstr(of_file, "receipts.salt:bytea1"));
    assert_string_equal(of_server, of_file);
    place_remove(&file);
    place_remove(&server);
}

/* A site with something in each kind of column. */
static void fill(const place *p) {
    store *s = open_at(p, NULL);
    outcome o = {0};
    fill_site(s);
    enrol_worker(s, 7);
    store_new_worker_key successor = {.key_epoch = 1, .now_ms = NOW_MS};
    memset(successor.former_id, 7, sizeof successor.former_id);
    memset(successor.id, 3, sizeof successor.id); /* its row is read before that which it names */
    memset(successor.public_key, 3, sizeof successor.public_key);
    assert_true(store_worker_replace_key(s, &successor, (store_worker_key_replaced *)on_enrolled, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    for (uint64_t i = 0; i < 700; i++) {
        assert_int_equal(add_receipt(s, i).code, ERROR_NONE);
    }
    for (uint64_t i = 0; i < 5; i++) {
        store_verification v = new_verification(i, "waiting");
        assert_true(store_verification_add(s, &v, on_done, &o, &err));
        assert_int_equal(keep_answer(s, i + 100).code, ERROR_NONE);
        store_notice n = new_notice(i);
        assert_true(store_notice_add(s, &n, on_id, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    assert_true(store_meta_set(s, SLICE_LITERAL("fact"), SLICE_LITERAL("\0\1\2"), on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    store_close(s);
}

static void no_word(void *context, const store_copy_progress *progress) {
    (void)context;
    assert_true(progress->rows <= progress->of);
}

static error_code copy(const place *from, const place *to, uint64_t *rows) {
    return store_copy(from->path, to->path, no_word, NULL, rows, &err) ? ERROR_NONE : err.code;
}

/* Rows of one that the other hasn't got. */
static uint64_t differences(const place *a, const place *b) {
    sqlite3 *both = NULL;
    sqlite3_stmt *tables = NULL;
    char sql[400];
    uint64_t different = 0;
    assert_int_equal(sqlite3_open(a->path, &both), SQLITE_OK);
    snprintf(sql, sizeof sql, "ATTACH '%s' AS other", b->path);
    assert_int_equal(sqlite3_exec(both, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(both, "SELECT name FROM main.sqlite_schema WHERE type = 'table'", -1,
                                        &tables, NULL),
                     SQLITE_OK);
    while (sqlite3_step(tables) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(tables, 0);
        sqlite3_stmt *count = NULL;
        snprintf(sql, sizeof sql,
                 "SELECT (SELECT count(*) FROM (SELECT * FROM main.%s EXCEPT SELECT * FROM other.%s)) + "
                 "(SELECT count(*) FROM (SELECT * FROM other.%s EXCEPT SELECT * FROM main.%s))",
                 name, name, name, name);
        assert_int_equal(sqlite3_prepare_v2(both, sql, -1, &count, NULL), SQLITE_OK);
        assert_int_equal(sqlite3_step(count), SQLITE_ROW);
        different += (uint64_t)sqlite3_column_int64(count, 0);
        sqlite3_finalize(count);
    }
    sqlite3_finalize(tables);
    sqlite3_close(both);
    return different;
}

static void test_a_site_goes_into_a_server_and_back_and_is_the_same(void **state) {
    (void)state;
    place first = place_make_in_files();
    place server = place_make();
    place last = place_make_in_files();
    uint64_t there = 0;
    uint64_t back = 0;
    fill(&first);
    assert_int_equal(copy(&first, &server, &there), ERROR_NONE);
    assert_int_equal(copy(&server, &last, &back), ERROR_NONE);
    assert_true(there > 700);
    assert_int_equal(there, back);
    assert_int_equal(differences(&first, &last), 0);
    store *s = open_at(&server, NULL); /* what is new there takes numbers that are free */
    outcome o = {0};
    store_notice n = new_notice(50);
    assert_true(store_notice_add(s, &n, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.user_id, 6);
    store_close(s);
    place_remove(&first);
    place_remove(&server);
    place_remove(&last);
}

static void test_a_target_that_holds_something_is_refused(void **state) {
    (void)state;
    place from = place_make_in_files();
    place to = place_make();
    uint64_t rows = 0;
    fill(&from);
    store *s = open_at(&to, NULL);
    fill_site(s);
    assert_int_equal(copy(&from, &to, &rows), ERROR_CONFLICT); /* in use */
    store_close(s);
    assert_int_equal(copy(&from, &to, &rows), ERROR_CONFLICT);
    assert_non_null(strstr(err.text, "empty"));
    assert_int_equal(count_rows(&to, "receipts"), 0);
    place_remove(&from);
    place_remove(&to);
}

static void die_in_the_middle(void *context, const store_copy_progress *progress) {
    (void)context;
    if (strcmp(progress->table, "receipts") == 0 && progress->rows > 500) {
        (void)kill(getpid(), SIGKILL);
    }
}

static void check_killed_copy(const place *from, const place *to) {
    uint64_t rows = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(store_copy(from->path, to->path, die_in_the_middle, NULL, &rows, &err) ? 1 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(count_rows(to, "users") + count_rows(to, "keys") + count_rows(to, "receipts"), 0);
    assert_int_equal(copy(from, to, &rows), ERROR_NONE); /* and stands in nobody's way */
    assert_int_equal(count_rows(to, "receipts"), 700);
}

static void test_a_copy_that_is_killed_leaves_an_empty_target(void **state) {
    (void)state;
    place file = place_make_in_files();
    place server = place_make();
    place last = place_make_in_files();
    fill(&file);
    check_killed_copy(&file, &server);
    check_killed_copy(&server, &last);
    place_remove(&file);
    place_remove(&server);
    place_remove(&last);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_that_was_ended_is_made_anew_before_anything_is_lost),
        cmocka_unit_test(test_what_was_under_way_when_the_connection_broke_fails_and_says_so),
        cmocka_unit_test(test_a_connection_lost_while_committing_leaves_the_outcome_unknown_and_says_so),
        cmocka_unit_test(test_who_finds_that_another_has_stored_meanwhile_stores_no_more),
        cmocka_unit_test(test_a_second_opener_is_refused_until_the_first_has_closed),
        cmocka_unit_test(test_a_newer_database_and_another_programs_are_refused_and_left_alone),
        cmocka_unit_test(test_an_error_shows_no_password),
        cmocka_unit_test(test_an_address_that_nobody_has_let_through_is_not_dialled),
        cmocka_unit_test(test_a_wiped_payload_leaves_the_tables_files),
        cmocka_unit_test(test_both_kinds_of_database_have_the_same_columns),
        cmocka_unit_test(test_a_site_goes_into_a_server_and_back_and_is_the_same),
        cmocka_unit_test(test_a_target_that_holds_something_is_refused),
        cmocka_unit_test(test_a_copy_that_is_killed_leaves_an_empty_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
