/* Databases that earlier programs wrote are brought up to date, with all that is in them.
 *
 * CELLULE_STORE_VECTOR=FILE writes such a database with the present program instead (tests/vectors/store). */
#include "memory_support.h"

#include "../../../src/io/store/migrations.h"
#include "store/sessions.h"

#include <fcntl.h>

static void on_session(void *context, const store_session *session, const error *failure) {
    keep(context, failure);
    assert_int_equal(session == NULL, failure != NULL);
}

/* What schema 8 had already. */
static void fill_first(store *s) {
    outcome o = {0};
    store_new_key key = new_key(2);
    fill_site(s);
    assert_true(
        store_user_add(s, SLICE_LITERAL("bo"), SLICE_LITERAL("employee"), &key, on_user_and_key, &o, &err));
    key = new_key(3);
    assert_true(store_key_add(s, SLICE_LITERAL("ana"), &key, on_user_and_key, &o, &err));
    store_key_revocation revocation = {.key_id = o.key_id, .now_ms = NOW_MS};
    assert_true(store_key_revoke(s, &revocation, on_revoked_keys, &o, &err));
    for (uint64_t i = 1; i <= 3; i++) {
        store_receipt receipt = new_receipt(i);
        assert_true(store_receipt_add(s, &receipt, on_done, &o, &err));
    }
    store_verification v = new_verification(1, "waiting");
    assert_true(store_verification_add(s, &v, on_done, &o, &err));
    store_new_session session = {
        .user_id = 1, .key_id = 1, .created_ms = NOW_MS, .expires_ms = NOW_MS + 1000};
    assert_true(store_session_add(s, &session, on_session, &o, &err));
    assert_true(store_meta_set(s, SLICE_LITERAL("site"), SLICE_LITERAL("a fact"), on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

/* What schema 9 brought; on `site`. */
static void fill_memory(void) {
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_turn(1, 1, "a question", "the head"), ERROR_NONE);
    assert_int_equal(add_turn(1, 1, "another", ""), ERROR_NONE);
    assert_int_equal(add_fact(1, 1, SLICE_LITERAL("a sealed fact")), ERROR_NONE);
}

/* What schema 10 brought: ana makes a key with her first. */
static void fill_own_key(void) {
    outcome o = {0};
    store_new_key key = new_key(4);
    key.made_with = 1;
    assert_true(store_key_add(site, SLICE_LITERAL("ana"), &key, on_user_and_key, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.key_id, 4);
}

/* What schema 11 brought. */
static void fill_shares(void) {
    outcome o = {0};
    bool accepted = share_out(1, 7, 3, SLICE_LITERAL("a sealed share"), &o);
    assert_int_equal(outcome_of(accepted, &o), ERROR_NONE);
}

static void raw(const char *path, const char *sql) {
    sqlite3 *connection = NULL;
    assert_int_equal(sqlite3_open(path, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(connection);
}

static void copy_file(const char *from, const char *to) {
    static uint8_t bytes[1024 * 1024];
    int source = open(from, O_RDONLY);
    assert_true(source >= 0);
    ssize_t length = read(source, bytes, sizeof bytes);
    assert_in_range(length, 1, sizeof bytes - 1);
    int target = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(target >= 0);
    assert_int_equal(write(target, bytes, (size_t)length), length);
    close(source);
    close(target);
}

/* Small pages make a small file: most tables have but a few rows. */
static void write_vector(const char *path) {
    here = place_make();
    site = open_at(&here, NULL);
    fill_first(site);
    fill_memory();
    fill_own_key();
    fill_shares();
    store_close(site);
    raw(here.path, "PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM");
    copy_file(here.path, path);
    place_remove(&here);
}

static void on_keys(void *context, const store_key *keys, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    assert_in_range(count, 3, 4);
    assert_true(slice_equal_text(keys[0].user_name, "ana"));
    assert_true(slice_equal_text(keys[0].label, "laptop"));
    assert_true(slice_equal_text(keys[1].user_name, "bo"));
    assert_int_equal(keys[0].revoked_ms, 0);
    assert_int_equal(keys[2].revoked_ms, NOW_MS);
}

static void on_sessions(void *context, const store_session *sessions, size_t count, const error *failure) {
    keep(context, failure);
    assert_int_equal(count, 1);
    assert_int_equal(sessions[0].key_id, 1);
    assert_int_equal(sessions[0].expires_ms, NOW_MS + 1000);
}

static void on_workers(void *context, const store_worker *workers, size_t count, const error *failure) {
    keep(context, failure);
    assert_int_equal(count, 1);
    assert_int_equal(workers[0].id[0], 1);
    assert_true(slice_equal_text(workers[0].name, "desk 4"));
}

static void check_first(void) {
    outcome o = {0};
    page p = {0};
    assert_true(store_key_list(site, slice_of(NULL, 0), 0, 10, on_keys, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_true(store_load_sessions(site, on_sessions, &o, &err));
    assert_true(store_load_workers(site, on_workers, &o, &err));
    store_receipt receipt = new_receipt(2);
    assert_true(store_receipt_get(site, receipt.job_id, 1, on_receipt, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_memory_equal(o.bytes, "signed bytes", 12);
    assert_true(store_meta_get(site, SLICE_LITERAL("site"), on_value, &o, &err));
    assert_memory_equal(o.bytes, "a fact", 6);
    assert_int_equal(o.calls, 5);
    assert_true(store_verification_load_waiting(site, 0, 10, on_page, &p, &err));
    assert_int_equal(p.count, 1);
    assert_memory_equal(p.payload_of_first, "payload of 1 .......", 20);
}

static void on_vault(void *context, const store_vault *vault, const error *failure) {
    keep(context, failure);
    assert_non_null(vault);
    assert_memory_equal(vault->salt, salt_of(1), sizeof vault->salt);
    assert_int_equal(vault->wrap_count, 1);
    assert_int_equal(vault->wraps[0].cost, 600000);
    assert_true(slice_equal_text(vault->wraps[0].wrapped, "wrapped"));
}

static void on_conversation(void *context, const store_conversation *c, const error *failure) {
    keep(context, failure);
    assert_non_null(c);
    assert_int_equal(c->turns, 2);
    assert_true(slice_equal_text(c->head, "the head"));
}

static void on_turns(void *context, const store_turn *rows, size_t count, const error *failure) {
    keep(context, failure);
    assert_int_equal(count, 2);
    assert_true(slice_equal_text(rows[0].sealed, "a question"));
    assert_true(slice_equal_text(rows[1].sealed, "another"));
}

static void on_facts(void *context, const store_fact *rows, size_t count, const error *failure) {
    keep(context, failure);
    assert_int_equal(count, 1);
    assert_int_equal(rows[0].changed_ms, NOW_MS + 1);
    assert_true(slice_equal_text(rows[0].sealed, "a sealed fact"));
}

static void check_memory(void) {
    outcome o = {0};
    uint8_t id[16];
    id_of(id, 1);
    assert_true(store_vault_get(site, 1, on_vault, &o, &err));
    assert_true(store_conversation_get(site, 1, id, on_conversation, &o, &err));
    assert_true(store_turn_list(site, 1, id, 0, 10, on_turns, &o, &err));
    assert_true(store_fact_list(site, 1, NULL, 10, on_facts, &o, &err));
    assert_int_equal(o.calls, 4);
}

static void on_own_key(void *context, const store_key *keys, size_t count, const error *failure) {
    keep(context, failure);
    assert_int_equal(count, 4);
    assert_int_equal(keys[0].made_with, 0);
    assert_int_equal(keys[3].made_with, 1);
}

static void check_own_key(void) {
    outcome o = {0};
    assert_true(store_key_list(site, slice_of(NULL, 0), 0, 10, on_own_key, &o, &err));
    assert_int_equal(o.calls, 1);
}

static void on_shares(void *context, const store_recovery *found, const error *failure) {
    keep(context, failure);
    assert_non_null(found);
    assert_int_equal(found->count, 3);
    assert_int_equal(found->needed, 2);
    assert_int_equal(found->set[0], 7);
    assert_true(slice_equal_text(found->shares[0].officer, "olga"));
    assert_true(slice_equal_text(found->shares[0].sealed, "a sealed share"));
}

static void check_shares(void) {
    outcome o = {0};
    assert_true(store_recovery_get(site, 1, 1, on_shares, &o, &err));
    assert_int_equal(o.calls, 1);
}

/* Schema 12 brought the count of the facts that are there. */
static void check_fact_counts(void) {
    store_fact fact = {.id = {2}, .changed_ms = NOW_MS, .sealed = SLICE_LITERAL("another fact")};
    outcome o = {0};
    assert_true(store_fact_add(site, 1, &fact, 1, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_LIMIT);
}

static void fill_nothing(void) {
}

/* From the file's header, since the store wants to be the first to use SQLite. */
static uint32_t schema_of(const char *path) {
    enum { USER_VERSION_AT = 60 };
    uint8_t bytes[4];
    int file = open(path, O_RDONLY);
    assert_true(file >= 0);
    assert_int_equal(pread(file, bytes, sizeof bytes, USER_VERSION_AT), sizeof bytes);
    close(file);
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void open_released(uint32_t schema) {
    char path[4096];
    const char *root = getenv("CELLULE_SOURCE");
    assert_non_null(root);
    snprintf(path, sizeof path, "%s/tests/vectors/store/schema_%04u.db", root, schema);
    here = place_make();
    copy_file(path, here.path);
    assert_int_equal(schema_of(here.path), schema);
    site = open_at(&here, NULL);
}

static void close_released(void) {
    store_close(site);
    assert_int_equal(count_rows(&here, "pragma_foreign_key_check"), 0);
    assert_int_equal(count_rows(&here, "pragma_integrity_check WHERE integrity_check <> 'ok'"), 0);
    place_remove(&here);
}

/* What each schema brought that a program keeps in it, and how it is found again. */
typedef struct schema_content {
    uint32_t since;
    void (*fill)(void);
    void (*check)(void);
} schema_content;

enum { FIRST_KEPT = 8 };
static const schema_content contents[] = {{9, fill_memory, check_memory},
                                          {10, fill_own_key, check_own_key},
                                          {11, fill_shares, check_shares},
                                          {12, fill_nothing, check_fact_counts}};

static void bring_up_to_date(uint32_t schema) {
    const size_t count = sizeof contents / sizeof contents[0];
    open_released(schema);
    check_first();
    for (size_t i = 0; i < count && contents[i].since <= schema; i++) {
        contents[i].check();
    }
    for (size_t i = 0; i < count; i++) {
        if (contents[i].since > schema) {
            contents[i].fill();
        }
    }
    reopen();
    check_first();
    for (size_t i = 0; i < count; i++) {
        contents[i].check();
    }
    assert_int_equal(add_turn(1, 1, "a third", ""), ERROR_NONE);
    close_released();
}

static void test_a_database_of_each_schema_is_brought_up_to_date(void **state) {
    (void)state;
    const uint32_t newest = store_migrations[store_migration_count - 1].version;
    for (uint32_t schema = FIRST_KEPT; schema <= newest; schema++) {
        bring_up_to_date(schema);
    }
}

int main(void) {
    const char *vector = getenv("CELLULE_STORE_VECTOR");
    if (vector != NULL) {
        write_vector(vector);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_database_of_each_schema_is_brought_up_to_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
