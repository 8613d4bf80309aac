#include "verify/choice.h"

#include "random.h"

enum { SITE_MAX = 10000 };

typedef struct site {
    verify_party parties[SITE_MAX];
    size_t referees, workers;
    size_t asked;
} site;

static site here;

static void get(void *context, size_t index, verify_party *party) {
    site *s = context;
    assert_true(index < s->referees + s->workers);
    s->asked++;
    *party = s->parties[index];
}

static const char *const texts[] = {"", "a", "b", "c", "d", "e", "f", "g"};

/* Each digit of `what` is owner, network, approver, site; 0 is unknown. */
static verify_party party_of(uint32_t id, const char what[4]) {
    verify_party p = {.owner = slice_of_text(texts[what[0] - '0']),
                      .network = slice_of_text(texts[what[1] - '0']),
                      .approver = (uint64_t)(what[2] - '0'),
                      .site = slice_of_text(texts[what[3] - '0']),
                      .able = true};
    memcpy(p.worker, &id, sizeof id);
    return p;
}

static void clear(void) {
    here.referees = 0;
    here.workers = 0;
    here.asked = 0;
}

/* Referees are added first. */
static void add(const char what[4], bool referee) {
    size_t index = here.referees + here.workers;
    here.parties[index] = party_of((uint32_t)index + 1, what);
    here.parties[index].referee = referee;
    here.referees += referee ? 1 : 0;
    here.workers += referee ? 0 : 1;
}

static verify_candidates candidates(void) {
    return (verify_candidates){
        .referees = here.referees, .workers = here.workers, .get = get, .context = &here};
}

static const double above_a_third = 0.9; /* the first draw of a generator begun with it wants no referee */

static bool choose(const verify_party *subject, double draw, verify_choice *choice) {
    verify_candidates c = candidates();
    return verify_choose(subject, 1, &c, false, draw, choice);
}

static void test_full_independence_goes_before_weak_and_the_rules_are_relaxed_in_order(void **state) {
    (void)state;
    /* Beside a subject 1111: from the worst to the best. The site counts as there are several. */
    const char *const better[] = {"2112", "2212", "2122", "2221", "2222"};
    verify_party subject = party_of(999, "1111");
    clear();
    for (size_t i = 0; i < 5; i++) {
        add(better[i], false);
        verify_candidates c = candidates();
        c.several_sites = true;
        for (int draw = 0; draw < 50; draw++) {
            verify_choice choice;
            assert_true(verify_choose(&subject, 1, &c, false, draw / 50.0, &choice));
            assert_int_equal(choice.index, i);
            assert_int_equal(choice.independence, i == 4 ? VERIFY_FULL : VERIFY_WEAK);
            assert_false(choice.referee);
        }
    }
}

static void test_where_there_is_one_site_it_does_not_count(void **state) {
    (void)state;
    verify_party subject = party_of(999, "1111");
    verify_choice choice;
    clear();
    add("2221", false);
    assert_true(choose(&subject, 0.5, &choice));
    assert_int_equal(choice.independence, VERIFY_FULL);
}

static void test_nobody_checks_itself_or_its_owner(void **state) {
    (void)state;
    verify_party subject = party_of(1, "1111");
    verify_choice choice;
    clear();
    add("2222", false); /* id 1: the subject */
    add("1222", false);
    add("0222", false); /* an owner that isn't known may be the same */
    for (int draw = 0; draw < 100; draw++) {
        assert_false(choose(&subject, draw / 100.0, &choice));
    }
}

static void test_what_is_not_known_counts_as_the_same(void **state) {
    (void)state;
    const char *const unknown[] = {"2022", "2202", "2220"};
    verify_party subject = party_of(999, "1111");
    for (size_t i = 0; i < 3; i++) {
        verify_choice choice;
        clear();
        add(unknown[i], false);
        verify_candidates c = candidates();
        c.several_sites = true;
        assert_true(verify_choose(&subject, 1, &c, false, 0.5, &choice));
        assert_int_equal(choice.independence, VERIFY_WEAK);
    }
}

static void test_who_is_not_able_is_not_chosen(void **state) {
    (void)state;
    verify_party subject = party_of(999, "1111");
    verify_choice choice;
    clear();
    add("2222", true);
    add("2222", false);
    add("2122", false);
    here.parties[0].able = false;
    here.parties[1].able = false;
    assert_true(choose(&subject, 0.5, &choice));
    assert_int_equal(choice.index, 2);
    here.parties[2].able = false;
    assert_false(choose(&subject, 0.5, &choice));
}

static void test_all_subjects_count(void **state) {
    (void)state;
    const verify_party subjects[] = {party_of(901, "1111"), party_of(902, "2221")};
    verify_choice choice;
    clear();
    add("2331", false); /* the second one's owner */
    add("3131", false); /* the first one's network */
    add("3331", false);
    verify_candidates c = candidates();
    for (int draw = 0; draw < 50; draw++) {
        assert_true(verify_choose(subjects, 2, &c, false, draw / 50.0, &choice));
        assert_int_equal(choice.index, 2);
        assert_int_equal(choice.independence, VERIFY_FULL);
    }
}

static unsigned referees_among(unsigned draws, const verify_party *subject, uint64_t *random) {
    unsigned count = 0;
    for (unsigned i = 0; i < draws; i++) {
        verify_choice choice;
        assert_true(choose(subject, random_share(random), &choice));
        assert_true(choice.referee == (choice.index < here.referees));
        count += choice.referee ? 1 : 0;
    }
    return count;
}

static void test_a_referee_is_chosen_for_a_third(void **state) {
    (void)state;
    uint64_t random = random_seed();
    verify_party subject = party_of(99999, "1111");
    clear();
    add("3331", true);
    for (int i = 0; i < 500; i++) {
        add("2221", false);
    }
    assert_in_range(referees_among(30000, &subject, &random), 9500, 10500); /* six deviations */
    for (size_t i = 0; i < 501; i++) { /* the same where nobody is fully independent */
        here.parties[i].approver = 1;
    }
    assert_in_range(referees_among(3000, &subject, &random), 840, 1160);
}

static void test_a_referee_may_judge_whoever_it_belongs_to(void **state) {
    (void)state;
    verify_party subject = party_of(999, "1111");
    verify_choice choice;
    clear();
    add("1111", true);
    assert_true(choose(&subject, above_a_third, &choice));
    assert_true(choice.referee);
    assert_int_equal(choice.independence, VERIFY_NONE);
    add("2111", false); /* of another owner at least: goes before */
    for (int draw = 0; draw < 50; draw++) {
        assert_true(choose(&subject, draw / 50.0, &choice));
        assert_int_equal(choice.index, 1);
    }
    verify_candidates c = candidates();
    assert_true(verify_choose(&subject, 1, &c, true, 0.5, &choice));
    assert_int_equal(choice.index, 0);
}

static void test_only_a_referee_is_taken_when_one_is_asked_for(void **state) {
    (void)state;
    verify_party subject = party_of(999, "1111");
    verify_choice choice;
    clear();
    add("2222", true);
    add("3332", false);
    for (int draw = 0; draw < 50; draw++) {
        verify_candidates c = candidates();
        assert_true(verify_choose(&subject, 1, &c, true, draw / 50.0, &choice));
        assert_int_equal(choice.index, 0);
    }
    verify_party itself = here.parties[0];
    verify_candidates c = candidates();
    assert_false(verify_choose(&itself, 1, &c, true, 0.5, &choice));
    here.parties[0].referee = false; /* a list that is wrong makes nobody a referee */
    assert_false(verify_choose(&subject, 1, &c, true, 0.5, &choice));
}

static void test_those_that_are_equal_are_chosen_equally_often(void **state) {
    (void)state;
    enum { WORKERS = 50, DRAWS = 50000 };
    const char *const kinds[] = {"2221", "2211"}; /* found by a probe; found by the whole pass */
    uint64_t random = random_seed();
    verify_party subject = party_of(999, "1111");
    for (size_t kind = 0; kind < 2; kind++) {
        unsigned counts[WORKERS] = {0};
        clear();
        for (int i = 0; i < WORKERS; i++) {
            add(kinds[kind], false);
        }
        for (int i = 0; i < DRAWS; i++) {
            verify_choice choice;
            assert_true(choose(&subject, random_share(&random), &choice));
            counts[choice.index]++;
        }
        for (size_t i = 0; i < WORKERS; i++) {
            assert_in_range(counts[i], DRAWS / WORKERS - 200,
                            DRAWS / WORKERS + 200); /* over six deviations */
        }
    }
}

static void test_a_choice_among_ten_thousand_asks_for_few(void **state) {
    (void)state;
    verify_party subject = party_of(99999, "1111");
    verify_choice choice;
    clear();
    for (int i = 0; i < SITE_MAX; i++) {
        add(i % 2 == 0 ? "2221" : "1111", false);
    }
    for (int draw = 0; draw < 1000; draw++) {
        here.asked = 0;
        assert_true(choose(&subject, draw / 1000.0, &choice));
        assert_in_range(here.asked, 1, VERIFY_PROBES);
    }
}

static void test_nothing_better_is_looked_for_than_a_site_has(void **state) {
    (void)state;
    const struct {
        const char *each;
        bool one_network, one_approver;
    } sites[] = {{"2211", false, true}, {"2121", true, false}, {"2111", true, true}};
    verify_party subject = party_of(99999, "1111");
    verify_choice choice;
    for (size_t i = 0; i < sizeof sites / sizeof sites[0]; i++) {
        clear();
        for (int k = 0; k < SITE_MAX; k++) {
            add(sites[i].each, false);
        }
        verify_candidates c = candidates();
        c.one_network = sites[i].one_network;
        c.one_approver = sites[i].one_approver;
        assert_true(verify_choose(&subject, 1, &c, false, 0.5, &choice));
        assert_int_equal(here.asked, 1);
        assert_int_equal(choice.independence, VERIFY_WEAK);
    }
}

/* The one that has only the network in common goes before those that have the approver in common too. */
static void test_in_one_network_another_approver_is_still_looked_for(void **state) {
    (void)state;
    verify_party subject = party_of(99999, "1111");
    verify_choice choice;
    clear();
    for (int i = 0; i < 2 * VERIFY_PROBES; i++) {
        add(i == 113 ? "2121" : "2111", false);
    }
    verify_candidates c = candidates();
    c.one_network = true;
    for (int draw = 0; draw < 20; draw++) {
        assert_true(verify_choose(&subject, 1, &c, false, draw / 20.0, &choice));
        assert_int_equal(choice.index, 113);
    }
}

static void test_the_one_that_fits_is_found_among_as_many_as_a_pass_takes(void **state) {
    (void)state;
    verify_party subject = party_of(99999, "1111");
    verify_choice choice;
    clear();
    for (int i = 0; i < VERIFY_PASS; i++) {
        add(i == 377 ? "2221" : "1111", false);
    }
    for (int draw = 0; draw < 100; draw++) {
        assert_true(choose(&subject, draw / 100.0, &choice));
        assert_int_equal(choice.index, 377);
    }
}

static void test_the_one_that_fits_among_ten_thousand_is_found_in_the_end_and_no_look_is_long(void **state) {
    (void)state;
    verify_party subject = party_of(99999, "1111");
    verify_choice choice;
    size_t found = 0;
    clear();
    for (int i = 0; i < SITE_MAX; i++) {
        add(i == 7777 ? "2221" : "1111", false);
    }
    for (int draw = 0; draw < 1000; draw++) {
        here.asked = 0;
        if (choose(&subject, draw / 1000.0, &choice)) {
            assert_int_equal(choice.index, 7777);
            found++;
        }
        assert_in_range(here.asked, 1, VERIFY_PROBES + VERIFY_PASS);
    }
    assert_in_range(found, 20, 150); /* of 1000: 64 are to be expected */
}

static void test_without_candidates_there_is_no_choice(void **state) {
    (void)state;
    verify_party subject = party_of(999, "1111");
    verify_choice choice;
    clear();
    verify_candidates c = candidates();
    const double draws[] = {0, 0.5, 1, -1, 1e300};
    for (size_t i = 0; i < 5; i++) {
        assert_false(verify_choose(&subject, 1, &c, false, draws[i], &choice));
        assert_false(verify_choose(&subject, 1, &c, true, draws[i], &choice));
    }
}

/* Slowly: the best class there is among the able. */
static verify_independence best_there_is(const verify_party *subject, bool *someone) {
    verify_independence best = VERIFY_NONE;
    *someone = false;
    for (size_t i = 0; i < here.referees + here.workers; i++) {
        const verify_party *p = &here.parties[i];
        bool other_owner = p->owner.length > 0 && !slice_equal(p->owner, subject->owner);
        if (!p->able || memcmp(p->worker, subject->worker, 16) == 0 || (!other_owner && !p->referee)) {
            continue;
        }
        bool full = other_owner && p->network.length > 0 && !slice_equal(p->network, subject->network) &&
                    p->approver != 0 && p->approver != subject->approver && p->site.length > 0 &&
                    !slice_equal(p->site, subject->site);
        verify_independence class = full ? VERIFY_FULL : other_owner ? VERIFY_WEAK : VERIFY_NONE;
        best = class > best ? class : best;
        *someone = true;
    }
    return best;
}

static void test_among_any_candidates_the_best_class_is_found_unless_a_referee_was_drawn(void **state) {
    (void)state;
    uint64_t random = random_seed();
    for (int round = 0; round < 5000; round++) {
        clear();
        size_t referees = (size_t)random_below(&random, 3);
        size_t count = referees + (size_t)random_below(&random, 80);
        for (size_t i = 0; i < count; i++) {
            char what[4];
            for (size_t k = 0; k < 4; k++) {
                what[k] = (char)('0' + random_below(&random, 3));
            }
            add(what, i < referees);
            here.parties[i].able = random_below(&random, 3) != 0;
        }
        verify_party subject = count > 0 ? here.parties[random_below(&random, count)] : party_of(1, "1111");
        subject.owner = slice_of_text("a");
        subject.network = slice_of_text("a");
        subject.approver = 1;
        subject.site = slice_of_text("a");
        bool someone = false;
        verify_independence best = best_there_is(&subject, &someone);
        verify_candidates c = candidates();
        c.several_sites = true;
        verify_choice choice;
        bool chosen = verify_choose(&subject, 1, &c, false, random_share(&random), &choice);
        assert_true(chosen == someone);
        if (chosen) {
            const verify_party *p = &here.parties[choice.index];
            assert_true(p->able && memcmp(p->worker, subject.worker, 16) != 0);
            assert_true(p->referee == choice.referee);
            assert_true(choice.independence == best ||
                        (choice.referee && choice.independence == VERIFY_WEAK));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_independence_goes_before_weak_and_the_rules_are_relaxed_in_order),
        cmocka_unit_test(test_where_there_is_one_site_it_does_not_count),
        cmocka_unit_test(test_nobody_checks_itself_or_its_owner),
        cmocka_unit_test(test_what_is_not_known_counts_as_the_same),
        cmocka_unit_test(test_who_is_not_able_is_not_chosen),
        cmocka_unit_test(test_all_subjects_count),
        cmocka_unit_test(test_a_referee_is_chosen_for_a_third),
        cmocka_unit_test(test_a_referee_may_judge_whoever_it_belongs_to),
        cmocka_unit_test(test_only_a_referee_is_taken_when_one_is_asked_for),
        cmocka_unit_test(test_those_that_are_equal_are_chosen_equally_often),
        cmocka_unit_test(test_a_choice_among_ten_thousand_asks_for_few),
        cmocka_unit_test(test_nothing_better_is_looked_for_than_a_site_has),
        cmocka_unit_test(test_in_one_network_another_approver_is_still_looked_for),
        cmocka_unit_test(test_the_one_that_fits_is_found_among_as_many_as_a_pass_takes),
        cmocka_unit_test(test_the_one_that_fits_among_ten_thousand_is_found_in_the_end_and_no_look_is_long),
        cmocka_unit_test(test_without_candidates_there_is_no_choice),
        cmocka_unit_test(test_among_any_candidates_the_best_class_is_found_unless_a_referee_was_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
