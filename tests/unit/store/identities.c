/* Whom a provider knows here, and whom it shuts out. */
#include "site_support.h"

#include "store/sessions.h"

#define ISSUER SLICE_LITERAL("https://login.example")

typedef struct found {
    outcome o;
    size_t count;
    size_t total;
    uint64_t user_id;
    char user[STORE_NAME_MAX + 1];
    char subject[32];
    bool active;
} found;

static void on_person(void *context, const store_known_person *person, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    f->user_id = person == NULL ? 0 : person->user_id;
}

static found log_in(slice issuer, const char *name) {
    found f = {0};
    store_person person = {.issuer = issuer,
                           .subject = slice_of_text(name),
                           .name = slice_of_text(name),
                           .role = SLICE_LITERAL("employee"),
                           .now_ms = NOW_MS};
    assert_true(store_person_log_in(site, &person, on_person, &f, &err));
    return f;
}

static void on_listed(void *context, const store_identity *identities, size_t count, size_t total,
                      const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    f->count = count;
    f->total = total;
    if (count > 0) {
        f->user_id = identities[0].user_id;
        f->active = identities[0].active;
        snprintf(f->user, sizeof f->user, "%.*s", SLICE_FORMAT(identities[0].user_name));
        snprintf(f->subject, sizeof f->subject, "%.*s", SLICE_FORMAT(identities[0].subject));
    }
}

static found list(store_identity_choice choice) {
    found f = {0};
    choice.issuer = choice.issuer.length == 0 ? ISSUER : choice.issuer;
    choice.limit = choice.limit == 0 ? 10 : choice.limit;
    if (!store_identity_list(site, &choice, on_listed, &f, &err)) {
        f.o.code = err.code;
    }
    return f;
}

static error_code set_active(slice issuer, uint64_t user_id, bool active) {
    outcome o = {0};
    assert_true(store_identity_set_active(site, issuer, user_id, active, NOW_MS, on_done, &o, &err));
    return o.code;
}

static void on_user_id(void *context, uint64_t user_id, const error *failure) {
    (void)user_id;
    keep(context, failure);
}

static void on_keys(void *context, const store_loaded_key *keys, size_t count, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    (void)keys;
    f->count = count;
}

static size_t key_count(void) {
    found f = {0};
    assert_true(store_load_keys(site, on_keys, &f, &err));
    return f.count;
}

static void on_sessions(void *context, const store_session *sessions, size_t count, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    (void)sessions;
    f->count = count;
}

static size_t session_count(void) {
    found f = {0};
    assert_true(store_load_sessions(site, on_sessions, &f, &err));
    return f.count;
}

static void on_added(void *context, const store_session *session, const error *failure) {
    (void)session;
    keep(context, failure);
}

static error_code add_session(uint64_t user_id, uint8_t seed) {
    outcome o = {0};
    store_new_session session = {.user_id = user_id,
                                 .issuer = ISSUER,
                                 .subject = SLICE_LITERAL("s"),
                                 .created_ms = NOW_MS,
                                 .expires_ms = NOW_MS + 3600000};
    memset(session.id, seed, sizeof session.id);
    assert_true(store_session_add(site, &session, on_added, &o, &err));
    return o.code;
}

static void on_key(void *context, const store_loaded_key *key, const error *failure) {
    (void)key;
    keep(context, failure);
}

static void add_key(const char *user) {
    outcome o = {0};
    store_new_key key = {.created_ms = NOW_MS};
    memset(key.token_hash, 0x77, sizeof key.token_hash);
    assert_true(store_key_add(site, slice_of_text(user), &key, on_key, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void test_a_provider_lists_its_own_people(void **state) {
    (void)state;
    uint64_t dora = log_in(ISSUER, "dora").user_id;
    log_in(ISSUER, "emil");
    log_in(SLICE_LITERAL("https://other.example"), "fred");
    found f = list((store_identity_choice){.limit = 1});
    assert_int_equal(f.count, 1);
    assert_int_equal(f.total, 2);
    assert_string_equal(f.user, "dora");
    f = list((store_identity_choice){.skip = 1});
    assert_int_equal(f.count, 1);
    assert_string_equal(f.user, "emil");
    assert_int_equal(list((store_identity_choice){.user_id = dora}).count, 1);
    assert_string_equal(list((store_identity_choice){.user_name = SLICE_LITERAL("emil")}).user, "emil");
    assert_string_equal(list((store_identity_choice){.subject = SLICE_LITERAL("emil")}).subject, "emil");
    assert_int_equal(list((store_identity_choice){.user_name = SLICE_LITERAL("fred")}).count, 0);
    assert_int_equal(list((store_identity_choice){.user_id = 1}).count, 0); /* has keys alone */
    assert_int_equal(list((store_identity_choice){.limit = STORE_LIST_MAX + 1}).o.code, ERROR_INVALID);
}

static void test_who_is_shut_out_by_the_provider_loses_all_and_may_come_back_to_nothing(void **state) {
    (void)state;
    size_t keys = key_count();
    uint64_t dora = log_in(ISSUER, "dora").user_id;
    add_key("dora");
    assert_int_equal(key_count(), keys + 1);
    assert_int_equal(add_session(dora, 1), ERROR_NONE);
    assert_int_equal(session_count(), 1);
    assert_int_equal(set_active(ISSUER, dora, false), ERROR_NONE);
    assert_int_equal(session_count(), 0);
    assert_int_equal(key_count(), keys);
    assert_int_equal(add_session(dora, 2), ERROR_DENIED);
    assert_int_equal(log_in(ISSUER, "dora").o.code, ERROR_DENIED);
    assert_false(list((store_identity_choice){.user_id = dora}).active);
    assert_int_equal(set_active(ISSUER, dora, false), ERROR_NONE);
    assert_int_equal(set_active(ISSUER, dora, true), ERROR_NONE);
    assert_true(list((store_identity_choice){.user_id = dora}).active);
    assert_int_equal(log_in(ISSUER, "dora").o.code, ERROR_NONE);
    assert_int_equal(session_count(), 0);
    assert_int_equal(key_count(), keys);
    assert_int_equal(add_session(dora, 3), ERROR_NONE);
}

static void test_who_is_shut_out_by_an_admin_stays_out(void **state) {
    (void)state;
    outcome o = {0};
    uint64_t dora = log_in(ISSUER, "dora").user_id;
    uint64_t emil = log_in(ISSUER, "emil").user_id;
    assert_true(store_user_disable(site, SLICE_LITERAL("dora"), on_user_id, &o, &err));
    assert_int_equal(set_active(ISSUER, dora, false), ERROR_NONE);
    assert_int_equal(set_active(ISSUER, emil, false), ERROR_NONE);
    assert_true(store_user_disable(site, SLICE_LITERAL("emil"), on_user_id, &o, &err));
    assert_int_equal(set_active(ISSUER, dora, true), ERROR_NONE);
    assert_int_equal(set_active(ISSUER, emil, true), ERROR_NONE);
    assert_false(list((store_identity_choice){.user_id = dora}).active);
    assert_false(list((store_identity_choice){.user_id = emil}).active);
    assert_int_equal(log_in(ISSUER, "emil").o.code, ERROR_DENIED);
}

static void test_no_provider_shuts_out_another_s_people(void **state) {
    (void)state;
    uint64_t dora = log_in(ISSUER, "dora").user_id;
    size_t keys = key_count();
    assert_int_equal(set_active(SLICE_LITERAL("https://other.example"), dora, false), ERROR_NOT_FOUND);
    assert_int_equal(set_active(ISSUER, 1, false), ERROR_NOT_FOUND);
    assert_int_equal(set_active(ISSUER, 4711, false), ERROR_NOT_FOUND);
    assert_int_equal(key_count(), keys);
    assert_true(list((store_identity_choice){.user_id = dora}).active);
}

static void test_each_failed_allocation_changes_nothing(void **state) {
    (void)state;
    uint64_t dora = log_in(ISSUER, "dora").user_id;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        outcome o = {0};
        fault_fail_nth(nth);
        if (!store_identity_set_active(site, ISSUER, dora, false, NOW_MS, on_done, &o, &err)) {
            o.code = err.code;
        }
        reached = fault_stop();
        assert_true(!reached || o.code == ERROR_NONE || o.code == ERROR_MEMORY);
        assert_int_equal(list((store_identity_choice){.user_id = dora}).active, o.code != ERROR_NONE);
        assert_int_equal(set_active(ISSUER, dora, true), ERROR_NONE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_provider_lists_its_own_people),
        SITE_TEST(test_who_is_shut_out_by_the_provider_loses_all_and_may_come_back_to_nothing),
        SITE_TEST(test_who_is_shut_out_by_an_admin_stays_out),
        SITE_TEST(test_no_provider_shuts_out_another_s_people),
        SITE_TEST(test_each_failed_allocation_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
