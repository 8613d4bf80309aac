/* What proof of inference keeps: checks with their payloads, standings, the blacklist, evidence, notices and
 * honeytokens. */
#include "verification_support.h"

#include "store/blacklist.h"
#include "store/evidence.h"
#include "store/honeytokens.h"
#include "store/notices.h"
#include "store/reputation.h"

#include <math.h>

static place here;
static store *site;
static error err;

static int open_site(void **state) {
    (void)state;
    here = place_make();
    site = open_at(&here, NULL);
    fill_site(site);
    return 0;
}

static int close_site(void **state) {
    (void)state;
    store_close(site);
    place_remove(&here);
    return 0;
}

static void reopen(void) {
    store_close(site);
    site = open_at(&here, NULL);
}

static outcome add(const store_verification *v) {
    outcome o = {0};
    assert_true(store_verification_add(site, v, on_done, &o, &err));
    assert_int_equal(o.calls, 1);
    return o;
}

static outcome update(const store_verification *v, bool wipe) {
    outcome o = {0};
    assert_true(store_verification_update(site, v, wipe, on_done, &o, &err));
    assert_int_equal(o.calls, 1);
    return o;
}

/* Copies of the first rows of a list. */
typedef struct page {
    outcome base;
    size_t count;
    uint64_t numbers[16];
    uint8_t first_ids[16];
    char states[16][16];
    size_t payloads[16];
    bool rechecks[16];
    uint8_t payload_of_first[64];
} page;

static void on_page(void *context, const store_verification *rows, size_t count, const error *failure) {
    page *p = context;
    keep(&p->base, failure);
    p->count = count;
    assert_int_equal(rows == NULL, count == 0);
    for (size_t i = 0; i < count && i < 16; i++) {
        p->numbers[i] = rows[i].number;
        p->first_ids[i] = rows[i].id[0];
        p->payloads[i] = rows[i].payload.length;
        p->rechecks[i] = rows[i].recheck;
        snprintf(p->states[i], sizeof p->states[i], "%.*s", SLICE_FORMAT(rows[i].state));
    }
    if (count > 0 && rows[0].payload.length > 0) {
        memcpy(p->payload_of_first, rows[0].payload.data,
               rows[0].payload.length < 64 ? rows[0].payload.length : 64);
    }
}

static page waiting(uint64_t after, size_t limit) {
    page p = {0};
    assert_true(store_verification_load_waiting(site, after, limit, on_page, &p, &err));
    assert_int_equal(p.base.code, ERROR_NONE);
    return p;
}

static page taken(size_t limit) {
    page p = {0};
    uint8_t worker[STORE_WORKER_ID_SIZE];
    memset(worker, 1, sizeof worker);
    assert_true(store_verification_take_kept(site, worker, limit, on_page, &p, &err));
    assert_int_equal(p.base.code, ERROR_NONE);
    return p;
}

static page listed(const uint8_t *worker, uint64_t before, size_t limit) {
    page p = {0};
    assert_true(store_verification_list(site, worker, before, limit, on_page, &p, &err));
    assert_int_equal(p.base.code, ERROR_NONE);
    return p;
}

static void on_course(void *context, const store_verification *v, const error *failure) {
    keep(context, failure);
    assert_non_null(v);
    assert_true(slice_equal_text(v->state, "disputed"));
    assert_true(slice_equal_text(v->mode, "spot"));
    assert_true(slice_equal_text(v->model, "tiny"));
    assert_true(slice_equal_text(v->independence, "weak"));
    assert_true(slice_equal_text(v->findings, "two findings"));
    assert_int_equal(v->payload.length, 20);
    assert_int_equal(v->user_id, 1);
    assert_int_equal(v->created_ms, NOW_MS + 7);
    assert_int_equal(v->decided_ms, 0);
    assert_int_equal(v->position, 17);
    assert_int_equal(v->attempts, 2);
    assert_int_equal(v->referees, 1);
    assert_true(v->has_verifier);
    assert_false(v->has_referee);
    assert_int_equal(v->verifier_id[15], 1);
    assert_int_equal(v->worker_id[15], 1);
}

static void test_a_check_keeps_its_course(void **state) {
    (void)state;
    store_verification v = new_verification(7, "waiting");
    assert_int_equal(add(&v).code, ERROR_NONE);
    assert_int_equal(add(&v).code, ERROR_CONFLICT);
    v.state = SLICE_LITERAL("disputed");
    v.independence = SLICE_LITERAL("weak");
    v.findings = SLICE_LITERAL("two findings");
    v.position = 17;
    v.attempts = 2;
    v.referees = 1;
    v.has_verifier = true;
    memset(v.verifier_id, 1, sizeof v.verifier_id);
    v.payload = (slice){NULL, 0}; /* ignored, as are these */
    v.model = SLICE_LITERAL("another");
    v.created_ms = 1;
    assert_int_equal(update(&v, false).code, ERROR_NONE);
    reopen();
    outcome o = {0};
    assert_true(store_verification_get(site, v.id, on_course, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    v.has_verifier = false; /* nothing of a row before it clings to a statement */
    v.position = -1;
    assert_int_equal(update(&v, false).code, ERROR_NONE);
    store_verification other = new_verification(8, "waiting");
    other.has_referee = true;
    memset(other.referee_id, 1, sizeof other.referee_id);
    assert_int_equal(add(&other).code, ERROR_NONE);
    other = new_verification(9, "waiting");
    assert_int_equal(add(&other).code, ERROR_NONE);
    found_verification found = {0};
    assert_true(store_verification_get(site, v.id, on_verification, &found, &err));
    assert_false(found.copy.has_verifier);
    assert_int_equal(found.copy.position, -1);
    assert_true(store_verification_get(site, other.id, on_verification, &found, &err));
    assert_false(found.copy.has_referee);
    v.id[0] = 99;
    assert_int_equal(update(&v, true).code, ERROR_NOT_FOUND);
    assert_true(store_verification_get(site, v.id, on_verification, &found, &err));
    assert_int_equal(found.base.code, ERROR_NOT_FOUND);
}

static void test_what_is_no_check_is_refused(void **state) {
    (void)state;
    static uint8_t large[STORE_PAYLOAD_MAX + 1];
    outcome o = {0};
    store_verification v = new_verification(1, "done");
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "agreed"); /* without its date */
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.decided_ms = NOW_MS;
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.mode = SLICE_LITERAL("always");
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.independence = SLICE_LITERAL("perhaps");
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.user_id = 77;
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.worker_id[3] = 77;
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.has_verifier = true;
    assert_int_equal(add(&v).code, ERROR_INVALID);
    v = new_verification(1, "waiting");
    v.payload = slice_of(large, sizeof large);
    assert_false(store_verification_add(site, &v, on_done, &o, &err));
    v = new_verification(1, "waiting");
    v.findings = slice_of(large, STORE_FINDINGS_MAX + 1);
    assert_false(store_verification_add(site, &v, on_done, &o, &err));
    assert_false(store_verification_update(site, &v, false, on_done, &o, &err));
    v = new_verification(1, "waiting");
    v.model = slice_of(large, STORE_MODEL_MAX + 1);
    assert_false(store_verification_add(site, &v, on_done, &o, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_int_equal(o.calls, 0);
    assert_int_equal(waiting(0, 10).count, 0);
    v = new_verification(1, "waiting");
    v.payload = slice_of(large, STORE_PAYLOAD_MAX);
    v.findings = slice_of(large, STORE_FINDINGS_MAX);
    assert_int_equal(add(&v).code, ERROR_NONE);
    assert_int_equal(waiting(0, 10).payloads[0], STORE_PAYLOAD_MAX);
}

static void test_what_waits_is_loaded_page_by_page_and_nothing_else(void **state) {
    (void)state;
    static const char *const states[] = {"waiting",  "kept", "running", "agreed",
                                         "disputed", "open", "judging"};
    for (uint64_t i = 0; i < 7; i++) {
        store_verification v = new_verification(i, states[i]);
        v.decided_ms = i == 3 ? NOW_MS : 0;
        assert_int_equal(add(&v).code, ERROR_NONE);
    }
    page all = waiting(0, 10);
    assert_int_equal(all.count, 4);
    assert_string_equal(all.states[0], "waiting");
    assert_string_equal(all.states[3], "judging");
    assert_int_equal(all.payloads[3], 20);
    assert_memory_equal(all.payload_of_first, "payload of 0 .......", 20);
    page some = waiting(all.numbers[0], 2);
    assert_int_equal(some.count, 2);
    assert_string_equal(some.states[0], "running");
    assert_string_equal(some.states[1], "disputed");
    assert_int_equal(waiting(all.numbers[3], 10).count, 0);
    page p;
    assert_false(store_verification_load_waiting(site, 0, 0, on_page, &p, &err));
    assert_false(store_verification_load_waiting(site, 0, STORE_LIST_MAX + 1, on_page, &p, &err));
}

static void test_a_page_of_large_payloads_is_bounded_by_its_bytes(void **state) {
    (void)state;
    static uint8_t large[STORE_PAYLOAD_MAX];
    for (uint64_t i = 0; i < 6; i++) {
        store_verification v = new_verification(i, i < 5 ? "waiting" : "kept");
        v.payload = slice_of(large, sizeof large);
        assert_int_equal(add(&v).code, ERROR_NONE);
    }
    page p = waiting(0, 10);
    assert_int_equal(p.count, 4); /* 32 MiB */
    p = waiting(p.numbers[3], 10);
    assert_int_equal(p.count, 1);
    assert_int_equal(taken(10).count, 1);
}

static void test_what_is_kept_is_taken_newest_first_and_then_waits(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 6; i++) {
        store_verification v = new_verification(i, "kept");
        assert_int_equal(add(&v).code, ERROR_NONE);
    }
    assert_int_equal(waiting(0, 10).count, 0);
    page p = taken(2);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.first_ids[0], 5);
    assert_int_equal(p.first_ids[1], 4);
    assert_string_equal(p.states[0], "waiting");
    assert_true(p.rechecks[0]);
    assert_memory_equal(p.payload_of_first, "payload of 5 .......", 20);
    p = taken(100);
    assert_int_equal(p.count, 4);
    assert_int_equal(p.first_ids[0], 3);
    assert_int_equal(taken(100).count, 0);
    reopen();
    p = waiting(0, 10);
    assert_int_equal(p.count, 6);
    assert_true(p.rechecks[0]);
}

static void on_trimmed(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

static size_t trim(bool of_worker, size_t keep_count, uint64_t before_ms) {
    outcome o = {0};
    uint8_t worker[STORE_WORKER_ID_SIZE];
    memset(worker, 1, sizeof worker);
    assert_true(store_verification_trim_kept(site, of_worker ? worker : NULL, keep_count, before_ms,
                                             on_trimmed, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    return o.count;
}

static void test_only_the_newest_answers_of_a_worker_stay_kept(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 10; i++) {
        store_verification v = new_verification(i, i == 0 ? "waiting" : "kept");
        assert_int_equal(add(&v).code, ERROR_NONE);
    }
    assert_int_equal(trim(true, 4, 0), 5);
    assert_int_equal(trim(true, 4, 0), 0);
    assert_int_equal(count_rows(&here, "inference_payloads"), 5);
    assert_int_equal(trim(true, 4, NOW_MS + 7), 1);
    assert_int_equal(trim(false, 0, NOW_MS + 8), 1);
    page p = taken(10);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.first_ids[0], 9);
    assert_int_equal(p.first_ids[1], 8);
    assert_int_equal(waiting(0, 10).count, 3); /* what waits is never trimmed */
    assert_int_equal(trim(false, 0, INT64_MAX), 0);
    assert_int_equal(trim(true, SIZE_MAX >> 1, INT64_MAX), 0);
}

static void test_checks_are_listed_newest_first_without_their_payloads(void **state) {
    (void)state;
    uint8_t other[STORE_WORKER_ID_SIZE];
    enrol_worker(site, 2);
    memset(other, 2, sizeof other);
    for (uint64_t i = 0; i < 6; i++) {
        store_verification v = new_verification(i, i == 5 ? "kept" : "waiting");
        if (i == 3) {
            memcpy(v.worker_id, other, sizeof other);
        }
        assert_int_equal(add(&v).code, ERROR_NONE);
    }
    page p = listed(NULL, 0, 3);
    assert_int_equal(p.count, 3);
    assert_int_equal(p.first_ids[0], 4);
    assert_int_equal(p.payloads[0], 0);
    p = listed(NULL, p.numbers[2], 10);
    assert_int_equal(p.count, 2);
    assert_int_equal(p.first_ids[0], 1);
    p = listed(other, 0, 10);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.first_ids[0], 3);
    assert_false(store_verification_list(site, NULL, 0, 0, on_page, &p, &err));
}

static void test_open_disputes_are_listed_alone(void **state) {
    (void)state;
    page p = {0};
    const char *const states[] = {"open", "waiting", "open", "kept", "disputed", "open"};
    for (uint64_t i = 0; i < 6; i++) {
        store_verification v = new_verification(i, states[i]);
        assert_int_equal(add(&v).code, ERROR_NONE);
    }
    assert_true(store_verification_list_open(site, 0, 2, on_page, &p, &err));
    assert_int_equal(p.count, 2);
    assert_int_equal(p.first_ids[0], 5);
    assert_int_equal(p.first_ids[1], 2);
    assert_int_equal(p.payloads[0], 0);
    assert_true(store_verification_list_open(site, p.numbers[1], 2, on_page, &p, &err));
    assert_int_equal(p.count, 1);
    assert_int_equal(p.first_ids[0], 0);
    assert_false(store_verification_list_open(site, 0, STORE_LIST_MAX + 1, on_page, &p, &err));
}

static void test_a_user_hears_of_the_checks_of_its_own_answers_alone(void **state) {
    (void)state;
    found_verification found = {0};
    store_verification v = new_verification(1, "kept");
    assert_int_equal(add(&v).code, ERROR_NONE);
    assert_true(store_verification_of_job(site, v.job_id, 1, on_verification, &found, &err));
    assert_int_equal(found.base.code, ERROR_NOT_FOUND);
    v = new_verification(2, "waiting");
    assert_int_equal(add(&v).code, ERROR_NONE);
    assert_true(store_verification_of_job(site, v.job_id, 1, on_verification, &found, &err));
    assert_int_equal(found.base.code, ERROR_NONE);
    assert_memory_equal(found.copy.id, v.id, sizeof v.id);
    assert_int_equal(found.copy.payload.length, 0);
    assert_true(store_verification_of_job(site, v.job_id, 2, on_verification, &found, &err));
    assert_int_equal(found.base.code, ERROR_NOT_FOUND);
}

static void on_deleted(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

static void on_id(void *context, uint64_t id, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->user_id = id;
}

static void test_decided_checks_and_notices_go_with_the_receipts(void **state) {
    (void)state;
    outcome o = {0};
    for (uint64_t i = 0; i < 10; i++) {
        store_verification v = new_verification(i, i % 2 == 0 ? "agreed" : "open");
        v.decided_ms = i % 2 == 0 ? NOW_MS : 0;
        assert_int_equal(add(&v).code, ERROR_NONE);
        store_notice n = new_notice(i);
        assert_true(store_notice_add(site, &n, on_id, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    static const size_t expected[] = {3, 3, 2, 0};
    for (size_t i = 0; i < 4; i++) {
        assert_true(store_receipts_delete_before(site, NOW_MS + 8, 3, on_deleted, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
        assert_int_equal(o.count, expected[i]);
    }
    assert_int_equal(count_rows(&here, "inference_verifications"), 6); /* 5 that are open, and the newest */
    assert_int_equal(count_rows(&here, "notices"), 2);
}

static store_reputation new_reputation(slice standing, uint64_t answers) {
    store_reputation r = {.state = standing,
                          .answers = answers,
                          .checks = 5,
                          .agreed = 4,
                          .mismatches = 1,
                          .evasions = 2,
                          .consecutive = 3,
                          .passed = 6,
                          .evasions_in_row = 7,
                          .alert_left = 30,
                          .disputes = 8,
                          .held = true,
                          .cusum = 0.25,
                          .alpha = 1.5,
                          .beta = -2,
                          .changed_ms = NOW_MS};
    memset(r.worker_id, 1, sizeof r.worker_id);
    return r;
}

typedef struct reputations {
    outcome base;
    size_t count;
    store_reputation last;
    char state[16];
} reputations;

static void on_reputations(void *context, const store_reputation *rows, size_t count, const error *failure) {
    reputations *r = context;
    keep(&r->base, failure);
    r->count = count;
    if (count > 0) {
        r->last = rows[count - 1];
        snprintf(r->state, sizeof r->state, "%.*s", SLICE_FORMAT(rows[count - 1].state));
    }
}

static reputations load_reputations(void) {
    reputations r = {0};
    assert_true(store_load_reputation(site, on_reputations, &r, &err));
    assert_int_equal(r.base.code, ERROR_NONE);
    return r;
}

static void test_a_standing_is_kept_whole(void **state) {
    (void)state;
    outcome o = {0};
    store_reputation r = new_reputation(SLICE_LITERAL("alert"), 11);
    assert_true(store_reputation_put(site, &r, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    reputations found = load_reputations();
    assert_int_equal(found.count, 1);
    assert_string_equal(found.state, "alert");
    found.last.state = r.state;
    assert_int_equal(found.last.answers, 11);
    assert_int_equal(found.last.checks, 5);
    assert_int_equal(found.last.agreed, 4);
    assert_int_equal(found.last.mismatches, 1);
    assert_int_equal(found.last.evasions, 2);
    assert_int_equal(found.last.consecutive, 3);
    assert_int_equal(found.last.passed, 6);
    assert_int_equal(found.last.evasions_in_row, 7);
    assert_int_equal(found.last.alert_left, 30);
    assert_int_equal(found.last.disputes, 8);
    assert_true(found.last.held);
    assert_true(found.last.cusum == 0.25 && found.last.alpha == 1.5 && found.last.beta == -2);
    assert_int_equal(found.last.changed_ms, NOW_MS);
    r.worker_id[0] = 9;
    assert_true(store_reputation_put(site, &r, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    r = new_reputation(SLICE_LITERAL("bad"), 1);
    assert_false(store_reputation_put(site, &r, on_done, &o, &err));
    assert_false(store_reputation_note(site, &r, NOW_MS, &err));
    r = new_reputation(SLICE_LITERAL("new"), 1);
    r.cusum = NAN;
    assert_false(store_reputation_put(site, &r, on_done, &o, &err));
    r.cusum = INFINITY;
    assert_false(store_reputation_note(site, &r, NOW_MS, &err));
    assert_int_equal(err.code, ERROR_INVALID);
}

static void test_counts_of_standings_are_gathered_and_a_change_of_state_is_not(void **state) {
    (void)state;
    outcome o = {0};
    store_statistics before;
    store_statistics after;
    store_reputation r = new_reputation(SLICE_LITERAL("regular"), 0);
    store_stats(site, &before);
    for (uint64_t i = 1; i <= 29; i++) {
        r.answers = i;
        assert_true(store_reputation_note(site, &r, NOW_MS + i * 1000, &err));
    }
    store_stats(site, &after);
    assert_int_equal(after.commits, before.commits);
    r = new_reputation(SLICE_LITERAL("quarantined"), 30);
    assert_true(store_reputation_put(site, &r, on_done, &o, &err));
    store_stats(site, &after);
    assert_int_equal(after.synced_commits, before.synced_commits + 1);
    assert_string_equal(load_reputations().state, "quarantined");
    reopen(); /* what was gathered before must not undo it */
    assert_string_equal(load_reputations().state, "quarantined");
    assert_int_equal(load_reputations().last.answers, 30);
    r.answers = 31;
    assert_true(store_reputation_note(site, &r, NOW_MS, &err));
    reopen();
    assert_int_equal(load_reputations().last.answers, 31);
}

static void test_a_note_superseded_among_many_leaves_the_others(void **state) {
    (void)state;
    outcome o = {0};
    for (uint8_t i = 2; i < 12; i++) {
        enrol_worker(site, i);
    }
    for (uint8_t i = 1; i < 12; i++) {
        store_reputation r = new_reputation(SLICE_LITERAL("regular"), 100U + i);
        memset(r.worker_id, i, sizeof r.worker_id);
        assert_true(store_reputation_note(site, &r, NOW_MS, &err));
    }
    static const uint8_t changed[] = {1, 11, 5, 5, 10};
    for (size_t i = 0; i < sizeof changed; i++) {
        store_reputation r = new_reputation(SLICE_LITERAL("alert"), changed[i]);
        memset(r.worker_id, changed[i], sizeof r.worker_id);
        assert_true(store_reputation_put(site, &r, on_done, &o, &err));
    }
    reopen();
    assert_int_equal(count_rows(&here, "worker_reputation"), 11);
    assert_int_equal(count_rows(&here, "worker_reputation WHERE state = 'alert' AND answers < 100"), 4);
    assert_int_equal(count_rows(&here, "worker_reputation WHERE state = 'regular' AND answers > 100"), 7);
}

typedef struct blacklisted {
    outcome base;
    size_t count;
    store_blacklisting first;
    char value[80];
} blacklisted;

static void on_blacklist(void *context, const store_blacklisting *entries, size_t count,
                         const error *failure) {
    blacklisted *b = context;
    keep(&b->base, failure);
    b->count = count;
    if (count > 0) {
        b->first = entries[0];
        snprintf(b->value, sizeof b->value, "%.*s", SLICE_FORMAT(entries[0].value));
    }
}

static void test_the_blacklist_holds_each_once_until_it_is_cleared(void **state) {
    (void)state;
    outcome o = {0};
    blacklisted b = {0};
    store_blacklisting entry = {.kind = SLICE_LITERAL("owner"),
                                .value = SLICE_LITERAL("Eve"),
                                .reason = SLICE_LITERAL("convicted"),
                                .created_ms = NOW_MS};
    assert_true(store_blacklist_add(site, &entry, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    uint64_t first = o.user_id;
    assert_true(store_blacklist_add(site, &entry, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_CONFLICT);
    entry.kind = SLICE_LITERAL("machine");
    entry.created_by = 1;
    assert_true(store_blacklist_add(site, &entry, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    reopen();
    assert_true(store_load_blacklist(site, on_blacklist, &b, &err));
    assert_int_equal(b.count, 2);
    assert_int_equal(b.first.created_by, 0);
    assert_string_equal(b.value, "Eve");
    assert_true(store_blacklist_clear(site, SLICE_LITERAL("owner"), SLICE_LITERAL("Eve"), 1, NOW_MS + 5,
                                      on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.user_id, first);
    assert_true(store_blacklist_clear(site, SLICE_LITERAL("owner"), SLICE_LITERAL("Eve"), 1, NOW_MS + 5,
                                      on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_load_blacklist(site, on_blacklist, &b, &err));
    assert_int_equal(b.count, 1);
    assert_true(store_blacklist_list(site, 0, 10, on_blacklist, &b, &err));
    assert_int_equal(b.count, 2);
    assert_int_equal(b.first.cleared_by, 1);
    assert_int_equal(b.first.cleared_ms, NOW_MS + 5);
    assert_true(store_blacklist_list(site, first, 10, on_blacklist, &b, &err));
    assert_int_equal(b.count, 1);
    entry.kind = SLICE_LITERAL("owner");
    assert_true(store_blacklist_add(site, &entry, on_id, &o, &err)); /* again, after it was cleared */
    assert_int_equal(o.code, ERROR_NONE);
    entry.kind = SLICE_LITERAL("address");
    assert_false(store_blacklist_add(site, &entry, on_id, &o, &err));
    entry.kind = SLICE_LITERAL("owner");
    entry.value = (slice){NULL, 0};
    assert_false(store_blacklist_add(site, &entry, on_id, &o, &err));
    entry.value = SLICE_LITERAL("Mallory");
    entry.reason = (slice){NULL, 0};
    assert_false(store_blacklist_add(site, &entry, on_id, &o, &err));
    entry.reason = SLICE_LITERAL("by nobody");
    entry.created_by = 77;
    assert_true(store_blacklist_add(site, &entry, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    assert_false(
        store_blacklist_clear(site, SLICE_LITERAL("owner"), SLICE_LITERAL("Eve"), 1, 0, on_id, &o, &err));
}

static void on_evidence(void *context, const store_evidence *e, const error *failure) {
    keep(context, failure);
    keep_bytes(context, e == NULL ? (slice){NULL, 0} : e->bundle);
}

static void on_evidence_list(void *context, const store_evidence *rows, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rows[i].bundle.length, 0);
        o->user_id = rows[i].id;
    }
}

static void test_evidence_is_given_whole_and_listed_without(void **state) {
    (void)state;
    static uint8_t large[STORE_EVIDENCE_MAX + 1];
    outcome o = {0};
    uint8_t worker[STORE_WORKER_ID_SIZE];
    store_evidence e = {.created_ms = NOW_MS, .bundle = SLICE_LITERAL("{\"version\":1}")};
    memset(worker, 1, sizeof worker);
    memcpy(e.worker_id, worker, sizeof worker);
    for (uint64_t i = 1; i <= 3; i++) {
        assert_true(store_evidence_add(site, &e, on_id, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
        assert_int_equal(o.user_id, i);
    }
    reopen();
    assert_true(store_evidence_get(site, 2, on_evidence, &o, &err));
    assert_int_equal(o.length, 13);
    assert_memory_equal(o.bytes, "{\"version\":1}", 13);
    assert_true(store_evidence_get(site, 4, on_evidence, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_evidence_get(site, UINT64_MAX, on_evidence, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_evidence_list(site, NULL, 1, 10, on_evidence_list, &o, &err));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.user_id, 3);
    assert_true(store_evidence_list(site, worker, 0, 2, on_evidence_list, &o, &err));
    assert_int_equal(o.count, 2);
    worker[0] = 9;
    assert_true(store_evidence_list(site, worker, 0, 2, on_evidence_list, &o, &err));
    assert_int_equal(o.count, 0);
    e.worker_id[0] = 9;
    assert_true(store_evidence_add(site, &e, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    memset(large, ' ', sizeof large);
    e.bundle = slice_of(large, sizeof large);
    assert_false(store_evidence_add(site, &e, on_id, &o, &err));
    e.bundle = (slice){NULL, 0};
    assert_false(store_evidence_add(site, &e, on_id, &o, &err));
    e.bundle = SLICE_LITERAL("\xff");
    assert_false(store_evidence_add(site, &e, on_id, &o, &err));
}

static void on_notices(void *context, const store_notice *rows, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    if (count > 0) {
        o->user_id = rows[0].user_id;
        o->key_id = rows[0].told_ms;
        keep_bytes(o, rows[0].text);
    }
}

static void test_a_notice_is_told_once(void **state) {
    (void)state;
    outcome o = {0};
    store_notice n = new_notice(1);
    assert_true(store_notice_add(site, &n, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    uint64_t id = o.user_id;
    assert_true(store_notice_add(site, &n, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_CONFLICT);
    n = new_notice(2);
    assert_true(store_notice_add(site, &n, on_id, &o, &err));
    reopen();
    assert_true(store_load_notices(site, on_notices, &o, &err));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.user_id, 1);
    assert_memory_equal(o.bytes, "it was wrong", 12);
    for (uint64_t i = 0; i < 2; i++) {
        assert_true(store_notice_told(site, id, NOW_MS + 5 + i, on_done, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    assert_true(store_load_notices(site, on_notices, &o, &err));
    assert_int_equal(o.count, 1);
    assert_true(store_notice_list(site, n.worker_id, 0, 10, on_notices, &o, &err));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.key_id, NOW_MS + 5);
    assert_true(store_notice_list(site, NULL, id, 10, on_notices, &o, &err));
    assert_int_equal(o.count, 1);
    assert_true(store_notice_told(site, 99, NOW_MS, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_false(store_notice_told(site, id, 0, on_done, &o, &err));
    n = new_notice(3);
    n.user_id = 77;
    assert_true(store_notice_add(site, &n, on_id, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    n = new_notice(3);
    n.text = SLICE_LITERAL("two\nlines");
    assert_false(store_notice_add(site, &n, on_id, &o, &err));
    n.text = (slice){NULL, 0};
    assert_false(store_notice_add(site, &n, on_id, &o, &err));
}

static void on_token(void *context, const store_honeytoken *t, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->key_id = t == NULL ? 0 : t->seen_ms;
    keep_bytes(o, t == NULL ? (slice){NULL, 0} : t->seen_where);
    if (t != NULL) {
        assert_int_equal(t->worker_id[0], 1);
        assert_int_equal(t->created_ms, NOW_MS);
    }
}

static void on_tokens(void *context, const store_honeytoken *rows, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    o->user_id = count == 0 ? 0 : rows[count - 1].id;
}

static void test_a_honeytoken_names_its_worker_and_its_first_sighting(void **state) {
    (void)state;
    outcome o = {0};
    static const char *const markers[] = {"cht-one", "cht-two", "cht-three"};
    store_honeytoken t = {.created_ms = NOW_MS};
    memset(t.worker_id, 1, sizeof t.worker_id);
    for (size_t i = 0; i < 3; i++) {
        t.marker = slice_of_text(markers[i]);
        assert_true(store_honeytoken_add(site, &t, on_done, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    assert_true(store_honeytoken_add(site, &t, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_CONFLICT);
    assert_true(store_honeytoken_find(site, SLICE_LITERAL("cht-two"), on_token, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.key_id, 0);
    assert_true(store_honeytoken_find(site, SLICE_LITERAL("cht-four"), on_token, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_honeytoken_seen(site, SLICE_LITERAL("cht-four"), SLICE_LITERAL("mail"), NOW_MS,
                                      on_token, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_honeytoken_seen(site, SLICE_LITERAL("cht-two"), SLICE_LITERAL("mail"), NOW_MS + 1,
                                      on_token, &o, &err));
    assert_true(store_honeytoken_seen(site, SLICE_LITERAL("cht-two"), SLICE_LITERAL("wiki"), NOW_MS + 2,
                                      on_token, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.key_id, NOW_MS + 1);
    assert_memory_equal(o.bytes, "mail", 4);
    reopen();
    assert_true(store_honeytoken_list(site, true, 0, 10, on_tokens, &o, &err));
    assert_int_equal(o.count, 1);
    assert_true(store_honeytoken_list(site, false, 1, 10, on_tokens, &o, &err));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.user_id, 3);
    t.marker = SLICE_LITERAL("Not one");
    assert_false(store_honeytoken_add(site, &t, on_done, &o, &err));
    assert_false(store_honeytoken_find(site, (slice){NULL, 0}, on_token, &o, &err));
    assert_false(
        store_honeytoken_seen(site, SLICE_LITERAL("cht-two"), SLICE_LITERAL("x"), 0, on_token, &o, &err));
    t.marker = SLICE_LITERAL("cht-five");
    t.worker_id[0] = 9;
    assert_true(store_honeytoken_add(site, &t, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
}

#define SITE_TEST(test) cmocka_unit_test_setup_teardown(test, open_site, close_site)

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_check_keeps_its_course),
        SITE_TEST(test_what_is_no_check_is_refused),
        SITE_TEST(test_what_waits_is_loaded_page_by_page_and_nothing_else),
        SITE_TEST(test_a_page_of_large_payloads_is_bounded_by_its_bytes),
        SITE_TEST(test_what_is_kept_is_taken_newest_first_and_then_waits),
        SITE_TEST(test_only_the_newest_answers_of_a_worker_stay_kept),
        SITE_TEST(test_checks_are_listed_newest_first_without_their_payloads),
        SITE_TEST(test_open_disputes_are_listed_alone),
        SITE_TEST(test_a_user_hears_of_the_checks_of_its_own_answers_alone),
        SITE_TEST(test_decided_checks_and_notices_go_with_the_receipts),
        SITE_TEST(test_a_standing_is_kept_whole),
        SITE_TEST(test_counts_of_standings_are_gathered_and_a_change_of_state_is_not),
        SITE_TEST(test_a_note_superseded_among_many_leaves_the_others),
        SITE_TEST(test_the_blacklist_holds_each_once_until_it_is_cleared),
        SITE_TEST(test_evidence_is_given_whole_and_listed_without),
        SITE_TEST(test_a_notice_is_told_once),
        SITE_TEST(test_a_honeytoken_names_its_worker_and_its_first_sighting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
