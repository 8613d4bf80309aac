/* Keys that users make with keys of theirs, and what becomes of them. */
#include "memory_support.h"

typedef struct seen_keys {
    outcome base;
    uint64_t ids[8];
    uint64_t made_with[8];
    bool revoked[8];
    bool opens[8];
} seen_keys;

static void on_keys(void *context, const store_key *keys, size_t count, const error *failure) {
    seen_keys *seen = context;
    keep(&seen->base, failure);
    seen->base.count = count;
    for (size_t i = 0; i < count && i < 8; i++) {
        seen->ids[i] = keys[i].id;
        seen->made_with[i] = keys[i].made_with;
        seen->revoked[i] = keys[i].revoked_ms != 0;
        seen->opens[i] = keys[i].opens_vault;
    }
}

static seen_keys list_keys(void) {
    seen_keys seen = {0};
    assert_true(store_key_list(site, SLICE_LITERAL("ana"), 0, 8, on_keys, &seen, &err));
    assert_int_equal(seen.base.code, ERROR_NONE);
    return seen;
}

static outcome make_key(const char *user, uint8_t seed, uint64_t made_with, size_t live_limit) {
    outcome o = {0};
    store_new_key key = new_key(seed);
    key.made_with = made_with;
    key.live_limit = live_limit;
    assert_true(store_key_add(site, slice_of_text(user), &key, on_user_and_key, &o, &err));
    return o;
}

static void on_ids(void *context, const store_revoked_key *keys, size_t count, const error *failure) {
    outcome *o = context;
    uint64_t ids[8] = {0};
    keep(o, failure);
    o->count = count;
    for (size_t i = 0; i < count && i < 8; i++) {
        ids[i] = keys[i].key_id;
    }
    keep_bytes(o, slice_of(ids, sizeof ids));
}

static outcome revoke_it(const store_key_revocation *wish) {
    outcome o = {0};
    store_key_revocation revocation = *wish;
    revocation.now_ms = NOW_MS;
    assert_true(store_key_revoke(site, &revocation, on_ids, &o, &err));
    return o;
}

static bool has_id(const outcome *o, uint64_t id) {
    uint64_t ids[8];
    memcpy(ids, o->bytes, sizeof ids);
    for (size_t i = 0; i < o->count && i < 8; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

static void on_loaded(void *context, const store_loaded_key *keys, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    o->key_id = count == 0 ? 0 : keys[count - 1].made_with;
}

static void test_a_key_is_known_to_be_made_with_another(void **state) {
    (void)state;
    outcome o = make_key("ana", 2, 1, 0);
    assert_int_equal(o.code, ERROR_NONE);
    reopen();
    seen_keys seen = list_keys();
    assert_int_equal(seen.base.count, 2);
    assert_int_equal(seen.made_with[0], 0);
    assert_int_equal(seen.made_with[1], 1);
    assert_true(store_load_keys(site, on_loaded, &o, &err));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.key_id, 1);
}

static void test_only_a_key_of_the_same_user_that_counts_makes_another(void **state) {
    (void)state;
    outcome bo = add_user("bo", 7);
    assert_int_equal(make_key("ana", 2, bo.key_id, 0).code, ERROR_DENIED);
    assert_int_equal(make_key("ana", 2, 99, 0).code, ERROR_DENIED);
    outcome second = make_key("ana", 2, 1, 0);
    revoke_key(1);
    assert_int_equal(make_key("ana", 3, 1, 0).code, ERROR_DENIED);
    assert_int_equal(make_key("ana", 3, second.key_id, 0).code, ERROR_NONE);
    assert_int_equal(list_keys().base.count, 3);
}

static void test_a_user_makes_no_more_keys_than_may_count_at_once(void **state) {
    (void)state;
    outcome second = make_key("ana", 2, 1, 3);
    assert_int_equal(second.code, ERROR_NONE);
    outcome o = {0};
    store_new_key over = new_key(3);
    over.expires_ms = NOW_MS; /* it has expired, so it doesn't count */
    assert_true(store_key_add(site, SLICE_LITERAL("ana"), &over, on_user_and_key, &o, &err));
    assert_int_equal(make_key("ana", 4, 1, 3).code, ERROR_NONE);
    assert_int_equal(make_key("ana", 5, 1, 3).code, ERROR_CONFLICT);
    assert_int_equal(make_key("ana", 5, 1, 0).code, ERROR_NONE);
    revoke_key(second.key_id);
    assert_int_equal(make_key("ana", 6, 1, 3).code, ERROR_CONFLICT);
    assert_int_equal(make_key("ana", 6, 1, 4).code, ERROR_NONE);
}

static void test_a_revoked_key_takes_those_made_with_it_along_if_that_is_meant(void **state) {
    (void)state;
    uint64_t child = make_key("ana", 2, 1, 0).key_id;
    uint64_t grandchild = make_key("ana", 3, child, 0).key_id;
    uint64_t other = make_key("ana", 4, 0, 0).key_id;
    outcome o = revoke_it(&(store_key_revocation){.key_id = child});
    assert_int_equal(o.count, 1);
    assert_true(has_id(&o, child));
    assert_false(list_keys().revoked[2]);
    o = revoke_it(&(store_key_revocation){.key_id = 1, .with_made = true}); /* by way of one that is gone */
    assert_int_equal(o.count, 2);
    assert_true(has_id(&o, 1));
    assert_true(has_id(&o, grandchild));
    seen_keys seen = list_keys();
    assert_true(seen.revoked[0] && seen.revoked[1] && seen.revoked[2]);
    assert_int_equal(seen.ids[3], other);
    assert_false(seen.revoked[3]);
    o = revoke_it(&(store_key_revocation){.key_id = 1, .with_made = true});
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.count, 1);
}

static void test_the_key_that_is_kept_stays_with_what_was_made_with_it(void **state) {
    (void)state;
    uint64_t thiefs = make_key("ana", 2, 1, 0).key_id;
    uint64_t kept = make_key("ana", 3, 1, 0).key_id;
    uint64_t below = make_key("ana", 4, kept, 0).key_id;
    outcome o = revoke_it(&(store_key_revocation){.key_id = 1, .with_made = true, .kept = kept});
    assert_int_equal(o.count, 2);
    assert_true(has_id(&o, thiefs));
    assert_false(has_id(&o, kept));
    assert_false(has_id(&o, below));
    seen_keys seen = list_keys();
    assert_false(seen.revoked[2] || seen.revoked[3]);
}

static void test_a_user_revokes_no_key_of_anothers(void **state) {
    (void)state;
    outcome bo = add_user("bo", 7);
    store_key_revocation wish = {.key_id = 1, .user_id = bo.user_id, .with_made = true};
    outcome o = revoke_it(&wish);
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_int_equal(o.count, 0);
    assert_false(list_keys().revoked[0]);
}

static void test_the_wraps_of_all_that_are_revoked_go_if_another_key_opens(void **state) {
    (void)state;
    uint64_t child = make_key("ana", 2, 1, 0).key_id;
    uint64_t other = make_key("ana", 3, 0, 0).key_id;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(put_wrap(1, child, 0), ERROR_NONE);
    assert_int_equal(put_wrap(1, other, 0), ERROR_NONE);
    revoke_it(&(store_key_revocation){.key_id = 1, .with_made = true});
    seen_keys seen = list_keys();
    assert_false(seen.opens[0] || seen.opens[1]);
    assert_true(seen.opens[2]);
}

static void test_the_last_wraps_stay_when_all_keys_that_open_are_revoked_at_once(void **state) {
    (void)state;
    uint64_t child = make_key("ana", 2, 1, 0).key_id;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(put_wrap(1, child, 0), ERROR_NONE);
    revoke_it(&(store_key_revocation){.key_id = 1, .with_made = true});
    seen_keys seen = list_keys();
    assert_true(seen.opens[0] || seen.opens[1]);
    uint64_t next = make_key("ana", 3, 0, 0).key_id;
    assert_int_equal(put_wrap(1, next, 0), ERROR_NONE);
    seen = list_keys();
    assert_false(seen.opens[0] || seen.opens[1]);
    assert_true(seen.opens[2]);
}

#define SITE_TEST(test) cmocka_unit_test_setup_teardown(test, open_site, close_site)

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_key_is_known_to_be_made_with_another),
        SITE_TEST(test_only_a_key_of_the_same_user_that_counts_makes_another),
        SITE_TEST(test_a_user_makes_no_more_keys_than_may_count_at_once),
        SITE_TEST(test_a_revoked_key_takes_those_made_with_it_along_if_that_is_meant),
        SITE_TEST(test_the_key_that_is_kept_stays_with_what_was_made_with_it),
        SITE_TEST(test_a_user_revokes_no_key_of_anothers),
        SITE_TEST(test_the_wraps_of_all_that_are_revoked_go_if_another_key_opens),
        SITE_TEST(test_the_last_wraps_stay_when_all_keys_that_open_are_revoked_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
