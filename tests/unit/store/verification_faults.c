/* Out of memory or disk in every place: all of a change is there, or nothing. */
#include "verification_support.h"

#include "store/blacklist.h"
#include "store/evidence.h"
#include "store/honeytokens.h"
#include "store/reputation.h"

#include "ev/loop.h"

static error err;

/* One call of each operation that writes; `number` makes it another each time. */
typedef bool attempt(store *s, uint64_t number, outcome *o);

static bool try_check(store *s, uint64_t number, outcome *o) {
    store_verification v = new_verification(number, "waiting");
    return store_verification_add(s, &v, on_done, o, &err);
}

static bool try_kept(store *s, uint64_t number, outcome *o) {
    const store_verification v = new_verification(number, "");
    const store_kept_answer answer = kept_of(&v);
    return store_kept_add(s, &answer, 1000000, on_done, o, &err);
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
    } attempts[] = {{try_check, "inference_payloads"}, {try_kept, "kept_answers"},
                    {try_blacklist, "blacklist"},      {try_evidence, "evidence"},
                    {try_notice, "notices"},           {try_honeytoken, "honeytokens"}};
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

static void on_checks(void *context, const store_verification *rows, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_int_equal(rows == NULL, count == 0);
}

static void on_expired(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

static bool change_something(store *s, int which, outcome *o) {
    store_verification v = new_verification(1, "agreed");
    v.decided_ms = NOW_MS;
    switch (which) {
    case 0:
        return store_verification_update(s, &v, true, on_done, o, &err);
    case 1:
        return store_kept_take(s, v.worker_id, 10, on_checks, o, &err);
    case 2:
        return store_kept_expire(s, 1, NOW_MS + 4, INT64_MAX, on_expired, o, &err);
    default:
        return store_verification_load_waiting(s, 0, 10, on_checks, o, &err);
    }
}

/* All of a change or nothing: the rows by state and the payloads tell which. */
static uint64_t shape(const place *p) {
    return count_rows(p, "inference_verifications WHERE state = 'waiting'") +
           100 * count_rows(p, "kept_answers") + 10000 * count_rows(p, "inference_payloads");
}

static place make_filled(void) {
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    for (uint64_t i = 1; i <= 5; i++) {
        outcome o = {0};
        assert_true(i == 1 ? try_check(s, i, &o) : try_kept(s, i, &o));
        assert_int_equal(o.code, ERROR_NONE);
    }
    store_close(s);
    return here;
}

static void test_each_failing_allocation_of_a_change_leaves_all_or_nothing(void **state) {
    (void)state;
    static const uint64_t after[] = {400, 50005, 10101, 10401};
    for (int which = 0; which < 4; which++) {
        place here = make_filled();
        bool reached = true;
        unsigned refused = 0;
        int nth = 0;
        for (; reached; nth++) {
            store *s = open_at(&here, NULL);
            outcome o = {0};
            fault_fail_nth(nth);
            bool accepted = change_something(s, which, &o);
            reached = fault_stop();
            error_code code = accepted ? o.code : err.code;
            assert_true(code == ERROR_MEMORY ? reached : code == ERROR_NONE);
            assert_int_equal(shape(&here), code == ERROR_MEMORY ? 10401 : after[which]);
            refused += code == ERROR_MEMORY;
            store_close(s);
            if (reached && code == ERROR_NONE) { /* SQLite did without, a page of its cache say */
                place_remove(&here);
                here = make_filled();
            }
        }
        /* SQLite allocates where libpq does by itself; with nth == 1 the build has no faults. */
        assert_true(refused > (server_of_tests() == NULL ? 10 : 0) || nth == 1);
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
        return store_verification_list(s, NULL, 0, 100, on_checks, o, &err);
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
    NEEDS_FILES
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
    for (uint64_t i = 0; i < 2; i++) {
        store_verification decided = new_verification(i, "agreed");
        decided.decided_ms = NOW_MS;
        assert_true(store_verification_update(s, &decided, true, on_done, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    store_verification v = new_verification(kept, "waiting");
    v.payload = slice_of(large, sizeof large);
    assert_true(store_verification_add(s, &v, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    store_close(s);
    place_remove(&here);
}

typedef struct last_answer {
    outcome base;
    ev_loop *loop;
} last_answer;

static void on_last(void *context, const error *failure) {
    last_answer *a = context;
    keep(&a->base, failure);
    ev_loop_stop(a->loop);
}

static void test_a_check_that_finds_no_room_takes_its_receipt_with_it(void **state) {
    (void)state;
    NEEDS_FILES
    static uint8_t large[262144];
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    store_close(s);
    outcome check = {0};
    last_answer receipt = {.loop = ev_loop_new(&err)};
    assert_non_null(receipt.loop);
    const store_options options = {.path = here.path, .loop = receipt.loop, .size_limit = 393216};
    s = store_open(&options, &err);
    assert_non_null(s);
    store_receipt r = new_receipt(0);
    for (uint64_t i = 0; check.code == ERROR_NONE; i++) {
        assert_true(i < 10);
        store_verification v = new_verification(i, "waiting");
        v.payload = slice_of(large, sizeof large);
        memcpy(r.job_id, &i, sizeof i);
        assert_true(store_verification_add(s, &v, on_done, &check, &err));
        assert_true(store_receipt_add(s, &r, on_last, &receipt, &err));
        ev_loop_run(receipt.loop);
        assert_int_equal(receipt.base.code, check.code);
    }
    assert_int_equal(check.code, ERROR_IO);
    assert_true(store_receipt_add(s, &r, on_last, &receipt, &err));
    ev_loop_run(receipt.loop);
    assert_int_equal(receipt.base.code, ERROR_NONE); /* alone there is room */
    store_close(s);
    ev_loop_free(receipt.loop);
    place_remove(&here);
}

static void test_a_failing_disk_keeps_the_payload_and_the_state(void **state) {
    (void)state;
    place here = place_make();
    store *s = open_at(&here, NULL);
    fill_site(s);
    outcome o = {0};
    assert_true(try_check(s, 1, &o));
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
        cmocka_unit_test(test_each_failing_allocation_leaves_no_half_written_row),
        cmocka_unit_test(test_each_failing_allocation_leaves_a_standing_old_or_new),
        cmocka_unit_test(test_each_failing_allocation_of_a_change_leaves_all_or_nothing),
        cmocka_unit_test(test_reads_survive_each_failing_allocation),
        cmocka_unit_test(test_a_full_database_takes_checks_again_once_some_are_wiped),
        cmocka_unit_test(test_a_check_that_finds_no_room_takes_its_receipt_with_it),
        cmocka_unit_test(test_a_failing_disk_keeps_the_payload_and_the_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
