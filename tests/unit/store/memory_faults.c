/* What users keep, when memory or disk is out or the process is killed: all of a change is there, or nothing.
 */
#include "memory_changes.h"

#include "ev/loop.h"

#include <signal.h>
#include <sys/wait.h>

static uint64_t digest_after(int which) {
    outcome o = {0};
    fill_kept();
    assert_true(change_something(which, &o));
    assert_int_equal(o.code, ERROR_NONE);
    uint64_t after = digest_kept();
    (void)close_site(NULL);
    return after;
}

/* Of a change SQLite allocates much; libpq's allocations aren't ours to fail. */
static void check_refused(unsigned refused, int which) {
#ifdef CELLULE_FAULTS
    static unsigned all;
    all += refused;
    assert_true(server_of_tests() == NULL ? refused > 5 : which + 1 < CHANGES || all > CHANGES / 2);
#else
    (void)which;
    assert_int_equal(refused, 0);
#endif
}

enum { STRIDE = 3 /* changes are alike: together they meet all */ };

static void test_each_failing_allocation_of_a_change_leaves_all_or_nothing(void **state) {
    (void)state;
    for (int which = 0; which < CHANGES; which++) {
        uint64_t after = digest_after(which);
        fill_kept();
        uint64_t before = digest_kept();
        assert_true(before != after);
        bool reached = true;
        unsigned refused = 0;
        for (int nth = which % STRIDE; reached; nth += STRIDE) {
            reopen(); /* afresh: nothing is prepared or cached */
            outcome o = {0};
            fault_fail_nth(nth);
            bool accepted = change_something(which, &o);
            reached = fault_stop();
            error_code code = outcome_of(accepted, &o);
            assert_true(code == ERROR_MEMORY ? reached : code == ERROR_NONE);
            assert_true(digest_kept() == (code == ERROR_MEMORY ? before : after));
            refused += code == ERROR_MEMORY;
            if (reached && code == ERROR_NONE) { /* SQLite did without, a page of its cache say */
                (void)close_site(NULL);
                fill_kept();
            }
        }
        (void)close_site(NULL);
        check_refused(refused, which);
    }
}

static void test_a_failing_commit_keeps_nothing_and_the_next_one_works(void **state) {
    (void)state;
    for (int which = 0; which < CHANGES; which++) {
        uint64_t after = digest_after(which);
        fill_kept();
        uint64_t before = digest_kept();
        outcome o = {0};
        fault_fail_nth_at("disk", 0);
        assert_true(change_something(which, &o));
        if (fault_stop()) {
            assert_int_equal(o.code, ERROR_IO);
            assert_int_equal(o.count, 0);
            assert_true(digest_kept() == before);
            assert_true(change_something(which, &o));
        }
        assert_int_equal(o.code, ERROR_NONE);
        assert_true(digest_kept() == after);
        (void)close_site(NULL);
    }
}

static void on_vault(void *context, const store_vault *vault, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = vault == NULL ? 0 : vault->wrap_count;
}

static void on_counted(void *context, const store_vault_figures *users, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count == 0 ? 0 : users[0].conversations;
}

static void on_conversation(void *context, const store_conversation *c, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = c == NULL ? 0 : 2;
}

static void on_listed(void *context, const store_conversation *rows, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(rows == NULL, count == 0);
}

static void on_turns(void *context, const store_turn *rows, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(rows == NULL, count == 0);
}

static void on_facts(void *context, const store_fact *rows, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(rows == NULL, count == 0);
}

static void on_shares(void *context, const store_recovery *found, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = found == NULL ? 0 : found->count;
}

enum { READS = 8 };

static bool read_something(int which, outcome *o) {
    uint8_t id[16];
    id_of(id, 1);
    switch (which) {
    case 0:
        return store_vault_get(site, 1, on_vault, o, &err);
    case 1:
        return store_vaults_count(site, 0, 10, on_counted, o, &err);
    case 2:
        return store_conversation_get(site, 1, id, on_conversation, o, &err);
    case 3:
        return store_conversation_list(site, 1, 0, 10, on_listed, o, &err);
    case 4:
        return store_turn_list(site, 1, id, 0, 10, on_turns, o, &err);
    case 7:
        return store_recovery_get(site, 1, 1, on_shares, o, &err);
    case 5:
        return store_turn_list(site, 1, NULL, 0, 10, on_turns, o, &err);
    default:
        return store_fact_list(site, 1, NULL, 10, on_facts, o, &err);
    }
}

static void test_reads_survive_each_failing_allocation(void **state) {
    (void)state;
    fill_kept();
    assert_int_equal(add_turn(1, 1, "second", ""), ERROR_NONE);
    for (int which = 0; which < READS; which++) {
        size_t all = which == 5 ? 3 : 2;
        bool reached = true;
        for (int nth = which % STRIDE; reached; nth += STRIDE) {
            reopen();
            outcome o = {0};
            fault_fail_nth(nth);
            bool accepted = read_something(which, &o);
            reached = fault_stop();
            error_code code = outcome_of(accepted, &o);
            assert_true(code == ERROR_MEMORY ? reached : code == ERROR_NONE);
            assert_int_equal(o.count, code == ERROR_MEMORY ? 0 : all);
        }
    }
    (void)close_site(NULL);
}

static void test_a_full_database_takes_turns_again_once_a_conversation_is_deleted(void **state) {
    (void)state;
    NEEDS_FILES
    static char large[65537];
    memset(large, 't', sizeof large - 1);
    fill_kept();
    store_close(site);
    store_options options = {.path = here.path, .size_limit = 1048576};
    site = store_open(&options, &err);
    assert_non_null(site);
    uint64_t kept = 0;
    while (kept < 100 && add_turn(1, 100 + kept, large, "head") == ERROR_NONE) {
        kept++;
    }
    assert_in_range(kept, 2, 20);
    outcome o = {0};
    store_new_turn turn = {.user_id = 1, .created_ms = NOW_MS, .sealed = slice_of_text(large)};
    id_of(turn.conversation, 100);
    assert_true(store_turn_add(site, &turn, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_IO);
    assert_non_null(strstr(o.text, "full"));
    assert_int_equal(count_rows(&here, "turns"), 2 + kept);
    assert_int_equal(count_rows(&here, "conversations"), 2 + kept);
    assert_true(store_conversation_delete(site, 1, turn.conversation, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(add_turn(1, 101, large, ""), ERROR_NONE);
    assert_int_equal(add_turn(1, 101, large, ""), ERROR_IO);
    while (erase_step(1)) { /* also when nothing else fits */
    }
    assert_int_equal(rows_kept_of(1), 0);
    (void)close_site(NULL);
}

enum { WRITERS = 32, ANSWERS = 600 };

/* Each goes on with a conversation of its own. */
typedef struct writer {
    store_new_turn turn;
    store *site;
    uint64_t answered;
    int pipe;
} writer;

static void write_next(writer *w);

static void turn_is_stored(void *context, const error *failure) {
    writer *w = context;
    w->turn.head = (slice){NULL, 0};
    if (failure != NULL || write(w->pipe, "a", 1) != 1) {
        _exit(1);
    }
    write_next(w);
}

static void write_next(writer *w) {
    if (!store_turn_add(w->site, &w->turn, turn_is_stored, w, &err)) {
        _exit(2);
    }
}

static void write_until_killed(int pipe) {
    static writer writers[WRITERS];
    ev_loop *loop = ev_loop_new(&err);
    store_options options = {.path = here.path, .loop = loop};
    static store *s; /* static, so that it isn't a leak */
    s = store_open(&options, &err);
    if (s == NULL) {
        _exit(3);
    }
    for (uint64_t i = 0; i < WRITERS; i++) {
        writer *w = &writers[i];
        w->site = s;
        w->pipe = pipe;
        w->turn = (store_new_turn){
            .user_id = 1, .created_ms = NOW_MS, .sealed = of_1000_bytes(), .head = SLICE_LITERAL("head")};
        id_of(w->turn.conversation, 1000 + i);
        write_next(w);
    }
    ev_loop_run(loop);
    _exit(5);
}

static void test_after_a_kill_every_turn_that_was_answered_is_there_and_counted(void **state) {
    (void)state;
    fill_kept();
    store_close(site);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        write_until_killed(ends[1]);
    }
    close(ends[1]);
    char one;
    size_t answered = 0;
    while (read(ends[0], &one, 1) == 1) {
        if (++answered == ANSWERS) {
            kill(child, SIGKILL);
        }
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(ends[0]);
    assert_true(answered >= ANSWERS);
    site = open_at(&here, NULL);
    assert_true(count_rows(&here, "turns") >= answered + 2);
    assert_int_equal(count_rows(&here, "conversations c WHERE turns <> (SELECT count(*) FROM turns t "
                                       "WHERE t.user_id = c.user_id AND t.conversation = c.id)"),
                     0);
    assert_int_equal(count_rows(&here, "conversations c WHERE latest <> (SELECT max(number) FROM turns t "
                                       "WHERE t.user_id = c.user_id AND t.conversation = c.id)"),
                     0);
    assert_int_equal(count_rows(&here, "conversations c WHERE bytes <> (SELECT sum(length(sealed)) FROM "
                                       "turns t WHERE t.conversation = c.id)"),
                     0);
    assert_int_equal(count_rows(&here, "turns WHERE conversation NOT IN (SELECT id FROM conversation_heads)"),
                     0);
    (void)close_site(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_failing_allocation_of_a_change_leaves_all_or_nothing),
        cmocka_unit_test(test_a_failing_commit_keeps_nothing_and_the_next_one_works),
        cmocka_unit_test(test_reads_survive_each_failing_allocation),
        cmocka_unit_test(test_a_full_database_takes_turns_again_once_a_conversation_is_deleted),
        cmocka_unit_test(test_after_a_kill_every_turn_that_was_answered_is_there_and_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
