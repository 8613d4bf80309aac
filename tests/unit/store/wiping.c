/* What was wiped is in no file, and what was stored survives a kill. */
#include "files_support.h"
#include "verification_support.h"

#include "ev/loop.h"

#include <signal.h>
#include <sys/wait.h>

static error err;

enum { WIPED_CHECKS = 1500, STAYS = 10 /* one of so many isn't wiped */, AT_ONCE = 200 };

#define MARK "#~w~#"
#define OTHER_MARK "#~s~#"
_Static_assert(sizeof MARK == sizeof OTHER_MARK, "one loop fills both");

static bool stays(uint64_t number) {
    return number % 8 != 0 && draw_of(number + WIPED_CHECKS) % STAYS == 0;
}

/* From a few bytes to a few pages, full of the mark. */
static store_verification marked(uint64_t number, const char *state) {
    static uint8_t payload[9000];
    uint32_t draw = draw_of(number);
    size_t length = 24 + draw / 2 % (draw % 2 == 0 ? sizeof payload - 24 : 876);
    for (size_t i = 0; i < length; i++) {
        const char *mark = stays(number) ? OTHER_MARK " " : MARK " ";
        payload[i] = (uint8_t)mark[i % sizeof MARK];
    }
    store_verification v = new_verification(number, state);
    v.payload = slice_of(payload, length);
    return v;
}

static void add_marked(store *s, uint64_t number, const char *state) {
    outcome o = {0};
    store_verification v = marked(number, state);
    assert_true(store_verification_add(s, &v, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void wipe_marked(store *s, uint64_t number) {
    outcome o = {0};
    store_verification v = new_verification(number, "agreed");
    v.decided_ms = NOW_MS;
    assert_true(store_verification_update(s, &v, true, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void keep_marked(store *s, uint64_t number, size_t most) {
    outcome o = {0};
    const store_verification v = marked(number, "");
    const store_kept_answer answer = kept_of(&v);
    assert_true(store_kept_add(s, &answer, most, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void on_expired(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

/* Checks that come and are decided in another order, between some that stay: rows move from page to page. */
static void come_and_go(store *s) {
    uint64_t waiting[AT_ONCE];
    size_t count = 0;
    for (uint64_t i = 0; i < WIPED_CHECKS; i++) {
        bool kept = i % 8 == 0; /* these never stay */
        if (kept) {
            keep_marked(s, i, 10);
        } else {
            add_marked(s, i, "waiting");
        }
        if (!kept && !stays(i)) {
            waiting[count++] = i;
        }
        if (count == AT_ONCE) {
            size_t which = draw_of(i + 2 * WIPED_CHECKS) % AT_ONCE;
            wipe_marked(s, waiting[which]);
            waiting[which] = waiting[--count];
        }
    }
    while (count > 0) {
        wipe_marked(s, waiting[--count]);
    }
    outcome o = {0};
    assert_true(store_kept_expire(s, 0, 0, INT64_MAX, on_expired, &o, &err));
    assert_int_equal(o.count, 10);
}

static void test_a_wiped_payload_is_in_no_file_once_the_store_is_closed(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    add_marked(s, WIPED_CHECKS, "waiting");
    assert_true(count_in_files(&here, MARK) > 0); /* the search works */
    wipe_marked(s, WIPED_CHECKS);
    come_and_go(s);
    assert_in_range(count_rows(&here, "inference_payloads"), WIPED_CHECKS / STAYS / 2,
                    WIPED_CHECKS / STAYS * 2);
    store_close(s);
    assert_true(count_in_files(&here, OTHER_MARK) > 0);
    assert_int_equal(count_in_files(&here, MARK), 0);
    place_remove(&here);
}

/* Looks again and again once all is answered; bounded by the test's own time limit. */
typedef struct watch {
    const place *here;
    ev_loop *loop;
    ev_timer timer;
    const outcome *last;
} watch;

static void look_again(void *argument) {
    watch *w = argument;
    if (w->last->calls == 1 && count_in_files(w->here, MARK) == 0) {
        ev_loop_stop(w->loop);
    } else {
        ev_timer_start(w->loop, &w->timer, 5);
    }
}

static void test_a_wiped_payload_leaves_the_files_while_the_store_is_open(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    store_close(s);
    outcome trimmed = {0};
    watch w = {.here = &here, .loop = ev_loop_new(&err), .last = &trimmed};
    assert_non_null(w.loop);
    ev_timer_init(&w.timer, look_again, &w);
    store_options options = {.path = here.path, .loop = w.loop, .scrub_after_ms = 20};
    s = store_open(&options, &err);
    assert_non_null(s);
    outcome outcomes[3] = {0};
    store_verification v = marked(1, "waiting");
    assert_true(store_verification_add(s, &v, on_done, &outcomes[0], &err));
    v = marked(2, "");
    const store_kept_answer answer = kept_of(&v);
    assert_true(store_kept_add(s, &answer, 100, on_done, &outcomes[1], &err));
    v = marked(1, "agreed");
    v.decided_ms = NOW_MS;
    assert_true(store_verification_update(s, &v, true, on_done, &outcomes[2], &err));
    assert_true(store_kept_expire(s, 0, 0, INT64_MAX, on_expired, &trimmed, &err));
    ev_timer_start(w.loop, &w.timer, 5);
    ev_loop_run(w.loop);
    assert_int_equal(outcomes[2].code, ERROR_NONE);
    assert_int_equal(trimmed.count, 1);
    store_close(s);
    ev_loop_free(w.loop);
    place_remove(&here);
}

static void no_more(void *argument) {
    ev_loop_stop(((watch *)argument)->loop);
}

/* Both see what was there before; only a program that holds the table locks it, as a server's backup does. */
static void check_that_a_reader_puts_it_off_and_nothing_else(const char *read) {
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    store_close(s);
    outcome last = {0};
    watch w = {.here = &here, .loop = ev_loop_new(&err), .last = &last};
    assert_non_null(w.loop);
    ev_timer_init(&w.timer, no_more, &w);
    store_options options = {
        .path = here.path, .loop = w.loop, .scrub_after_ms = 20, .busy_timeout_ms = 60000};
    s = store_open(&options, &err);
    assert_non_null(s);
    store_verification v = marked(1, "waiting");
    assert_true(store_verification_add(s, &v, on_done, &last, &err));
    while (last.calls < 1) {
        ev_timer_start(w.loop, &w.timer, 5);
        ev_loop_run(w.loop);
    }
    outside reader = outside_open(&here);
    outside_ask(&reader, reader.server == NULL ? "BEGIN" : "BEGIN ISOLATION LEVEL REPEATABLE READ");
    outside_ask(&reader, read);
    v = marked(1, "agreed");
    v.decided_ms = NOW_MS;
    assert_true(store_verification_update(s, &v, true, on_done, &last, &err));
    while (last.calls < 2) { /* at least one try to cut the log is made meanwhile, and others after it */
        ev_timer_start(w.loop, &w.timer, 50);
        ev_loop_run(w.loop);
    }
    store_receipt receipt = new_receipt(1);
    assert_true(store_receipt_add(s, &receipt, on_done, &last, &err));
    while (last.calls < 3) { /* the watchdog of the test's runner ends it if a try holds others up */
        ev_timer_start(w.loop, &w.timer, 5);
        ev_loop_run(w.loop);
    }
    assert_int_equal(last.code, ERROR_NONE);
    assert_true(count_in_files(&here, MARK) > 0);
    outside_close(&reader);
    last.calls = 1;
    ev_timer_stop(&w.timer);
    ev_timer_init(&w.timer, look_again, &w);
    ev_timer_start(w.loop, &w.timer, 5);
    ev_loop_run(w.loop);
    store_close(s);
    ev_loop_free(w.loop);
    place_remove(&here);
}

static void test_a_reader_puts_the_wiping_off_and_nothing_else(void **state) {
    (void)state;
    check_that_a_reader_puts_it_off_and_nothing_else("SELECT count(*) FROM users");
}

static void test_a_backup_puts_the_wiping_off_and_nothing_else(void **state) {
    (void)state;
    check_that_a_reader_puts_it_off_and_nothing_else("SELECT count(*) FROM inference_payloads");
}

/* As the pool does it: first the check, then the receipt. */
typedef struct writer {
    store *site;
    uint64_t next;
    int pipe;
} writer;

typedef struct written {
    writer *w;
    uint64_t number;
} written;

static void ignore(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        _exit(6);
    }
}

static void write_next(written *r);

static void receipt_is_stored(void *context, const error *failure) {
    written *r = context;
    if (failure != NULL || write(r->w->pipe, &r->number, sizeof r->number) != sizeof r->number) {
        _exit(1);
    }
    write_next(r);
}

static void write_next(written *r) {
    r->number = r->w->next++;
    store_verification v = new_verification(r->number, "waiting");
    store_receipt receipt = new_receipt(r->number);
    if (!store_verification_add(r->w->site, &v, ignore, NULL, &err) ||
        !store_receipt_add(r->w->site, &receipt, receipt_is_stored, r, &err)) {
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
        requests[i].w = &w;
        write_next(&requests[i]);
    }
    ev_loop_run(loop);
    _exit(5);
}

static void test_after_a_kill_no_receipt_is_there_without_its_check(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    store_close(s);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        write_until_killed(&here, ends[1]);
    }
    close(ends[1]);
    uint64_t number = 0;
    size_t answered = 0;
    while (read(ends[0], &number, sizeof number) == sizeof number) {
        if (++answered == 500) {
            kill(child, SIGKILL);
        }
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(ends[0]);
    assert_true(answered >= 500);
    s = open_at(&here, NULL);
    assert_true(count_rows(&here, "receipts") >= answered);
    assert_int_equal(count_rows(&here, "receipts WHERE job_id NOT IN "
                                       "(SELECT job_id FROM inference_verifications v "
                                       "JOIN inference_payloads p ON p.number = v.number)"),
                     0);
    store_close(s);
    place_remove(&here);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wiped_payload_is_in_no_file_once_the_store_is_closed),
        cmocka_unit_test(test_a_wiped_payload_leaves_the_files_while_the_store_is_open),
        cmocka_unit_test(test_a_reader_puts_the_wiping_off_and_nothing_else),
        cmocka_unit_test(test_a_backup_puts_the_wiping_off_and_nothing_else),
        cmocka_unit_test(test_after_a_kill_no_receipt_is_there_without_its_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
