#include "support.h"

#include "ev/loop.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* A site whose store has its thread, and a loop that runs until the answers that are due have come. */
typedef struct fixture {
    place here;
    ev_loop *loop;
    store *site;
    outside other; /* holds the store's thread up while it has the lock */
    ev_timer watchdog;
    size_t due;
} fixture;

typedef struct answer {
    fixture *f;
    int calls;
    error_code code;
    size_t position; /* in the order of the answers */
} answer;

static error err;
static size_t answered;

static void keep_answer(void *context, const error *failure) {
    answer *a = context;
    a->calls++;
    a->code = failure == NULL ? ERROR_NONE : failure->code;
    a->position = answered++;
    if (--a->f->due == 0) {
        ev_loop_stop(a->f->loop);
    }
}

static void keep_receipt(void *context, const store_receipt *receipt, const error *failure) {
    (void)receipt;
    keep_answer(context, failure);
}

static void give_up(void *argument) {
    (void)argument;
    print_error("an answer is missing\n");
    abort();
}

static void open_store(fixture *f, size_t queue_limit) {
    store_options options = {
        .path = f->here.path, .loop = f->loop, .queue_limit = queue_limit, .busy_timeout_ms = 30000};
    f->site = store_open(&options, &err);
    assert_non_null(f->site);
}

static int set_up(void **state) {
    static fixture f;
    f = (fixture){.here = place_make()};
    answered = 0;
    store *s = open_at(&f.here, NULL);
    fill_site(s);
    store_close(s);
    f.loop = ev_loop_new(&err);
    assert_non_null(f.loop);
    ev_timer_init(&f.watchdog, give_up, NULL);
    open_store(&f, 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state) {
    fixture *f = *state;
    store_close(f->site);
    ev_timer_stop(&f->watchdog);
    ev_loop_free(f->loop);
    place_remove(&f->here);
    return 0;
}

static void add(fixture *f, answer *a, uint64_t number) {
    store_receipt receipt = new_receipt(number);
    *a = (answer){.f = f};
    f->due++;
    assert_true(store_receipt_add(f->site, &receipt, keep_answer, a, &err));
    assert_int_equal(a->calls, 0);
}

static void get(fixture *f, answer *a, uint64_t number) {
    store_receipt receipt = new_receipt(number);
    *a = (answer){.f = f};
    f->due++;
    assert_true(store_receipt_get(f->site, receipt.job_id, 1, keep_receipt, a, &err));
}

static void wait_for_answers(fixture *f) {
    ev_timer_start(f->loop, &f->watchdog, 60000);
    while (f->due > 0) {
        ev_loop_run(f->loop);
    }
}

/* Until let_go the store's thread waits in its first write, so that what is queued meanwhile is one batch. */
static void hold_up(fixture *f) {
    f->other = outside_hold(&f->here);
}

static void let_go(fixture *f) {
    outside_let_go(&f->other);
}

static void test_answers_come_in_order_and_reads_see_the_writes_before_them(void **state) {
    fixture *f = *state;
    static answer answers[400];
    for (uint64_t i = 0; i < 400; i += 2) {
        add(f, &answers[i], i);
        get(f, &answers[i + 1], i);
    }
    wait_for_answers(f);
    for (size_t i = 0; i < 400; i++) {
        assert_int_equal(answers[i].calls, 1);
        assert_int_equal(answers[i].code, ERROR_NONE);
        assert_int_equal(answers[i].position, i);
    }
}

static void test_what_queues_up_is_committed_together(void **state) {
    fixture *f = *state;
    static answer answers[500];
    hold_up(f);
    for (uint64_t i = 0; i < 500; i++) {
        add(f, &answers[i], i);
    }
    store_statistics held;
    store_stats(f->site, &held);
    assert_int_equal(held.queued, 500);
    assert_int_equal(held.commits, 0);
    let_go(f);
    wait_for_answers(f);
    store_statistics after;
    store_stats(f->site, &after);
    assert_int_equal(after.requests, 500);
    assert_int_equal(after.failures, 0);
    assert_int_equal(after.queued, 0);
    /* The first ones may have been taken before the others came. */
    assert_in_range(after.commits, 1, 2);
    assert_int_equal(after.synced_commits, 0);
    assert_true(after.commits == 2 || after.last_batch == 500);
}

static void test_one_failing_request_leaves_the_others_of_its_batch_alone(void **state) {
    fixture *f = *state;
    answer answers[5];
    static const uint64_t numbers[5] = {9, 1, 1, 2, 1};
    static const error_code codes[5] = {ERROR_NONE, ERROR_NONE, ERROR_CONFLICT, ERROR_NONE, ERROR_CONFLICT};
    hold_up(f);
    for (size_t i = 0; i < 5; i++) {
        add(f, &answers[i], numbers[i]);
    }
    let_go(f);
    wait_for_answers(f);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(answers[i].code, codes[i]);
    }
    get(f, &answers[0], 2);
    wait_for_answers(f);
    assert_int_equal(answers[0].code, ERROR_NONE);
}

static void test_the_strictest_of_a_batch_decides_whether_it_is_synced(void **state) {
    fixture *f = *state;
    answer answers[3];
    uint8_t worker[STORE_WORKER_ID_SIZE];
    memset(worker, 1, sizeof worker);
    add(f, &answers[0], 1);
    wait_for_answers(f);
    store_statistics statistics;
    store_stats(f->site, &statistics);
    assert_int_equal(statistics.synced_commits, 0);
    answers[1] = (answer){.f = f};
    f->due++;
    assert_true(store_worker_revoke(f->site, worker, NOW_MS, keep_answer, &answers[1], &err));
    add(f, &answers[2], 2);
    wait_for_answers(f);
    assert_int_equal(answers[1].code, ERROR_NONE);
    assert_int_equal(answers[2].code, ERROR_NONE);
    store_stats(f->site, &statistics);
    assert_int_equal(statistics.synced_commits, 1);
    get(f, &answers[0], 2);
    wait_for_answers(f);
    uint64_t commits = statistics.commits;
    store_stats(f->site, &statistics);
    assert_int_equal(statistics.commits, commits);
}

static void test_a_full_queue_says_so_and_takes_more_once_it_has_drained(void **state) {
    fixture *f = *state;
    answer answers[9];
    store_close(f->site);
    open_store(f, 8);
    hold_up(f);
    for (uint64_t i = 0; i < 8; i++) {
        add(f, &answers[i], i);
    }
    store_receipt receipt = new_receipt(8);
    assert_false(store_receipt_add(f->site, &receipt, keep_answer, &answers[8], &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_non_null(strstr(err.text, "behind"));
    let_go(f);
    wait_for_answers(f);
    add(f, &answers[8], 8);
    wait_for_answers(f);
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(answers[i].code, ERROR_NONE);
    }
    store_statistics statistics;
    store_stats(f->site, &statistics);
    assert_int_equal(statistics.refused, 1);
    assert_int_equal(statistics.queue_limit, 8);
}

static void test_a_failing_disk_fails_the_batch_and_not_the_next(void **state) {
    fixture *f = *state;
    answer answers[20];
    fault_fail_nth_at("disk", 0);
    add(f, &answers[0], 0);
    wait_for_answers(f);
    bool failed = fault_stop();
    assert_int_equal(answers[0].code, failed ? ERROR_IO : ERROR_NONE);
    get(f, &answers[0], 0);
    wait_for_answers(f);
    assert_int_equal(answers[0].code, failed ? ERROR_NOT_FOUND : ERROR_NONE);
    for (uint64_t i = 1; i < 20; i++) {
        add(f, &answers[i], i);
    }
    wait_for_answers(f);
    for (size_t i = 1; i < 20; i++) {
        assert_int_equal(answers[i].code, ERROR_NONE);
    }
}

static void test_each_failing_allocation_of_a_round_trip_still_gives_one_answer(void **state) {
    fixture *f = *state;
    bool reached = true;
    for (uint64_t nth = 0; reached; nth++) {
        store_receipt receipt = new_receipt(nth);
        answer a = {.f = f};
        fault_fail_nth((int)nth);
        f->due = 1;
        if (store_receipt_add(f->site, &receipt, keep_answer, &a, &err)) {
            wait_for_answers(f);
            assert_int_equal(a.calls, 1);
        } else {
            f->due = 0;
            a.code = err.code;
        }
        reached = fault_stop();
        assert_true(a.code == ERROR_NONE || a.code == ERROR_MEMORY);
        error_code expected = a.code == ERROR_NONE ? ERROR_NONE : ERROR_NOT_FOUND;
        get(f, &a, nth);
        wait_for_answers(f);
        assert_int_equal(a.code, expected);
    }
}

static void add_next(void *context, const error *failure) {
    answer *a = context;
    assert_null(failure);
    if (++a->calls == 100) {
        ev_loop_stop(a->f->loop);
        return;
    }
    store_receipt receipt = new_receipt((uint64_t)a->calls);
    assert_true(store_receipt_add(a->f->site, &receipt, add_next, a, &err));
}

static void test_a_callback_may_ask_for_more(void **state) {
    fixture *f = *state;
    answer a = {.f = f};
    store_receipt receipt = new_receipt(0);
    assert_true(store_receipt_add(f->site, &receipt, add_next, &a, &err));
    ev_timer_start(f->loop, &f->watchdog, 60000);
    ev_loop_run(f->loop);
    assert_int_equal(a.calls, 100);
}

static void ask_too_late(void *context, const error *failure) {
    answer *a = context;
    a->calls++;
    assert_null(failure);
    store_receipt receipt = new_receipt(1);
    assert_false(store_receipt_add(a->f->site, &receipt, ask_too_late, a, &err));
    a->code = err.code;
}

static void test_closing_runs_what_is_queued_and_gives_every_answer(void **state) {
    fixture *f = *state;
    static answer answers[300];
    for (uint64_t i = 0; i < 300; i++) {
        add(f, &answers[i], i + 100);
    }
    answer late = {.f = f};
    store_receipt receipt = new_receipt(0);
    assert_true(store_receipt_add(f->site, &receipt, ask_too_late, &late, &err));
    store_close(f->site);
    assert_int_equal(f->due, 0);
    assert_int_equal(late.calls, 1);
    assert_int_equal(late.code, ERROR_CONFLICT);
    open_store(f, 0);
    for (uint64_t i = 0; i < 300; i++) {
        assert_int_equal(answers[i].calls, 1);
        get(f, &answers[i], i + 100);
    }
    wait_for_answers(f);
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(answers[i].code, ERROR_NONE);
    }
}

/* The child of the test below: writes receipts as fast as it can and tells of each answer. Never ends. */
typedef struct writer {
    store *site;
    uint64_t next;
    int pipe;
} writer;

typedef struct written {
    writer *w;
    uint64_t number;
} written;

static void write_more(void *context, const error *failure) {
    written *r = context;
    if (failure != NULL || write(r->w->pipe, &r->number, sizeof r->number) != sizeof r->number) {
        _exit(1);
    }
    r->number = r->w->next++;
    store_receipt receipt = new_receipt(r->number);
    if (!store_receipt_add(r->w->site, &receipt, write_more, r, &err)) {
        _exit(2);
    }
}

static void write_until_killed(const place *p, int pipe) {
    static written requests[32];
    static writer w;
    ev_loop *loop = ev_loop_new(&err);
    store_options options = {.path = p->path, .loop = loop};
    w = (writer){.site = store_open(&options, &err), .pipe = pipe};
    if (w.site == NULL) {
        _exit(3);
    }
    for (size_t i = 0; i < 32; i++) {
        requests[i] = (written){&w, w.next++};
        store_receipt receipt = new_receipt(requests[i].number);
        if (!store_receipt_add(w.site, &receipt, write_more, &requests[i], &err)) {
            _exit(4);
        }
    }
    ev_loop_run(loop);
    _exit(5);
}

static void test_after_a_kill_everything_that_was_answered_is_there(void **state) {
    fixture *f = *state;
    store_close(f->site);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        write_until_killed(&f->here, ends[1]);
    }
    close(ends[1]);
    static uint64_t numbers[20000];
    size_t count = 0;
    while (count < 20000 && read(ends[0], &numbers[count], sizeof numbers[0]) == sizeof numbers[0]) {
        if (++count == 1000) {
            kill(child, SIGKILL); /* what is in the pipe was answered before */
        }
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(ends[0]);
    assert_in_range(count, 1000, 20000);
    open_store(f, 0);
    static answer answers[20000];
    for (size_t i = 0; i < count; i++) {
        get(f, &answers[i], numbers[i]);
        if (i % 1000 == 999) {
            wait_for_answers(f);
        }
    }
    wait_for_answers(f);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(answers[i].code, ERROR_NONE);
    }
}

#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void keep_now(void *context, const error *failure) {
    ((answer *)context)->calls++;
    ((answer *)context)->code = failure == NULL ? ERROR_NONE : failure->code;
}

static void test_a_store_is_given_a_thread_and_loses_it_again(void **state) {
    fixture *f = *state;
    answer first;
    answer second = {.f = f};
    answer third = {.f = f};
    for (uint64_t round = 0; round < 3; round++) {
        store_receipt receipt = new_receipt(100 + 3 * round);
        add(f, &first, 101 + 3 * round);
        store_settle(f->site);
        assert_int_equal(first.calls, 1);
        assert_int_equal(first.code, ERROR_NONE);
        second.calls = 0;
        assert_true(store_receipt_add(f->site, &receipt, keep_now, &second, &err));
        assert_int_equal(second.calls, 1);
        assert_int_equal(second.code, ERROR_NONE);
        assert_true(store_start(f->site, f->loop, &err));
        add(f, &third, 102 + 3 * round);
        wait_for_answers(f);
        assert_int_equal(third.calls, 1);
        assert_int_equal(third.code, ERROR_NONE);
    }
}

static void test_files_are_kept_empty_for_who_may_not_remove_them(void **state) {
    NEEDS_FILES
    fixture *f = *state;
    char path[300];
    struct stat status;
    answer a;
    store_close(f->site);
    f->site = store_open(&(store_options){.path = f->here.path, .loop = f->loop, .keeps_files = true}, &err);
    assert_non_null(f->site);
    add(f, &a, 1);
    wait_for_answers(f);
    store_close(f->site);
    snprintf(path, sizeof path, "%s-wal", f->here.path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 0);
    open_store(f, 0);
    get(f, &a, 1);
    wait_for_answers(f);
    assert_int_equal(a.code, ERROR_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_store_is_given_a_thread_and_loses_it_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files_are_kept_empty_for_who_may_not_remove_them, set_up,
                                        tear_down),
        STORE_TEST(test_answers_come_in_order_and_reads_see_the_writes_before_them),
        STORE_TEST(test_what_queues_up_is_committed_together),
        STORE_TEST(test_one_failing_request_leaves_the_others_of_its_batch_alone),
        STORE_TEST(test_the_strictest_of_a_batch_decides_whether_it_is_synced),
        STORE_TEST(test_a_full_queue_says_so_and_takes_more_once_it_has_drained),
        STORE_TEST(test_a_failing_disk_fails_the_batch_and_not_the_next),
        STORE_TEST(test_each_failing_allocation_of_a_round_trip_still_gives_one_answer),
        STORE_TEST(test_a_callback_may_ask_for_more),
        STORE_TEST(test_closing_runs_what_is_queued_and_gives_every_answer),
        STORE_TEST(test_after_a_kill_everything_that_was_answered_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
