/* What is stored of standings. */
#include "site_support.h"

#include "store/reputation.h"
#include <math.h>

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

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_standing_is_kept_whole),
        SITE_TEST(test_counts_of_standings_are_gathered_and_a_change_of_state_is_not),
        SITE_TEST(test_a_note_superseded_among_many_leaves_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
