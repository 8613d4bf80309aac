#include "store/revocations.h"

#include "site_support.h"

typedef struct told {
    outcome o;
    store_revoked revoked;
    uint64_t key_id;
    char user[STORE_NAME_MAX + 1];
} told;

static void on_revoked(void *context, const store_revoked *revoked, const store_loaded_key *back,
                       const error *failure) {
    told *t = context;
    keep(&t->o, failure);
    t->revoked = *revoked;
    t->key_id = back == NULL ? 0 : back->key_id;
    snprintf(t->user, sizeof t->user, "%.*s", SLICE_FORMAT(back == NULL ? (slice){0} : back->user_name));
}

static void on_disabled(void *context, uint64_t user_id, const error *failure) {
    (void)user_id;
    keep(context, failure);
}

static void enrol(uint8_t seed, const char *owner, bool use) {
    outcome o = {0};
    store_join_token token = new_join_token(seed, 1);
    store_enrolment enrolment = new_enrolment(seed, seed);
    token.owner = slice_of_text(owner);
    assert_true(store_join_token_add(site, &token, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    if (use) {
        assert_true(store_join_token_consume(site, &enrolment, on_enrolled, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
}

static void count_live(void *context, const store_worker *workers, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = 0;
    for (size_t i = 0; i < count; i++) {
        o->count += workers[i].revoked_ms == 0;
    }
}

static size_t live_workers(void) {
    outcome o = {0};
    assert_true(store_load_workers(site, count_live, &o, &err));
    return o.count;
}

static void count_keys(void *context, const store_loaded_key *keys, size_t count, const error *failure) {
    (void)keys;
    outcome *o = context;
    keep(o, failure);
    o->count = count;
}

static size_t live_keys(void) {
    outcome o = {0};
    assert_true(store_load_keys(site, count_keys, &o, &err));
    return o.count;
}

static error_code consume(uint8_t seed) {
    outcome o = {0};
    store_enrolment enrolment = new_enrolment(seed, (uint8_t)(seed + 100));
    enrolment.now_ms = NOW_MS + 10;
    assert_true(store_join_token_consume(site, &enrolment, on_enrolled, &o, &err));
    return o.code;
}

static void test_an_owners_workers_and_tokens_end_and_nobody_elses(void **state) {
    (void)state;
    told t = {0};
    enrol(2, "Ana", true); /* with the site's own, two of hers */
    enrol(3, "Ana", false);
    enrol(4, "Bo", true);
    enrol(5, "Bo", false);
    assert_true(store_revoke_owner(site, SLICE_LITERAL("Ana"), NOW_MS + 5, on_revoked, &t, &err));
    assert_int_equal(t.o.code, ERROR_NONE);
    assert_int_equal(t.revoked.workers, 2);
    assert_int_equal(t.revoked.join_tokens, 1);
    assert_int_equal(t.revoked.keys, 0);
    assert_int_equal(t.key_id, 0);
    reopen();
    assert_int_equal(live_workers(), 1);
    assert_int_equal(live_keys(), 1);
    assert_int_equal(consume(3), ERROR_DENIED);
    assert_int_equal(consume(5), ERROR_NONE);
    assert_true(store_revoke_owner(site, SLICE_LITERAL("Ana"), NOW_MS + 6, on_revoked, &t, &err));
    assert_int_equal(t.o.code, ERROR_NONE);
    assert_int_equal(t.revoked.workers + t.revoked.join_tokens, 0);
}

static void test_an_owner_of_nothing_is_not_found(void **state) {
    (void)state;
    told t = {0};
    assert_true(store_revoke_owner(site, SLICE_LITERAL("Nobody"), NOW_MS, on_revoked, &t, &err));
    assert_int_equal(t.o.code, ERROR_NOT_FOUND);
    assert_false(store_revoke_owner(site, SLICE_LITERAL(""), NOW_MS, on_revoked, &t, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(store_revoke_owner(site, SLICE_LITERAL("Ana"), 0, on_revoked, &t, &err));
    assert_int_equal(err.code, ERROR_INVALID);
}

static void test_everything_ends_but_one_new_key(void **state) {
    (void)state;
    told t = {0};
    outcome o = {0};
    store_new_key more = new_key(7);
    store_new_key back = new_key(9);
    assert_true(store_key_add(site, SLICE_LITERAL("ana"), &more, on_user_and_key, &o, &err));
    enrol(2, "Bo", true);
    enrol(3, "Bo", false);
    assert_true(store_revoke_everything(site, 1, &back, NOW_MS + 5, on_revoked, &t, &err));
    assert_int_equal(t.o.code, ERROR_NONE);
    assert_int_equal(t.revoked.workers, 2);
    assert_int_equal(t.revoked.keys, 2);
    assert_int_equal(t.revoked.join_tokens, 1);
    assert_int_equal(t.key_id, o.key_id + 1);
    assert_string_equal(t.user, "ana");
    reopen();
    assert_int_equal(live_workers(), 0);
    assert_int_equal(live_keys(), 1);
    assert_int_equal(consume(3), ERROR_DENIED);
}

static void test_everything_or_nothing(void **state) {
    (void)state;
    told t = {0};
    outcome o = {0};
    store_new_key back = new_key(1); /* the hash of a key that exists */
    assert_true(store_revoke_everything(site, 1, &back, NOW_MS, on_revoked, &t, &err));
    assert_int_equal(t.o.code, ERROR_CONFLICT);
    assert_int_equal(t.revoked.workers + t.revoked.keys, 0);
    back = new_key(9);
    assert_true(store_revoke_everything(site, 99, &back, NOW_MS, on_revoked, &t, &err));
    assert_int_equal(t.o.code, ERROR_NOT_FOUND);
    assert_int_equal(live_workers(), 1);
    assert_int_equal(live_keys(), 1);
    assert_true(store_user_disable(site, SLICE_LITERAL("ana"), on_disabled, &o, &err));
    assert_true(store_revoke_everything(site, 1, &back, NOW_MS, on_revoked, &t, &err));
    assert_int_equal(t.o.code, ERROR_NOT_FOUND);
    assert_int_equal(live_workers(), 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_an_owners_workers_and_tokens_end_and_nobody_elses),
        SITE_TEST(test_an_owner_of_nothing_is_not_found),
        SITE_TEST(test_everything_ends_but_one_new_key),
        SITE_TEST(test_everything_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
