#include "support.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static error err;

/* The migrations make thousands of allocations, all alike and all SQLite's. */
enum { EACH_OF_THE_FIRST = 200, STRIDE = 13 };

static void test_opening_survives_each_failing_allocation(void **state) {
    (void)state;
    bool reached = true;
    int nth = 0;
    for (; reached; nth += nth < EACH_OF_THE_FIRST ? 1 : STRIDE) {
        place here = place_make();
        store_options options = {.path = here.path};
        fault_fail_nth(nth);
        store *s = store_open(&options, &err);
        reached = fault_stop();
        if (s == NULL) {
            assert_int_equal(err.code, ERROR_MEMORY);
        }
        if (s == NULL && nth % 16 == 0) { /* what was begun doesn't stand in the way */
            s = open_at(&here, NULL);
        }
        if (s != NULL) {
            fill_site(s);
        }
        store_close(s);
        place_remove(&here);
    }
#ifdef CELLULE_FAULTS
    assert_true(nth > 100 || server_of_tests() != NULL); /* SQLite's own allocations are among them */
#endif
}

/* One call of each operation that writes; the result counts as success only when the callback said so. */
typedef bool attempt(store *s, int number, outcome *o);

static bool try_user(store *s, int number, outcome *o) {
    char name[16];
    snprintf(name, sizeof name, "user%d", number);
    store_new_key key = new_key(1);
    memcpy(key.token_hash, &number, sizeof number);
    return store_user_add(s, slice_of_text(name), SLICE_LITERAL("employee"), &key, on_user_and_key, o, &err);
}

static bool try_key(store *s, int number, outcome *o) {
    store_new_key key = new_key(2);
    memcpy(key.token_hash, &number, sizeof number);
    return store_key_add(s, SLICE_LITERAL("ana"), &key, on_user_and_key, o, &err);
}

static bool try_join_token(store *s, int number, outcome *o) {
    store_join_token token = new_join_token(2, 1);
    memcpy(token.id, &number, sizeof number);
    return store_join_token_add(s, &token, on_done, o, &err);
}

static bool try_receipt(store *s, int number, outcome *o) {
    store_receipt receipt = new_receipt((uint64_t)number);
    return store_receipt_add(s, &receipt, on_done, o, &err);
}

static bool try_enrolment(store *s, int number, outcome *o) {
    store_join_token token = new_join_token(3, 1);
    memcpy(token.id, &number, sizeof number);
    outcome added = {0};
    if (!store_join_token_add(s, &token, on_done, &added, &err) || added.code != ERROR_NONE) {
        o->calls = 1;
        o->code = added.calls == 0 ? err.code : added.code;
        return true;
    }
    store_enrolment enrolment = new_enrolment(3, 3);
    memcpy(enrolment.token_id, &number, sizeof number);
    memcpy(enrolment.worker_id, &number, sizeof number);
    memcpy(enrolment.public_key, &number, sizeof number);
    return store_join_token_consume(s, &enrolment, on_enrolled, o, &err);
}

static void fail_each_allocation_of(attempt *try_it, const char *table) {
    place here = place_make();
    bool reached = true;
    uint64_t expected = 0;
    for (int nth = 0; reached; nth++) {
        store *s = open_at(&here, NULL); /* afresh: nothing is prepared or cached */
        if (nth == 0) {
            fill_site(s);
            expected = count_rows(&here, table);
        }
        outcome o = {0};
        fault_fail_nth(nth);
        bool accepted = try_it(s, 2 * nth + 1000, &o);
        reached = fault_stop();
        assert_int_equal(o.calls, accepted ? 1 : 0);
        error_code code = accepted ? o.code : err.code;
        assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
        expected += code == ERROR_NONE ? 1 : 0;
        assert_int_equal(count_rows(&here, table), expected);
        assert_true(try_it(s, 2 * nth + 1001, &o));
        assert_int_equal(o.code, ERROR_NONE);
        expected++;
        store_close(s);
    }
    place_remove(&here);
}

static void test_each_failing_allocation_leaves_no_half_written_user(void **state) {
    (void)state;
    fail_each_allocation_of(try_user, "users");
    fail_each_allocation_of(try_key, "keys");
}

static void test_each_failing_allocation_leaves_no_half_written_worker(void **state) {
    (void)state;
    fail_each_allocation_of(try_join_token, "join_tokens");
    fail_each_allocation_of(try_enrolment, "workers");
}

static void test_each_failing_allocation_leaves_no_half_written_receipt(void **state) {
    (void)state;
    fail_each_allocation_of(try_receipt, "receipts");
}

static void on_loaded(void *context, const store_loaded_key *keys, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(keys == NULL, count == 0);
}

static void on_workers(void *context, const store_worker *workers, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(workers == NULL, count == 0);
}

static void on_users(void *context, const store_user *users, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(users == NULL, count == 0);
}

static bool read_something(store *s, int which, outcome *o) {
    store_receipt receipt = new_receipt(1);
    switch (which) {
    case 0:
        return store_load_keys(s, on_loaded, o, &err);
    case 1:
        return store_load_workers(s, on_workers, o, &err);
    case 2:
        return store_user_list(s, 0, 100, on_users, o, &err);
    default:
        return store_receipt_get(s, receipt.job_id, 1, on_receipt, o, &err);
    }
}

static void test_reads_survive_each_failing_allocation(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    outcome o = {0};
    for (int i = 0; i < 40; i++) {
        assert_true(try_key(s, i, &o));
    }
    assert_true(try_receipt(s, 1, &o));
    store_close(s);
    for (int which = 0; which < 4; which++) {
        bool reached = true;
        for (int nth = 0; reached; nth++) {
            s = open_at(&here, NULL);
            o = (outcome){0};
            fault_fail_nth(nth);
            bool accepted = read_something(s, which, &o);
            reached = fault_stop();
            error_code code = accepted ? o.code : err.code;
            assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
            assert_true(read_something(s, which, &o));
            assert_int_equal(o.code, ERROR_NONE);
            store_close(s);
        }
    }
    place_remove(&here);
}

static void test_a_failing_commit_keeps_nothing_and_the_next_one_works(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    outcome o = {0};
    fault_fail_nth_at("disk", 0);
    assert_true(try_user(s, 1, &o));
    if (fault_stop()) {
        assert_int_equal(o.code, ERROR_IO);
        assert_int_equal(o.user_id, 0);
        assert_int_equal(count_rows(&here, "users"), 1);
        assert_true(try_user(s, 1, &o));
    }
    assert_int_equal(o.code, ERROR_NONE);
    store_close(s);
    place_remove(&here);
}

static void test_a_migration_that_cannot_be_committed_is_done_at_the_next_opening(void **state) {
    (void)state;
    place here = place_make();
    store_options options = {.path = here.path};
    fault_fail_nth_at("disk", 0);
    store *s = store_open(&options, &err);
    if (fault_stop()) {
        assert_null(s);
        assert_int_equal(err.code, ERROR_IO);
        assert_non_null(strstr(err.text, server_of_tests() == NULL ? "0001" : "0009"));
        s = open_at(&here, NULL);
    }
    fill_site(s);
    store_close(s);
    place_remove(&here);
}

typedef enum { KEPT, FULL, WRONG } large_receipt;

static large_receipt add_large_receipt(store *s, uint64_t number) {
    static const uint8_t bytes[STORE_RECEIPT_MAX];
    store_receipt receipt = new_receipt(number);
    receipt.receipt = slice_of(bytes, sizeof bytes);
    outcome o = {0};
    if (!store_receipt_add(s, &receipt, on_done, &o, &err)) {
        return WRONG;
    }
    bool full = o.code == ERROR_IO && strstr(o.text, "full") != NULL;
    return o.code == ERROR_NONE ? KEPT : full ? FULL : WRONG;
}

static void on_deleted(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

static void test_a_database_at_its_size_limit_says_so_and_takes_more_once_there_is_room(void **state) {
    (void)state;
    NEEDS_FILES
    place here = place_make();
    store_options options = {.path = here.path, .size_limit = 1048576};
    store *s = store_open(&options, &err);
    assert_non_null(s);
    fill_site(s);
    uint64_t kept = 0;
    while (kept < 1000 && add_large_receipt(s, kept) == KEPT) {
        kept++;
    }
    assert_in_range(kept, 1, 20);
    assert_int_equal(add_large_receipt(s, kept), FULL);
    assert_int_equal(count_rows(&here, "receipts"), kept);
    outcome o = {0};
    assert_true(store_receipts_delete_before(s, NOW_MS + 2, 10, on_deleted, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.count, 2);
    assert_int_equal(add_large_receipt(s, kept), KEPT);
    assert_int_equal(count_rows(&here, "receipts"), kept - 1);
    store_close(s);
    place_remove(&here);
}

/* In a child, where a failed assertion would go on with the parent's tests. Status: the receipts kept, or 255
 * when something was not as it should be. */
static int fill_a_small_disk(const place *p) {
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {.rlim_cur = 1048576, .rlim_max = RLIM_INFINITY};
    static store *s; /* left open: as if killed; static, so that it isn't a leak */
    s = open_at(p, NULL);
    fill_site(s);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
        return 255;
    }
    uint64_t kept = 0;
    while (kept < 200 && add_large_receipt(s, kept) == KEPT) {
        kept++;
    }
    if (kept == 200 || add_large_receipt(s, kept) != FULL) {
        return 255;
    }
    limit.rlim_cur = RLIM_INFINITY;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0 || add_large_receipt(s, kept) != KEPT) {
        return 255;
    }
    return (int)kept + 1;
}

static void test_a_full_disk_loses_nothing_that_was_answered(void **state) {
    (void)state;
    NEEDS_FILES
    place here = place_make();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(fill_a_small_disk(&here));
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 2, 200);
    store *s = open_at(&here, NULL);
    assert_int_equal(count_rows(&here, "receipts"), WEXITSTATUS(status));
    store_close(s);
    place_remove(&here);
}

static void test_a_locked_database_fails_writes_only_and_only_while_it_is_locked(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    outcome o = {0};
    assert_true(try_receipt(s, 1, &o));
    outside other = outside_hold(&here);
    assert_true(try_receipt(s, 2, &o));
    assert_int_equal(o.code, ERROR_TIMEOUT);
    assert_non_null(strstr(o.text, "locked"));
    assert_true(read_something(s, 3, &o));
    assert_int_equal(o.code, ERROR_NONE);
    outside_let_go(&other);
    assert_true(try_receipt(s, 2, &o));
    assert_int_equal(o.code, ERROR_NONE);
    store_close(s);
    place_remove(&here);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opening_survives_each_failing_allocation),
        cmocka_unit_test(test_each_failing_allocation_leaves_no_half_written_user),
        cmocka_unit_test(test_each_failing_allocation_leaves_no_half_written_worker),
        cmocka_unit_test(test_each_failing_allocation_leaves_no_half_written_receipt),
        cmocka_unit_test(test_reads_survive_each_failing_allocation),
        cmocka_unit_test(test_a_failing_commit_keeps_nothing_and_the_next_one_works),
        cmocka_unit_test(test_a_migration_that_cannot_be_committed_is_done_at_the_next_opening),
        cmocka_unit_test(test_a_database_at_its_size_limit_says_so_and_takes_more_once_there_is_room),
        cmocka_unit_test(test_a_full_disk_loses_nothing_that_was_answered),
        cmocka_unit_test(test_a_locked_database_fails_writes_only_and_only_while_it_is_locked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
