/* Wiping, dying and failing: what a check that waits must survive, and what must not survive a wipe. */
#include "verification_support.h"

#include "store/blacklist.h"
#include "store/evidence.h"
#include "store/honeytokens.h"
#include "store/reputation.h"

#include "ev/loop.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static error err;

/* How often `needle` stands in a file; 0 if there is none. */
static size_t count_in_file(const char *path, const char *needle) {
    int file = open(path, O_RDONLY);
    struct stat status;
    if (file < 0) {
        return 0;
    }
    assert_int_equal(fstat(file, &status), 0);
    size_t size = (size_t)status.st_size;
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(file, bytes, size), size);
    close(file);
    size_t found = 0;
    slice rest = slice_of(bytes, size);
    for (size_t at; (at = slice_find_slice(rest, slice_of_text(needle))) != SIZE_MAX; found++) {
        rest = slice_after(rest, at + 1);
    }
    free(bytes);
    return found;
}

static size_t count_in_files(const place *p, const char *needle) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    size_t found = 0;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", p->path, suffixes[i]);
        found += count_in_file(path, needle);
    }
    return found;
}

enum { WIPED_CHECKS = 1500, STAYS = 10 /* one of so many isn't wiped */, AT_ONCE = 200 };

#define MARK "#~w~#"
#define OTHER_MARK "#~s~#"
_Static_assert(sizeof MARK == sizeof OTHER_MARK, "one loop fills both");

/* The same at each run. */
static uint32_t draw_of(uint64_t number) {
    uint32_t x = (uint32_t)number + 1;
    x = (x ^ x >> 16) * 0x7feb352dU;
    x = (x ^ x >> 15) * 0x846ca68bU;
    return x ^ x >> 16;
}

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

static void on_trimmed(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

static void trim_marked(store *s, size_t most) {
    outcome o = {0};
    uint8_t worker[STORE_WORKER_ID_SIZE];
    memset(worker, 1, sizeof worker);
    assert_true(store_verification_trim_kept(s, worker, most, 0, on_trimmed, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

/* Checks that come and are decided in another order, between some that stay: rows move from page to page. */
static void come_and_go(store *s) {
    uint64_t waiting[AT_ONCE];
    size_t count = 0;
    for (uint64_t i = 0; i < WIPED_CHECKS; i++) {
        bool kept = i % 8 == 0; /* these never stay */
        add_marked(s, i, kept ? "kept" : "waiting");
        if (!kept && !stays(i)) {
            waiting[count++] = i;
        }
        if (count == AT_ONCE) {
            size_t which = draw_of(i + 2 * WIPED_CHECKS) % AT_ONCE;
            wipe_marked(s, waiting[which]);
            waiting[which] = waiting[--count];
        }
        if (i % 16 == 15) {
            trim_marked(s, 10);
        }
    }
    while (count > 0) {
        wipe_marked(s, waiting[--count]);
    }
    trim_marked(s, 0);
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
    v = marked(2, "kept");
    assert_true(store_verification_add(s, &v, on_done, &outcomes[1], &err));
    v = marked(1, "agreed");
    v.decided_ms = NOW_MS;
    assert_true(store_verification_update(s, &v, true, on_done, &outcomes[2], &err));
    assert_true(store_verification_trim_kept(s, v.worker_id, 0, 0, on_trimmed, &trimmed, &err));
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

static void test_a_backup_puts_the_wiping_off_and_nothing_else(void **state) {
    (void)state;
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
    sqlite3 *reader = NULL;
    assert_int_equal(sqlite3_open(here.path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM users", NULL, NULL, NULL), SQLITE_OK);
    store_verification v = marked(1, "waiting");
    assert_true(store_verification_add(s, &v, on_done, &last, &err));
    while (last.calls < 1) {
        ev_timer_start(w.loop, &w.timer, 5);
        ev_loop_run(w.loop);
    }
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
    sqlite3_close(reader);
    last.calls = 1;
    ev_timer_stop(&w.timer);
    ev_timer_init(&w.timer, look_again, &w);
    ev_timer_start(w.loop, &w.timer, 5);
    ev_loop_run(w.loop);
    store_close(s);
    ev_loop_free(w.loop);
    place_remove(&here);
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

/* One call of each operation that writes; `number` makes it another each time. */
typedef bool attempt(store *s, uint64_t number, outcome *o);

static void on_id(void *context, uint64_t id, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->user_id = id;
}

static bool try_check(store *s, uint64_t number, outcome *o) {
    store_verification v = marked(number, "waiting");
    return store_verification_add(s, &v, on_done, o, &err);
}

static bool try_blacklist(store *s, uint64_t number, outcome *o) {
    char name[32];
    snprintf(name, sizeof name, "owner %llu", (unsigned long long)number);
    store_blacklisting entry = {
        .kind = SLICE_LITERAL("owner"), .value = slice_of_text(name), .reason = SLICE_LITERAL("convicted")};
    return store_blacklist_add(s, &entry, on_id, o, &err);
}

static bool try_evidence(store *s, uint64_t number, outcome *o) {
    store_evidence e = {.created_ms = number, .bundle = SLICE_LITERAL("{}")};
    memset(e.worker_id, 1, sizeof e.worker_id);
    return store_evidence_add(s, &e, on_id, o, &err);
}

static bool try_notice(store *s, uint64_t number, outcome *o) {
    store_notice n = new_notice(number);
    return store_notice_add(s, &n, on_id, o, &err);
}

static bool try_honeytoken(store *s, uint64_t number, outcome *o) {
    char marker[32];
    snprintf(marker, sizeof marker, "cht-%llu", (unsigned long long)number);
    store_honeytoken t = {.marker = slice_of_text(marker)};
    memset(t.worker_id, 1, sizeof t.worker_id);
    return store_honeytoken_add(s, &t, on_done, o, &err);
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
        bool accepted = try_it(s, 2 * (uint64_t)nth + 1000, &o);
        reached = fault_stop();
        assert_int_equal(o.calls, accepted ? 1 : 0);
        error_code code = accepted ? o.code : err.code;
        assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
        expected += code == ERROR_NONE ? 1 : 0;
        assert_int_equal(count_rows(&here, table), expected);
        assert_true(try_it(s, 2 * (uint64_t)nth + 1001, &o));
        assert_int_equal(o.code, ERROR_NONE);
        expected++;
        store_close(s);
    }
    place_remove(&here);
}

static void test_each_failing_allocation_leaves_no_half_written_row(void **state) {
    (void)state;
    static const struct {
        attempt *try_it;
        const char *table;
    } attempts[] = {{try_check, "inference_payloads"},
                    {try_blacklist, "blacklist"},
                    {try_evidence, "evidence"},
                    {try_notice, "notices"},
                    {try_honeytoken, "honeytokens"}};
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        fail_each_allocation_of(attempts[i].try_it, attempts[i].table);
    }
}

static void on_reputations(void *context, const store_reputation *rows, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    o->key_id = count == 0 ? 0 : rows[0].answers;
}

static void test_each_failing_allocation_leaves_a_standing_old_or_new(void **state) {
    (void)state;
    place here = place_make();
    bool reached = true;
    for (uint64_t nth = 0; reached; nth++) {
        store *s = open_at(&here, NULL);
        if (nth == 0) {
            fill_site(s);
        }
        outcome o = {0};
        store_reputation r = {.state = SLICE_LITERAL("regular"), .answers = 1000 + nth};
        memset(r.worker_id, 1, sizeof r.worker_id);
        assert_true(store_reputation_put(s, &r, on_done, &o, &err));
        fault_fail_nth((int)nth);
        r.answers = 2000 + nth;
        bool noted = store_reputation_note(s, &r, NOW_MS, &err);
        r.answers = 3000 + nth;
        bool put = noted && store_reputation_put(s, &r, on_done, &o, &err);
        reached = fault_stop();
        assert_true(put || err.code == ERROR_MEMORY);
        assert_true(!put || o.code == ERROR_NONE || o.code == ERROR_MEMORY);
        uint64_t wanted = put && o.code == ERROR_NONE ? 3000 + nth : 1000 + nth;
        assert_true(store_load_reputation(s, on_reputations, &o, &err));
        assert_int_equal(o.key_id, wanted);
        store_close(s);
    }
    place_remove(&here);
}

static void on_page(void *context, const store_verification *rows, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(rows == NULL, count == 0);
}

static bool change_something(store *s, int which, outcome *o) {
    store_verification v = new_verification(1, "agreed");
    v.decided_ms = NOW_MS;
    switch (which) {
    case 0:
        return store_verification_update(s, &v, true, on_done, o, &err);
    case 1:
        return store_verification_take_kept(s, v.worker_id, 10, on_page, o, &err);
    case 2:
        return store_verification_trim_kept(s, v.worker_id, 0, 0, on_trimmed, o, &err);
    default:
        return store_verification_load_waiting(s, 0, 10, on_page, o, &err);
    }
}

/* All of a change or nothing: the rows by state and the payloads tell which. */
static uint64_t shape(const place *p) {
    return count_rows(p, "inference_verifications WHERE state = 'waiting'") +
           100 * count_rows(p, "inference_verifications WHERE state = 'kept'") +
           10000 * count_rows(p, "inference_payloads");
}

static void test_each_failing_allocation_of_a_change_leaves_all_or_nothing(void **state) {
    (void)state;
    static const uint64_t after[] = {40400, 50005, 10001, 50401};
    for (int which = 0; which < 4; which++) {
        place here = place_make();
        store *s = open_at(&here, NULL);
        fill_site(s);
        for (uint64_t i = 1; i <= 5; i++) {
            add_marked(s, i, i == 1 ? "waiting" : "kept");
        }
        store_close(s);
        bool reached = true;
        for (int nth = 0; reached; nth++) {
            s = open_at(&here, NULL);
            outcome o = {0};
            fault_fail_nth(nth);
            bool accepted = change_something(s, which, &o);
            reached = fault_stop();
            error_code code = accepted ? o.code : err.code;
            assert_int_equal(code, reached ? ERROR_MEMORY : ERROR_NONE);
            assert_int_equal(shape(&here), reached ? 50401 : after[which]);
            store_close(s);
        }
        place_remove(&here);
    }
}

static void on_entries(void *context, const store_blacklisting *rows, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(rows == NULL, count == 0);
}

static void on_evidence(void *context, const store_evidence *rows, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(rows == NULL, count == 0);
}

static void on_bundle(void *context, const store_evidence *e, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = e == NULL ? 0 : 20;
}

static void on_notices(void *context, const store_notice *rows, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(rows == NULL, count == 0);
}

static void on_tokens(void *context, const store_honeytoken *rows, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(rows == NULL, count == 0);
}

static void on_token(void *context, const store_honeytoken *t, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = t == NULL ? 0 : 20;
}

static void on_check(void *context, const store_verification *v, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = v == NULL ? 0 : 20;
}

enum { READS = 10, STRIDE = 5 /* reads are alike: together they meet all */ };

static bool read_something(store *s, int which, outcome *o) {
    store_verification v = new_verification(3, "waiting");
    switch (which) {
    case 0:
        return store_load_blacklist(s, on_entries, o, &err);
    case 1:
        return store_blacklist_list(s, 0, 100, on_entries, o, &err);
    case 2:
        return store_evidence_list(s, v.worker_id, 0, 100, on_evidence, o, &err);
    case 3:
        return store_evidence_get(s, 3, on_bundle, o, &err);
    case 4:
        return store_load_notices(s, on_notices, o, &err);
    case 5:
        return store_notice_list(s, NULL, 0, 100, on_notices, o, &err);
    case 6:
        return store_honeytoken_list(s, false, 0, 100, on_tokens, o, &err);
    case 7:
        return store_honeytoken_find(s, SLICE_LITERAL("cht-3"), on_token, o, &err);
    case 8:
        return store_verification_of_job(s, v.job_id, 1, on_check, o, &err);
    default:
        return store_verification_list(s, NULL, 0, 100, on_page, o, &err);
    }
}

static void test_reads_survive_each_failing_allocation(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    outcome o = {0};
    for (uint64_t i = 0; i < 20; i++) {
        assert_true(try_blacklist(s, i, &o) && try_evidence(s, i, &o) && try_notice(s, i, &o) &&
                    try_honeytoken(s, i, &o) && try_check(s, i, &o));
        assert_int_equal(o.code, ERROR_NONE);
    }
    store_close(s);
    for (int which = 0; which < READS; which++) {
        bool reached = true;
        for (int nth = which % STRIDE; reached; nth += STRIDE) {
            s = open_at(&here, NULL);
            o = (outcome){0};
            fault_fail_nth(nth);
            bool accepted = read_something(s, which, &o);
            reached = fault_stop();
            error_code code = accepted ? o.code : err.code;
            assert_int_equal(code, reached ? ERROR_MEMORY : ERROR_NONE);
            assert_int_equal(o.count, reached ? 0 : 20);
            store_close(s);
        }
    }
    place_remove(&here);
}

static void test_a_full_database_takes_checks_again_once_some_are_wiped(void **state) {
    (void)state;
    static uint8_t large[65536];
    place here = place_make();
    store_options options = {.path = here.path, .size_limit = 1048576};
    store *s = store_open(&options, &err);
    assert_non_null(s);
    fill_site(s);
    outcome o = {0};
    uint64_t kept = 0;
    for (; kept < 100 && o.code == ERROR_NONE; kept++) {
        store_verification v = new_verification(kept, "waiting");
        v.payload = slice_of(large, sizeof large);
        assert_true(store_verification_add(s, &v, on_done, &o, &err));
    }
    kept--; /* the last one was refused */
    assert_int_equal(o.code, ERROR_IO);
    assert_non_null(strstr(o.text, "full"));
    assert_in_range(kept, 2, 20);
    assert_int_equal(count_rows(&here, "inference_verifications"), kept);
    wipe_marked(s, 0);
    wipe_marked(s, 1);
    store_verification v = new_verification(kept, "waiting");
    v.payload = slice_of(large, sizeof large);
    assert_true(store_verification_add(s, &v, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    store_close(s);
    place_remove(&here);
}

static void test_a_failing_disk_keeps_the_payload_and_the_state(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    add_marked(s, 1, "waiting");
    outcome o = {0};
    store_verification v = new_verification(1, "agreed");
    v.decided_ms = NOW_MS;
    fault_fail_nth_at("disk", 0);
    assert_true(store_verification_update(s, &v, true, on_done, &o, &err));
    if (fault_stop()) {
        assert_int_equal(o.code, ERROR_IO);
        assert_int_equal(shape(&here), 10001);
        assert_true(store_verification_update(s, &v, true, on_done, &o, &err));
    }
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(shape(&here), 0);
    store_close(s);
    place_remove(&here);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wiped_payload_is_in_no_file_once_the_store_is_closed),
        cmocka_unit_test(test_a_wiped_payload_leaves_the_files_while_the_store_is_open),
        cmocka_unit_test(test_a_backup_puts_the_wiping_off_and_nothing_else),
        cmocka_unit_test(test_after_a_kill_no_receipt_is_there_without_its_check),
        cmocka_unit_test(test_each_failing_allocation_leaves_no_half_written_row),
        cmocka_unit_test(test_each_failing_allocation_leaves_a_standing_old_or_new),
        cmocka_unit_test(test_each_failing_allocation_of_a_change_leaves_all_or_nothing),
        cmocka_unit_test(test_reads_survive_each_failing_allocation),
        cmocka_unit_test(test_a_full_database_takes_checks_again_once_some_are_wiped),
        cmocka_unit_test(test_a_failing_disk_keeps_the_payload_and_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
