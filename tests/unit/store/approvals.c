#include "support.h"

#include "store/approvals.h"

/* User 1 "ana" of the site, and others beside her. */
enum { ANA = 1, BEN = 2, CLEO = 3 };

static place here;
static store *site;
static error err;

static int open_site(void **state) {
    (void)state;
    static const char *const names[] = {"ben", "cleo"};
    here = place_make();
    site = open_at(&here, NULL);
    fill_site(site);
    for (uint8_t i = 0; i < 2; i++) {
        store_new_key key = new_key((uint8_t)(50 + i));
        outcome o = {0};
        assert_true(store_user_add(site, slice_of_text(names[i]), SLICE_LITERAL("security_officer"), &key,
                                   on_user_and_key, &o, &err));
        assert_int_equal(o.user_id, BEN + i);
    }
    return 0;
}

static int close_site(void **state) {
    (void)state;
    store_close(site);
    place_remove(&here);
    return 0;
}

typedef struct given {
    outcome base;
    uint64_t id;
    char state[16];
    char decider[16];
} given;

static void on_given(void *context, const store_approval *a, const error *failure) {
    given *g = context;
    keep(&g->base, failure);
    assert_int_equal(a == NULL, failure != NULL);
    if (a != NULL) {
        g->id = a->id;
        snprintf(g->state, sizeof g->state, "%.*s", SLICE_FORMAT(a->state));
        snprintf(g->decider, sizeof g->decider, "%.*s", SLICE_FORMAT(a->decider));
        keep_bytes(&g->base, a->request);
    }
}

static const slice exact = SLICE_LITERAL("{\"exactly\":\"this\"}");

static uint64_t ask(uint64_t user) {
    given g = {0};
    store_approval a = {.kind = SLICE_LITERAL("enrolment"),
                        .request = exact,
                        .requested_by = user,
                        .requested_ms = NOW_MS,
                        .expires_ms = NOW_MS + 1000};
    memset(a.request_hash, 7, sizeof a.request_hash);
    assert_true(store_approval_add(site, &a, on_given, &g, &err));
    return g.base.code == ERROR_NONE ? g.id : 0;
}

static error_code decide(uint64_t id, slice request, uint64_t user, uint64_t now, bool approve) {
    given g = {0};
    const store_approval_act act = {.id = id, .request = request, .user_id = user, .now_ms = now};
    assert_true(store_approval_decide(site, &act, approve, on_given, &g, &err));
    assert_int_equal(g.base.calls, 1);
    return g.base.code;
}

static error_code use(uint64_t id, slice request, uint64_t user, uint64_t now) {
    given g = {0};
    const store_approval_act act = {.id = id, .request = request, .user_id = user, .now_ms = now};
    assert_true(store_approval_use(site, &act, on_given, &g, &err));
    return g.base.code;
}

static given look(uint64_t id) {
    given g = {0};
    assert_true(store_approval_get(site, id, on_given, &g, &err));
    return g;
}

static void test_another_person_approves_and_it_is_used_once(void **state) {
    (void)state;
    uint64_t id = ask(ANA);
    assert_string_equal(look(id).state, "waiting");
    assert_int_equal(use(id, exact, ANA, NOW_MS), ERROR_CONFLICT);
    assert_int_equal(decide(id, exact, BEN, NOW_MS, true), ERROR_NONE);
    given g = look(id);
    assert_string_equal(g.state, "approved");
    assert_string_equal(g.decider, "ben");
    assert_memory_equal(g.base.bytes, exact.data, exact.length);
    assert_int_equal(use(id, exact, ANA, NOW_MS), ERROR_NONE);
    assert_string_equal(look(id).state, "used");
    assert_int_equal(use(id, exact, ANA, NOW_MS), ERROR_CONFLICT);
    assert_int_equal(decide(id, exact, BEN, NOW_MS, false), ERROR_CONFLICT);
}

static void test_who_asks_does_not_approve(void **state) {
    (void)state;
    uint64_t id = ask(ANA);
    assert_int_equal(decide(id, exact, ANA, NOW_MS, true), ERROR_DENIED);
    assert_string_equal(look(id).state, "waiting");
    assert_int_equal(decide(id, exact, ANA, NOW_MS, false), ERROR_NONE); /* but may take it back */
    assert_int_equal(decide(id, exact, BEN, NOW_MS, true), ERROR_CONFLICT);
}

/* Not even by who writes to the database beside the program. */
static void test_the_table_itself_refuses_approval_by_who_asked(void **state) {
    (void)state;
    uint64_t id = ask(ANA);
    store_close(site);
    outside writer = outside_open(&here);
    assert_false(outside_changes(&writer,
                                 "UPDATE approvals SET state = 'approved', decided_by = requested_by, "
                                 "decided_ms = 1"));
    outside_close(&writer);
    site = open_at(&here, NULL);
    assert_string_equal(look(id).state, "waiting");
}

static void test_other_bytes_are_neither_approved_nor_used(void **state) {
    (void)state;
    slice other = SLICE_LITERAL("{\"exactly\":\"that\"}");
    uint64_t id = ask(ANA);
    assert_int_equal(decide(id, other, BEN, NOW_MS, true), ERROR_CONFLICT);
    assert_int_equal(decide(id, (slice){NULL, 0}, BEN, NOW_MS, true), ERROR_CONFLICT);
    assert_int_equal(decide(id, exact, BEN, NOW_MS, true), ERROR_NONE);
    assert_int_equal(use(id, other, ANA, NOW_MS), ERROR_CONFLICT);
    assert_int_equal(use(id, exact, BEN, NOW_MS), ERROR_DENIED);
    assert_int_equal(use(id, exact, ANA, NOW_MS), ERROR_NONE);
}

static void test_a_request_expires(void **state) {
    (void)state;
    uint64_t id = ask(ANA);
    assert_int_equal(decide(id, exact, BEN, NOW_MS + 1000, true), ERROR_CONFLICT);
    assert_int_equal(decide(id, exact, BEN, NOW_MS + 999, true), ERROR_NONE);
    assert_int_equal(use(id, exact, ANA, NOW_MS + 1000), ERROR_CONFLICT);
    assert_int_equal(use(id, exact, ANA, NOW_MS + 999), ERROR_NONE);
}

static void on_disabled(void *context, uint64_t user_id, const error *failure) {
    (void)user_id;
    keep(context, failure);
}

static void disable(slice name) {
    outcome o = {0};
    assert_true(store_user_disable(site, name, on_disabled, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void test_what_was_approved_by_who_was_shut_out_since_is_not_used(void **state) {
    (void)state;
    uint64_t id = ask(ANA);
    assert_int_equal(decide(id, exact, BEN, NOW_MS, true), ERROR_NONE);
    disable(SLICE_LITERAL("ben"));
    assert_int_equal(use(id, exact, ANA, NOW_MS), ERROR_DENIED);
    assert_string_equal(look(id).state, "approved");
}

static void test_one_person_cannot_fill_the_table(void **state) {
    (void)state;
    for (int i = 0; i < STORE_APPROVALS_WAITING_MAX; i++) {
        assert_int_not_equal(ask(ANA), 0);
    }
    assert_int_equal(ask(ANA), 0);
    assert_int_not_equal(ask(CLEO), 0);
    assert_int_equal(decide(1, exact, BEN, NOW_MS, false), ERROR_NONE);
    assert_int_not_equal(ask(ANA), 0);
}

static void test_what_is_out_of_bounds_is_refused(void **state) {
    (void)state;
    static uint8_t long_bytes[STORE_APPROVAL_REQUEST_MAX + 1];
    given g = {0};
    store_approval good = {.kind = SLICE_LITERAL("k"),
                           .request = exact,
                           .requested_by = ANA,
                           .requested_ms = 1,
                           .expires_ms = 2};
    store_approval bad[] = {good, good, good, good};
    bad[0].kind = SLICE_LITERAL("");
    bad[1].request = slice_of(long_bytes, 0);
    bad[2].request = slice_of(long_bytes, sizeof long_bytes);
    bad[3].expires_ms = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(store_approval_add(site, &bad[i], on_given, &g, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    assert_int_equal(g.base.calls, 0);
    assert_int_equal(look(1).base.code, ERROR_NOT_FOUND);
}

typedef struct listed {
    outcome base;
    uint64_t ids[8];
} listed;

static void on_listed(void *context, const store_approval *approvals, size_t count, const error *failure) {
    listed *l = context;
    keep(&l->base, failure);
    l->base.count = count;
    for (size_t i = 0; i < count && i < 8; i++) {
        l->ids[i] = approvals[i].id;
    }
}

static void test_lists_begin_with_the_newest(void **state) {
    (void)state;
    listed l = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(i == 1 ? CLEO : ANA), i + 1);
    }
    assert_int_equal(decide(3, exact, BEN, NOW_MS, false), ERROR_NONE);
    assert_true(store_approval_list(site, 0, 0, 0, 10, on_listed, &l, &err));
    assert_int_equal(l.base.count, 3);
    assert_int_equal(l.ids[0], 3);
    assert_true(store_approval_list(site, ANA, 0, 0, 10, on_listed, &l, &err));
    assert_int_equal(l.base.count, 2);
    assert_int_equal(l.ids[1], 1);
    assert_true(store_approval_list(site, 0, NOW_MS, 0, 10, on_listed, &l, &err));
    assert_int_equal(l.base.count, 2);
    assert_int_equal(l.ids[0], 2);
    assert_true(store_approval_list(site, 0, NOW_MS + 1000, 0, 10, on_listed, &l, &err));
    assert_int_equal(l.base.count, 0);
    assert_true(store_approval_list(site, 0, 0, 2, 10, on_listed, &l, &err));
    assert_int_equal(l.base.count, 1);
    assert_int_equal(l.ids[0], 1);
}

static store_join_token token_of(uint8_t seed, uint64_t approval, slice request) {
    store_join_token token = new_join_token(seed, ANA);
    token.approval = approval;
    token.request = request;
    token.now_ms = NOW_MS;
    return token;
}

static error_code add_token(const store_join_token *token) {
    outcome o = {0};
    assert_true(store_join_token_add(site, token, on_done, &o, &err));
    return o.code;
}

static store_worker enrolled;

static void on_worker(void *context, const store_worker *worker, const error *failure) {
    keep(context, failure);
    enrolled = worker == NULL ? (store_worker){.id = {0}} : *worker;
}

static error_code enrol(const store_enrolment *enrolment) {
    outcome o = {0};
    assert_true(store_join_token_consume(site, enrolment, on_worker, &o, &err));
    return o.code;
}

static void test_a_token_is_made_of_an_approval_once_and_names_it_on_the_worker(void **state) {
    (void)state;
    uint64_t id = ask(ANA);
    store_join_token token = token_of(2, id, exact);
    assert_int_equal(add_token(&token), ERROR_CONFLICT); /* nobody has approved it */
    assert_int_equal(decide(id, exact, BEN, NOW_MS, true), ERROR_NONE);
    store_join_token altered = token_of(2, id, SLICE_LITERAL("other"));
    assert_int_equal(add_token(&altered), ERROR_CONFLICT);
    assert_int_equal(add_token(&token), ERROR_NONE);
    store_join_token second = token_of(3, id, exact);
    assert_int_equal(add_token(&second), ERROR_CONFLICT);
    store_enrolment enrolment = new_enrolment(2, 6);
    enrolment.needs_approval = true;
    assert_int_equal(enrol(&enrolment), ERROR_NONE);
    assert_int_equal(enrolled.requested_by, ANA);
    assert_int_equal(enrolled.approved_by, BEN);
    assert_int_equal(enrolled.approval, id);
}

static void test_a_token_dies_with_the_account_of_who_approved_it(void **state) {
    (void)state;
    uint64_t id = ask(ANA);
    assert_int_equal(decide(id, exact, BEN, NOW_MS, true), ERROR_NONE);
    store_join_token token = token_of(2, id, exact);
    assert_int_equal(add_token(&token), ERROR_NONE);
    disable(SLICE_LITERAL("ben"));
    store_enrolment enrolment = new_enrolment(2, 6);
    assert_int_equal(enrol(&enrolment), ERROR_DENIED);
}

static void test_a_token_without_approval_gives_nothing_where_one_is_needed(void **state) {
    (void)state;
    store_join_token token = new_join_token(2, ANA);
    assert_int_equal(add_token(&token), ERROR_NONE);
    store_enrolment enrolment = new_enrolment(2, 6);
    enrolment.needs_approval = true;
    assert_int_equal(enrol(&enrolment), ERROR_DENIED);
    enrolment.needs_approval = false;
    assert_int_equal(enrol(&enrolment), ERROR_NONE);
    assert_int_equal(enrolled.approved_by, ANA);
    assert_int_equal(enrolled.approval, 0);
}

static void test_a_token_binds_class_and_end(void **state) {
    (void)state;
    store_join_token token = new_join_token(2, ANA);
    token.class_name = SLICE_LITERAL("gpu");
    token.contractor = true;
    token.worker_expires_ms = NOW_MS + 5;
    assert_int_equal(add_token(&token), ERROR_NONE);
    store_enrolment enrolment = new_enrolment(2, 6);
    assert_int_equal(enrol(&enrolment), ERROR_DENIED); /* says cpu */
    enrolment.class_name = SLICE_LITERAL("gpu");
    enrolment.now_ms = NOW_MS + 5;
    assert_int_equal(enrol(&enrolment), ERROR_DENIED);
    enrolment.now_ms = NOW_MS + 4;
    assert_int_equal(enrol(&enrolment), ERROR_NONE);
    assert_true(enrolled.contractor);
    assert_int_equal(enrolled.expires_ms, NOW_MS + 5);
}

static void test_a_suspected_key_is_not_enrolled_anew(void **state) {
    (void)state;
    outcome o = {0};
    uint8_t id[STORE_WORKER_ID_SIZE];
    uint8_t machine[STORE_MACHINE_SIZE];
    memset(id, 1, sizeof id);
    memset(machine, 9, sizeof machine);
    assert_true(store_worker_set_machine(site, id, machine, on_done, &o, &err));
    assert_true(store_worker_suspect(site, id, NOW_MS, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    store_join_token token = new_join_token(2, ANA);
    assert_int_equal(add_token(&token), ERROR_NONE);
    store_enrolment enrolment = new_enrolment(2, 1);
    assert_int_equal(enrol(&enrolment), ERROR_DENIED);
    assert_true(store_worker_trust(site, id, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(enrol(&enrolment), ERROR_NONE);
    assert_int_equal(enrolled.suspected_ms, 0);
    assert_false(enrolled.has_machine); /* it may come from any next */
}

static bool try_approval(int number) {
    given g = {0};
    store_approval a = {.kind = SLICE_LITERAL("k"),
                        .request = exact,
                        .requested_by = ANA,
                        .requested_ms = NOW_MS + (uint64_t)number * 10,
                        .expires_ms = NOW_MS + (uint64_t)number * 10 + 1};
    bool accepted = store_approval_add(site, &a, on_given, &g, &err);
    return accepted && g.base.code == ERROR_NONE;
}

static void test_each_failing_allocation_leaves_no_half_written_approval(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        uint64_t before = ask(CLEO);
        assert_int_equal(decide(before, exact, BEN, NOW_MS, false), ERROR_NONE);
        fault_fail_nth(nth);
        bool added = try_approval(nth);
        reached = fault_stop();
        assert_true(added || reached);
        uint64_t after = ask(CLEO);
        assert_int_equal(after - before, added ? 2 : 1);
        assert_int_equal(decide(after, exact, BEN, NOW_MS, true), ERROR_NONE);
        fault_fail_nth(nth);
        outcome o = {0};
        store_join_token token = token_of(2, after, exact);
        memcpy(token.id, &after, sizeof after);
        token.created_by = CLEO;
        bool queued = store_join_token_add(site, &token, on_done, &o, &err);
        reached = fault_stop() || reached;
        bool made = queued && o.code == ERROR_NONE;
        assert_string_equal(look(after).state, made ? "used" : "approved");
    }
}

#define APPROVAL_TEST(name) cmocka_unit_test_setup_teardown(name, open_site, close_site)

int main(void) {
    const struct CMUnitTest tests[] = {
        APPROVAL_TEST(test_another_person_approves_and_it_is_used_once),
        APPROVAL_TEST(test_who_asks_does_not_approve),
        APPROVAL_TEST(test_the_table_itself_refuses_approval_by_who_asked),
        APPROVAL_TEST(test_other_bytes_are_neither_approved_nor_used),
        APPROVAL_TEST(test_a_request_expires),
        APPROVAL_TEST(test_what_was_approved_by_who_was_shut_out_since_is_not_used),
        APPROVAL_TEST(test_one_person_cannot_fill_the_table),
        APPROVAL_TEST(test_what_is_out_of_bounds_is_refused),
        APPROVAL_TEST(test_lists_begin_with_the_newest),
        APPROVAL_TEST(test_a_token_is_made_of_an_approval_once_and_names_it_on_the_worker),
        APPROVAL_TEST(test_a_token_dies_with_the_account_of_who_approved_it),
        APPROVAL_TEST(test_a_token_without_approval_gives_nothing_where_one_is_needed),
        APPROVAL_TEST(test_a_token_binds_class_and_end),
        APPROVAL_TEST(test_a_suspected_key_is_not_enrolled_anew),
        APPROVAL_TEST(test_each_failing_allocation_leaves_no_half_written_approval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
