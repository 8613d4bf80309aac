/* The pool's audit log over a real database: what is written, proofs, and what happens when it can't be. */
#include "audit/audit_internal.h"
#include "crypto/start.h"
#include "os/file.h"
#include "os/random.h"

#include "unit.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

enum { MANY = 3000 };

static pool *p;
static error err;
static char path[SITE_PATH_SIZE];
static uint64_t at_once = AUDIT_AT_ONCE;

typedef struct heard {
    size_t calls;
    size_t failures;
    size_t wanted; /* calls after which the loop stops */
    error_code code;
} heard;

static void on_written(void *context, const error *failure) {
    heard *h = context;
    h->calls++;
    h->failures += failure == NULL ? 0 : 1;
    h->code = failure == NULL ? ERROR_NONE : failure->code;
    if (h->calls == h->wanted) {
        ev_loop_stop(p->loop);
    }
}

static store *open_store(ev_loop *loop, uint64_t size_limit) {
    store *s = store_open(&(store_options){.path = path, .loop = loop, .size_limit = size_limit}, &err);
    assert_non_null(s);
    return s;
}

static bool load(void) {
    store *database = open_store(NULL, 0);
    bool loaded = audit_load(p, database, at_once, &err);
    store_close(database);
    return loaded;
}

static void go_on(ev_loop *loop, uint64_t size_limit) {
    p->store = open_store(loop, size_limit);
    audit_start(p);
}

static int start(void **state) {
    const char *parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)state;
    if (!crypto_start(&err)) {
        return -1;
    }
    p = calloc(1, sizeof *p);
    assert_non_null(p);
    snprintf(p->site.folder, sizeof p->site.folder, "%s/cellule-audit-XXXXXX", parent);
    assert_non_null(mkdtemp(p->site.folder));
    assert_true(site_path(p->site.folder, SITE_DATABASE, path, &err));
    p->site.key = sign_key_generate(&err);
    assert_non_null(p->site.key);
    assert_true(succession_begin(sign_key_public(p->site.key), &p->site.keys, &err));
    memcpy(p->site.pool_id, p->site.keys.pool_id, HASH_SIZE);
    hex_encode(slice_of(p->site.pool_id, HASH_SIZE), p->site.pool_id_hex);
    p->loop = ev_loop_new(&err);
    assert_non_null(p->loop);
    assert_true(load());
    return 0;
}

static void close_log(void) {
    store_settle(p->store);
    audit_stop(p);
    store_close(p->store);
    p->store = NULL;
}

static int stop(void **state) {
    static const char *const names[] = {"pool.db", "pool.db-wal", "pool.db-shm", "pool.db.lock",
                                        "audit.checkpoint"};
    (void)state;
    close_log();
    ev_loop_free(p->loop);
    sign_key_free(p->site.key);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[SITE_PATH_SIZE + 32];
        snprintf(name, sizeof name, "%s/%s", p->site.folder, names[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(p->site.folder), 0);
    free(p);
    crypto_stop();
    return 0;
}

static bool write_as(audit_outcome outcome, const char *actor, heard *h) {
    audit_record record = {.outcome = outcome,
                           .action = "user_list",
                           .actor = slice_of_text(actor),
                           .role = "it_admin",
                           .target = SLICE_LITERAL("GET /v1/admin/users"),
                           .address = SLICE_LITERAL("127.0.0.1")};
    return audit_write(p, &record, on_written, h, &err);
}

static bool write_one(const char *actor, heard *h) {
    return write_as(AUDIT_ALLOWED, actor, h);
}

/* Takes the log down and up again: it must be whole. */
static void reload(uint64_t size) {
    close_log();
    assert_true(load());
    assert_true(audit_size(p->audit) >= size);
    go_on(NULL, 0);
}

static checkpoint signed_now(void) {
    checkpoint c;
    assert_true(audit_note_open(p, audit_checkpoint(p->audit), &c, &err));
    assert_int_equal(c.size, audit_size(p->audit));
    return c;
}

static void test_an_entry_is_signed_when_it_is_told(void **state) {
    (void)state;
    heard h = {0};
    go_on(NULL, 0);
    assert_true(write_one("ana", &h));
    assert_int_equal(h.calls, 1);
    assert_int_equal(h.code, ERROR_NONE);
    assert_int_equal(signed_now().size, 1);
    reload(1);
    assert_int_equal(audit_size(p->audit), 1);
    assert_true(audit_boot(p, &err));
    assert_int_equal(signed_now().size, 2);
    reload(2);
    assert_int_equal(audit_size(p->audit), 3); /* that it stopped is written too */
}

static void on_proof(void *context, const merkle_proof *proof, const error *failure) {
    merkle_proof *copy = context;
    assert_null(failure);
    *copy = *proof;
    ev_loop_stop(p->loop);
}

static slice entry_of(uint64_t place, char *bytes);

static void on_entry(void *context, const slice *entries, size_t count, const error *failure) {
    slice *copy = context;
    assert_null(failure);
    assert_int_equal(count, 1);
    assert_true(entries[0].length <= AUDIT_ENTRY_SIZE_MAX);
    memcpy((uint8_t *)(uintptr_t)copy->data, entries[0].data, entries[0].length);
    copy->length = entries[0].length;
    ev_loop_stop(p->loop);
}

static slice entry_of(uint64_t place, char *bytes) {
    slice entry = slice_of(bytes, 0);
    assert_true(store_audit_entries(p->store, place, 1, on_entry, &entry, &err));
    ev_loop_run(p->loop);
    return entry;
}

static void test_thousands_at_once_are_a_few_batches_and_all_are_provable(void **state) {
    (void)state;
    heard h = {.wanted = MANY};
    char bytes[AUDIT_ENTRY_SIZE_MAX];
    store_statistics statistics;
    go_on(p->loop, 0);
    for (size_t i = 0; i < MANY; i++) {
        char actor[16];
        snprintf(actor, sizeof actor, "user%zu", i % 7);
        assert_true(write_one(actor, &h));
    }
    assert_int_equal(h.calls, 0); /* nobody is told before it is on the disk */
    ev_loop_run(p->loop);
    assert_int_equal(h.calls, MANY);
    assert_int_equal(h.failures, 0);
    store_stats(p->store, &statistics);
    assert_true(statistics.synced_commits < 20);
    checkpoint c = signed_now();
    const uint64_t places[] = {0, 1, 255, 256, 1023, 2559, MANY - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        merkle_proof proof;
        uint8_t leaf[HASH_SIZE];
        assert_true(merkle_leaf_hash(entry_of(places[i], bytes), leaf, &err));
        assert_true(audit_prove_inclusion(p, places[i], c.size, on_proof, &proof, &err));
        ev_loop_run(p->loop);
        assert_true(merkle_verify_inclusion(leaf, places[i], c.size, c.root, &proof, &err));
        leaf[0] ^= 1;
        assert_false(merkle_verify_inclusion(leaf, places[i], c.size, c.root, &proof, &err));
    }
    merkle_proof proof;
    assert_true(audit_prove_consistency(p, 700, c.size, on_proof, &proof, &err));
    ev_loop_run(p->loop);
    assert_false(audit_prove_inclusion(p, c.size, c.size, on_proof, &proof, &err));
    assert_false(audit_prove_inclusion(p, 0, c.size + 1, on_proof, &proof, &err));
    reload(MANY);
}

static void test_too_many_at_once_are_refused(void **state) {
    (void)state;
    heard h = {0};
    size_t accepted = 0;
    go_on(p->loop, 0);
    while (accepted < 3 * AUDIT_WAITING_MAX && write_one("ana", &h)) {
        accepted++;
    }
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_in_range(accepted, AUDIT_WAITING_MAX, AUDIT_WAITING_MAX + AUDIT_BATCH_MAX);
    h.wanted = accepted;
    ev_loop_run(p->loop);
    assert_int_equal(h.failures, 0);
}

static void test_refusals_leave_room_for_what_is_allowed(void **state) {
    (void)state;
    heard h = {0};
    size_t accepted = 0;
    go_on(p->loop, 0);
    while (accepted < 3 * AUDIT_WAITING_MAX && write_as(AUDIT_REFUSED, "eve", &h)) {
        accepted++;
    }
    assert_int_equal(err.code, ERROR_LIMIT);
    for (size_t i = 0; i < AUDIT_WAITING_MAX - AUDIT_REFUSALS_MAX; i++) {
        assert_true(write_one("ana", &h));
        accepted++;
    }
    assert_false(write_as(AUDIT_REFUSED, "eve", &h));
    h.wanted = accepted;
    ev_loop_run(p->loop);
    assert_int_equal(h.failures, 0);
}

static void test_a_full_disk_fails_the_act_and_the_log_goes_on_after(void **state) {
    (void)state;
    heard h = {0};
    go_on(NULL, 512 * 1024);
    for (size_t i = 0; i < 5000 && h.failures == 0; i++) {
        assert_true(write_one("ana", &h));
    }
    assert_int_equal(h.failures, 1);
    assert_int_equal(h.code, ERROR_IO);
    assert_true(audit_is_failing(p->audit));
    uint64_t size = audit_size(p->audit);
    assert_int_equal(size, h.calls - 1);
    assert_int_equal(signed_now().size, size);
    reload(size);
    assert_true(write_one("ana", &h));
    assert_int_equal(h.failures, 1);
    assert_false(audit_is_failing(p->audit));
}

static void test_each_failing_allocation_fails_the_act_or_none(void **state) {
    (void)state;
    bool reached = true;
    heard first = {0};
    go_on(NULL, 0);
    assert_true(write_one("ana", &first));
    for (int nth = 0; reached; nth++) {
        heard h = {0};
        char actor[16];
        snprintf(actor, sizeof actor, "user%d", nth); /* one who has no salt yet */
        uint64_t size = audit_size(p->audit);
        fault_fail_nth(nth);
        bool accepted = write_one(actor, &h);
        reached = fault_stop();
        assert_int_equal(h.calls, accepted ? 1 : 0);
        bool written = accepted && h.failures == 0;
        assert_int_equal(audit_size(p->audit), size + (written ? 1 : 0));
        assert_int_equal(signed_now().size, audit_size(p->audit));
        if (nth % 10 == 0) {
            reload(size);
        }
    }
    reload(1);
}

static void on_done(void *context, const error *failure) {
    *(error_code *)context = failure == NULL ? ERROR_NONE : failure->code;
}

static void test_an_erased_person_is_somebody_else_from_then_on(void **state) {
    (void)state;
    heard h = {0};
    audit_entry entries[3];
    error_code code = ERROR_INTERNAL;
    char bytes[AUDIT_ENTRY_SIZE_MAX];
    go_on(NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        if (i == 2) {
            assert_true(audit_erase_person(p, SLICE_LITERAL("ana"), on_done, &code, &err));
            assert_int_equal(code, ERROR_NONE);
        }
        assert_true(write_one("ana", &h));
        slice entry = slice_of(bytes, 0);
        assert_true(store_audit_entries(p->store, i, 1, on_entry, &entry, &err));
        assert_true(audit_entry_parse(entry, &entries[i], &err));
    }
    assert_memory_equal(&entries[0].actor, &entries[1].actor, sizeof entries[0].actor);
    assert_memory_not_equal(entries[1].actor.hash, entries[2].actor.hash, HASH_SIZE);
    assert_true(audit_erase_person(p, SLICE_LITERAL("nobody"), on_done, &code, &err));
    assert_int_equal(code, ERROR_NOT_FOUND);
    reload(3);
}

static void test_what_can_stand_in_no_entry_is_made_to(void **state) {
    (void)state;
    static char large[2000];
    heard h = {0};
    memset(large, 'x', sizeof large - 1);
    memcpy(large + 253, "\xc3\xa9\xc3\xa9", 4);
    audit_record record = {.outcome = AUDIT_REFUSED,
                           .action = "user_list",
                           .actor = SLICE_LITERAL("\xff\x01 ana"),
                           .target = slice_of_text(large),
                           .person = slice_of_text(large),
                           .address = SLICE_LITERAL("\n"),
                           .detail = "a\tb"};
    go_on(NULL, 0);
    assert_true(audit_write(p, &record, on_written, &h, &err));
    assert_int_equal(h.code, ERROR_NONE);
    reload(1);
}

/* Someone changes the database while the pool stands still. */
static void change(const char *statement) {
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, statement, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(database), 1);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

/* Takes the log down, changes it, and serves while it is checked. */
static void serve_changed(const char *statement) {
    close_log();
    if (statement != NULL) {
        change(statement);
    }
    at_once = 0;
    assert_true(load());
    at_once = AUDIT_AT_ONCE;
    assert_true(audit_unchecked(p->audit) > 0);
    go_on(p->loop, 0);
}

static void look_again(void *context) {
    ev_timer *timer = context;
    if (audit_unchecked(p->audit) == 0) {
        ev_loop_stop(p->loop);
    } else {
        ev_timer_start(p->loop, timer, 1);
    }
}

static void test_a_long_log_is_checked_while_the_pool_serves(void **state) {
    (void)state;
    heard h = {0};
    ev_timer timer;
    go_on(NULL, 0);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(write_one("ana", &h));
    }
    serve_changed(NULL);
    h = (heard){.wanted = 1};
    assert_true(write_one("ana", &h)); /* the log goes on meanwhile */
    ev_timer_init(&timer, look_again, &timer);
    ev_timer_start(p->loop, &timer, 1);
    while (audit_unchecked(p->audit) > 0 || h.calls == 0) {
        ev_loop_run(p->loop);
    }
    assert_int_equal(p->start_failure.code, ERROR_NONE);
    assert_int_equal(h.failures, 0);
    serve_changed("DELETE FROM audit_entries WHERE place = 1000");
    ev_loop_run(p->loop); /* it stops by itself */
    assert_int_equal(p->start_failure.code, ERROR_CORRUPT);
    assert_true(audit_unchecked(p->audit) > 0);
}

static void test_an_entry_that_was_changed_long_ago_stops_the_pool(void **state) {
    (void)state;
    heard h = {0};
    go_on(NULL, 0);
    for (size_t i = 0; i < MANY; i++) {
        assert_true(write_one("ana", &h));
    }
    serve_changed("UPDATE audit_entries SET entry = CAST('{}' AS BLOB) WHERE place = 700");
    ev_loop_run(p->loop);
    assert_int_equal(p->start_failure.code, ERROR_CORRUPT);
    assert_non_null(strstr(p->start_failure.text, "512 to 767"));
    close_log();
    assert_false(load()); /* and one that has the time finds it before */
    assert_int_equal(err.code, ERROR_CORRUPT);
}

/* Runs out of memory at each place in turn: nothing is taken for changed that isn't. */
static void test_without_memory_a_log_is_not_taken_for_changed(void **state) {
    (void)state;
    heard h = {0};
    bool reached = true;
    go_on(NULL, 0);
    for (size_t i = 0; i < 260; i++) {
        assert_true(write_one("ana", &h));
    }
    close_log();
    for (int nth = 0; reached; nth++) {
        store *database = open_store(NULL, 0);
        fault_fail_nth(nth);
        bool loaded = audit_load(p, database, AUDIT_AT_ONCE, &err);
        reached = fault_stop();
        store_close(database);
        assert_true(loaded || err.code == ERROR_MEMORY);
        assert_true(loaded || reached);
        audit_stop(p);
    }
}

/* What secrets/succeed.c does, with the note that it has signed anew. */
static void take_another_key(bool kept) {
    sign_key *next = sign_key_generate(&err);
    assert_non_null(next);
    assert_true(succession_append(&p->site.keys, p->site.key, next, 1000, &err));
    sign_key *former = p->site.key;
    p->site.key = next;
    if (kept) {
        char name[SITE_PATH_SIZE];
        buffer fresh = buffer_make(AUDIT_NOTE_MAX);
        note n;
        note_key key;
        assert_true(audit_note_make(p, &p->audit->durable, &fresh, &err));
        assert_true(note_parse(buffer_slice(&fresh), &n, &err));
        audit_log_key(p, &key);
        memcpy(key.public_key, sign_key_public(former), SIGN_PUBLIC_SIZE);
        char text[AUDIT_NOTE_MAX];
        slice signed_text = slice_of(text, n.text.length);
        memcpy(text, n.text.data, n.text.length);
        assert_true(note_sign(signed_text, &key, former, 0, &fresh, &err));
        assert_true(site_path(p->site.folder, SITE_AUDIT, name, &err));
        assert_true(file_write_atomic(name, buffer_slice(&fresh), 0600, &err));
        buffer_free(&fresh);
    }
    sign_key_free(former);
}

static void now_ready(void *context) {
    ++*(size_t *)context;
}

static void test_another_key_signs_what_is_shown_from_then_on(void **state) {
    (void)state;
    heard h = {.wanted = 2};
    size_t ready = 0;
    checkpoint c;
    go_on(p->loop, 0);
    assert_true(write_one("ana", &h));
    audit_hold(p, now_ready, &ready);
    assert_int_equal(ready, 1);
    assert_true(write_one("ana", &h)); /* the first is under way, under the key before */
    take_another_key(true);
    audit_release(p, true);
    ev_loop_run(p->loop);
    assert_int_equal(h.failures, 0);
    assert_int_equal(signed_now().size, 2);
    assert_false(audit_note_open_former(p, audit_checkpoint(p->audit), &c, &err));
    reload(2);
}

/* A crash between the exchange and the next batch. */
static void test_what_the_key_before_signed_holds_only_behind_what_the_new_one_did(void **state) {
    (void)state;
    heard h = {0};
    char name[SITE_PATH_SIZE];
    go_on(NULL, 0);
    assert_true(write_one("ana", &h));
    close_log();
    assert_true(load());
    take_another_key(true);
    p->store = open_store(NULL, 0);
    close_log();
    assert_true(load());
    close_log();
    assert_true(site_path(p->site.folder, SITE_AUDIT, name, &err));
    assert_int_equal(unlink(name), 0);
    assert_false(load());
    assert_int_equal(err.code, ERROR_CORRUPT);
}

/* Who stole the key before and can write the database adds nothing to the log once the new one has signed. */
static void test_what_the_key_before_signed_is_not_taken_once_the_new_one_has(void **state) {
    (void)state;
    heard h = {0};
    char name[SITE_PATH_SIZE];
    go_on(NULL, 0);
    assert_true(write_one("ana", &h));
    close_log();
    assert_true(load());
    take_another_key(true);
    assert_true(site_path(p->site.folder, SITE_AUDIT, name, &err));
    p->store = open_store(NULL, 0);
    close_log();
    assert_true(load());
    buffer fresh = buffer_make(AUDIT_NOTE_MAX);
    assert_true(
        audit_note_make(p, &p->audit->durable, &fresh, &err)); /* as it is kept, by the new one alone */
    p->store = open_store(NULL, 0);
    close_log();
    assert_true(file_write_atomic(name, buffer_slice(&fresh), 0600, &err));
    assert_false(load());
    assert_int_equal(err.code, ERROR_CORRUPT);
    buffer_free(&fresh);
}

static void test_a_checkpoint_beside_the_database_is_by_the_current_key(void **state) {
    (void)state;
    heard h = {0};
    go_on(NULL, 0);
    assert_true(write_one("ana", &h));
    close_log();
    assert_true(load());
    take_another_key(false);
    p->store = open_store(NULL, 0);
    close_log();
    assert_false(load());
    assert_int_equal(err.code, ERROR_CORRUPT);
}

#define LOG_TEST(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_an_entry_is_signed_when_it_is_told),
        LOG_TEST(test_thousands_at_once_are_a_few_batches_and_all_are_provable),
        LOG_TEST(test_too_many_at_once_are_refused),
        LOG_TEST(test_refusals_leave_room_for_what_is_allowed),
        LOG_TEST(test_a_full_disk_fails_the_act_and_the_log_goes_on_after),
        LOG_TEST(test_each_failing_allocation_fails_the_act_or_none),
        LOG_TEST(test_an_erased_person_is_somebody_else_from_then_on),
        LOG_TEST(test_what_can_stand_in_no_entry_is_made_to),
        LOG_TEST(test_a_long_log_is_checked_while_the_pool_serves),
        LOG_TEST(test_an_entry_that_was_changed_long_ago_stops_the_pool),
        LOG_TEST(test_another_key_signs_what_is_shown_from_then_on),
        LOG_TEST(test_what_the_key_before_signed_holds_only_behind_what_the_new_one_did),
        LOG_TEST(test_what_the_key_before_signed_is_not_taken_once_the_new_one_has),
        LOG_TEST(test_a_checkpoint_beside_the_database_is_by_the_current_key),
        LOG_TEST(test_without_memory_a_log_is_not_taken_for_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
