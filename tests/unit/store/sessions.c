/* Sessions and the keys of their tokens. */
#include "site_support.h"

#include "store/sessions.h"

typedef struct found {
    outcome o;
    store_refresh result;
    size_t count;
    uint8_t first[STORE_SESSION_ID_SIZE];
    uint64_t user_id;
    uint64_t key_id;
    char user[STORE_NAME_MAX + 1];
    char mode[16];
    char subject[32];
    char sealed[32];
} found;

static void keep_session(found *f, const store_session *session) {
    memcpy(f->first, session->id, sizeof f->first);
    f->user_id = session->user_id;
    f->key_id = session->key_id;
    snprintf(f->user, sizeof f->user, "%.*s", SLICE_FORMAT(session->user_name));
    snprintf(f->mode, sizeof f->mode, "%.*s", SLICE_FORMAT(session->verify_mode));
    snprintf(f->subject, sizeof f->subject, "%.*s", SLICE_FORMAT(session->subject));
}

static void on_added(void *context, const store_session *session, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    if (session != NULL) {
        keep_session(f, session);
    }
}

static void on_refreshed(void *context, store_refresh result, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    f->result = result;
}

static void on_loaded(void *context, const store_session *sessions, size_t count, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    f->count = count;
    if (count > 0) {
        keep_session(f, &sessions[0]);
    }
}

static void on_deleted(void *context, size_t count, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    f->count = count;
}

static void on_keys(void *context, const store_session_key *keys, size_t count, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    f->count = count;
    if (count > 0) {
        memcpy(f->first, keys[0].id, sizeof f->first);
        snprintf(f->sealed, sizeof f->sealed, "%.*s", SLICE_FORMAT(keys[0].sealed));
    }
}

static void on_user_id(void *context, uint64_t user_id, const error *failure) {
    (void)user_id;
    keep(context, failure);
}

static void on_revoked(void *context, const store_revoked_key *keys, size_t count, const error *failure) {
    (void)keys;
    (void)count;
    keep(context, failure);
}

/* Of user 1 and its key 1, which fill_site makes. */
static store_new_session new_session(uint8_t seed, bool by_provider) {
    store_new_session session = {
        .user_id = 1, .key_id = 1, .created_ms = NOW_MS + seed, .expires_ms = NOW_MS + 3600000};
    memset(session.id, seed, sizeof session.id);
    memset(session.refresh_hash, seed, sizeof session.refresh_hash);
    if (by_provider) {
        session.key_id = 0;
        session.issuer = SLICE_LITERAL("https://login.example");
        session.subject = SLICE_LITERAL("subject-1");
        session.provider_session = SLICE_LITERAL("sid-1");
    }
    return session;
}

static found add(const store_new_session *session) {
    found f = {0};
    if (!store_session_add(site, session, on_added, &f, &err)) {
        f.o.code = err.code;
    }
    return f;
}

static store_refresh refresh(uint8_t seed, uint8_t from, uint8_t to, uint64_t at_ms) {
    found f = {0};
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint8_t before[STORE_HASH_SIZE];
    uint8_t after[STORE_HASH_SIZE];
    memset(id, seed, sizeof id);
    memset(before, from, sizeof before);
    memset(after, to, sizeof after);
    assert_true(store_session_refresh(site, id, before, after, at_ms, on_refreshed, &f, &err));
    assert_int_equal(f.o.calls, 1);
    assert_int_equal(f.o.code, ERROR_NONE);
    return f.result;
}

static found load(void) {
    found f = {0};
    assert_true(store_load_sessions(site, on_loaded, &f, &err));
    assert_int_equal(f.o.code, ERROR_NONE);
    return f;
}

static void end(const store_session_choice *choice) {
    outcome o = {0};
    assert_true(store_sessions_end(site, choice, NOW_MS, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void test_a_session_is_kept_with_whose_it_is(void **state) {
    (void)state;
    store_new_session session = new_session(9, false);
    found f = add(&session);
    assert_int_equal(f.o.code, ERROR_NONE);
    assert_int_equal(f.user_id, 1);
    assert_string_equal(f.mode, "off");
    reopen();
    f = load();
    assert_int_equal(f.count, 1);
    assert_memory_equal(f.first, session.id, sizeof session.id);
    assert_int_equal(f.key_id, 1);
    assert_true(f.user[0] != '\0');
    assert_int_equal(add(&session).o.code, ERROR_CONFLICT);
}

static void test_a_session_needs_a_key_or_a_provider_and_a_person(void **state) {
    (void)state;
    store_new_session session = new_session(9, true);
    found f = add(&session);
    assert_int_equal(f.o.code, ERROR_NONE);
    assert_int_equal(f.key_id, 0);
    assert_string_equal(f.subject, "subject-1");
    session.subject = (slice){NULL, 0};
    assert_int_equal(add(&session).o.code, ERROR_INVALID);
    session = new_session(10, false);
    session.key_id = 0;
    assert_int_equal(add(&session).o.code, ERROR_INVALID);
    session = new_session(10, true);
    session.key_id = 1;
    assert_int_equal(add(&session).o.code, ERROR_INVALID);
    session = new_session(11, true);
    session.user_id = 999;
    assert_int_equal(add(&session).o.code, ERROR_NOT_FOUND);
    session = new_session(11, false);
    session.key_id = 999;
    assert_int_equal(add(&session).o.code, ERROR_DENIED);
}

static void test_a_refresh_is_good_once_and_its_reuse_ends_the_session(void **state) {
    (void)state;
    store_new_session session = new_session(9, false);
    add(&session);
    assert_int_equal(refresh(9, 9, 20, NOW_MS), STORE_REFRESHED);
    assert_int_equal(refresh(9, 20, 21, NOW_MS), STORE_REFRESHED);
    assert_int_equal(refresh(9, 77, 78, NOW_MS), STORE_REFRESH_REFUSED);
    assert_int_equal(load().count, 1);
    assert_int_equal(refresh(9, 9, 22, NOW_MS), STORE_REFRESH_REUSED);
    assert_int_equal(load().count, 0);
    assert_int_equal(refresh(9, 21, 23, NOW_MS), STORE_REFRESH_REFUSED);
    reopen();
    assert_int_equal(load().count, 0);
}

/* What is kept of it grows with each. */
static void test_a_session_is_refreshed_so_often_and_no_more(void **state) {
    (void)state;
    uint8_t id[STORE_SESSION_ID_SIZE];
    uint8_t from[STORE_HASH_SIZE];
    uint8_t to[STORE_HASH_SIZE] = {0};
    store_new_session session = new_session(9, false);
    add(&session);
    memset(id, 9, sizeof id);
    memset(from, 9, sizeof from);
    for (unsigned i = 0; i <= STORE_REFRESHES_MAX; i++) {
        found f = {0};
        to[0] = (uint8_t)i;
        to[1] = (uint8_t)(i >> 8);
        to[2] = 1;
        assert_true(store_session_refresh(site, id, from, to, NOW_MS, on_refreshed, &f, &err));
        assert_int_equal(f.o.code, ERROR_NONE);
        assert_int_equal(f.result, i < STORE_REFRESHES_MAX ? STORE_REFRESHED : STORE_REFRESH_REFUSED);
        memcpy(from, to, sizeof from);
    }
    assert_int_equal(load().count, 1);
}

static void test_a_user_makes_so_many_sessions_and_no_more(void **state) {
    (void)state;
    store_new_session session = new_session(9, false);
    for (unsigned i = 0; i <= STORE_SESSIONS_OF_USER_MAX; i++) {
        session.id[0] = (uint8_t)i;
        session.id[1] = (uint8_t)(i >> 8);
        assert_int_equal(add(&session).o.code, i < STORE_SESSIONS_OF_USER_MAX ? ERROR_NONE : ERROR_LIMIT);
    }
}

static void test_no_refresh_once_it_is_over(void **state) {
    (void)state;
    outcome o = {0};
    store_new_session session = new_session(9, false);
    add(&session);
    assert_int_equal(refresh(9, 9, 20, session.expires_ms), STORE_REFRESH_REFUSED);
    assert_int_equal(refresh(9, 9, 20, session.expires_ms - 1), STORE_REFRESHED);
    assert_true(store_user_disable(site, SLICE_LITERAL("ana"), on_user_id, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(refresh(9, 20, 21, NOW_MS), STORE_REFRESH_REFUSED);
    assert_int_equal(load().count, 0);
    session = new_session(10, true);
    assert_int_equal(add(&session).o.code, ERROR_DENIED);
}

static void test_a_revoked_key_ends_its_sessions_alone(void **state) {
    (void)state;
    outcome o = {0};
    store_new_session by_key = new_session(9, false);
    store_new_session by_provider = new_session(10, true);
    add(&by_key);
    add(&by_provider);
    assert_int_equal(load().count, 2);
    store_key_revocation revocation = {.key_id = 1, .now_ms = NOW_MS};
    assert_true(store_key_revoke(site, &revocation, on_revoked, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    found f = load();
    assert_int_equal(f.count, 1);
    assert_int_equal(f.first[0], 10);
    assert_int_equal(refresh(9, 9, 20, NOW_MS), STORE_REFRESH_REFUSED);
    assert_int_equal(refresh(10, 10, 20, NOW_MS), STORE_REFRESHED);
}

static void test_sessions_end_by_what_was_said_of_them(void **state) {
    (void)state;
    store_session_choice wrong = {.user_id = 1, .key_id = 1};
    outcome o = {0};
    assert_false(store_sessions_end(site, &wrong, NOW_MS, on_done, &o, &err));
    wrong = (store_session_choice){.issuer = SLICE_LITERAL("https://login.example")};
    assert_false(store_sessions_end(site, &wrong, NOW_MS, on_done, &o, &err));
    assert_false(store_sessions_end(site, &(store_session_choice){0}, NOW_MS, on_done, &o, &err));
    for (uint8_t seed = 10; seed < 16; seed++) {
        store_new_session session = new_session(seed, true);
        session.subject = seed < 13 ? SLICE_LITERAL("subject-1") : SLICE_LITERAL("subject-2");
        session.provider_session = seed % 2 == 0 ? SLICE_LITERAL("even") : SLICE_LITERAL("odd");
        session.issuer = seed == 15 ? SLICE_LITERAL("https://other.example") : session.issuer;
        assert_int_equal(add(&session).o.code, ERROR_NONE);
    }
    slice issuer = SLICE_LITERAL("https://login.example");
    end(&(store_session_choice){.issuer = issuer, .subject = SLICE_LITERAL("nobody")});
    assert_int_equal(load().count, 6);
    end(&(store_session_choice){
        .issuer = issuer, .subject = SLICE_LITERAL("subject-1"), .provider_session = SLICE_LITERAL("odd")});
    assert_int_equal(load().count, 5); /* 11 */
    store_new_session unnamed = new_session(16, true);
    unnamed.subject = SLICE_LITERAL("subject-1");
    unnamed.provider_session = (slice){NULL, 0};
    assert_int_equal(add(&unnamed).o.code, ERROR_NONE);
    end(&(store_session_choice){.issuer = issuer, .provider_session = SLICE_LITERAL("another")});
    assert_int_equal(load().count, 6);
    end(&(store_session_choice){
        .issuer = issuer, .subject = SLICE_LITERAL("subject-1"), .provider_session = SLICE_LITERAL("odd")});
    assert_int_equal(load().count, 5); /* 16: it may be it */
    end(&(store_session_choice){.issuer = issuer, .subject = SLICE_LITERAL("subject-1")});
    assert_int_equal(load().count, 3); /* 10, 12 */
    end(&(store_session_choice){.issuer = issuer, .provider_session = SLICE_LITERAL("odd")});
    assert_int_equal(load().count, 2); /* 13; not 15, which is another provider's */
    uint8_t id[STORE_SESSION_ID_SIZE];
    memset(id, 14, sizeof id);
    end(&(store_session_choice){.id = id});
    assert_int_equal(load().count, 1);
    end(&(store_session_choice){.user_id = 1});
    assert_int_equal(load().count, 0);
}

static void test_what_is_over_is_deleted_after_a_while(void **state) {
    (void)state;
    found f = {0};
    for (uint8_t seed = 9; seed < 14; seed++) {
        store_new_session session = new_session(seed, false);
        add(&session);
        assert_int_equal(refresh(seed, seed, 100, NOW_MS), STORE_REFRESHED);
    }
    uint8_t id[STORE_SESSION_ID_SIZE];
    memset(id, 9, sizeof id);
    end(&(store_session_choice){.id = id});
    assert_true(store_sessions_delete_before(site, NOW_MS + 1, 10, on_deleted, &f, &err));
    assert_int_equal(f.count, 1);
    assert_true(store_sessions_delete_before(site, NOW_MS + 3600001, 3, on_deleted, &f, &err));
    assert_int_equal(f.count, 3);
    assert_int_equal(count_rows(&here, "sessions"), 1);
    assert_int_equal(count_rows(&here, "spent_refreshes"), 1);
}

static void test_keys_are_kept_in_their_order_and_one_may_replace_all(void **state) {
    (void)state;
    outcome o = {0};
    found f = {0};
    store_session_key late = {.id = {2}, .begins_ms = NOW_MS + 5, .sealed = SLICE_LITERAL("late")};
    store_session_key early = {.id = {1}, .begins_ms = NOW_MS, .sealed = SLICE_LITERAL("early")};
    store_session_key none = {.id = {3}, .begins_ms = NOW_MS};
    assert_false(store_session_key_add(site, &none, false, on_done, &o, &err));
    assert_true(store_session_key_add(site, &late, false, on_done, &o, &err));
    assert_true(store_session_key_add(site, &early, false, on_done, &o, &err));
    reopen();
    assert_true(store_load_session_keys(site, on_keys, &f, &err));
    assert_int_equal(f.count, 2);
    assert_string_equal(f.sealed, "early");
    assert_true(store_session_key_delete(site, early.id, on_done, &o, &err));
    assert_true(store_load_session_keys(site, on_keys, &f, &err));
    assert_int_equal(f.count, 1);
    assert_true(store_session_key_add(site, &early, true, on_done, &o, &err));
    assert_true(store_load_session_keys(site, on_keys, &f, &err));
    assert_int_equal(f.count, 1);
    assert_string_equal(f.sealed, "early");
    assert_int_equal(o.code, ERROR_NONE);
}

static void on_person(void *context, const store_known_person *person, const error *failure) {
    found *f = context;
    keep(&f->o, failure);
    f->user_id = person == NULL ? 0 : person->user_id;
    f->count = person != NULL && person->role_changed;
    slice name = person == NULL ? (slice){NULL, 0} : person->user_name;
    snprintf(f->user, sizeof f->user, "%.*s", SLICE_FORMAT(name));
}

static found log_in(const char *subject, const char *name, const char *role) {
    found f = {0};
    store_person person = {.issuer = SLICE_LITERAL("https://login.example"),
                           .subject = slice_of_text(subject),
                           .name = slice_of_text(name),
                           .role = slice_of_text(role),
                           .now_ms = NOW_MS};
    if (!store_person_log_in(site, &person, on_person, &f, &err)) {
        f.o.code = err.code;
    }
    return f;
}

static void test_a_person_is_who_the_provider_s_id_says(void **state) {
    (void)state;
    found f = log_in("s-1", "bea", "employee");
    assert_int_equal(f.o.code, ERROR_NONE);
    uint64_t bea = f.user_id;
    f = log_in("s-1", "another", "it_admin");
    assert_int_equal(f.user_id, bea);
    assert_string_equal(f.user, "bea");
    assert_int_equal(f.count, 1);
    assert_int_equal(log_in("s-1", "", "it_admin").count, 0);
    assert_int_equal(log_in("s-2", "bea", "employee").o.code, ERROR_CONFLICT);
    assert_int_equal(log_in("s-2", "ana", "it_admin").o.code, ERROR_CONFLICT); /* has keys alone */
    assert_int_equal(log_in("s-2", "", "employee").o.code, ERROR_DENIED);
    assert_int_equal(log_in("s-2", "B b", "employee").o.code, ERROR_DENIED);
    assert_int_equal(log_in("", "cara", "employee").o.code, ERROR_INVALID);
    assert_int_equal(log_in("s-2", "cara", "root").o.code != ERROR_NONE, 1);
    assert_int_equal(log_in("s-2", "cara", "employee").o.code, ERROR_NONE);
    outcome o = {0};
    assert_true(store_user_disable(site, SLICE_LITERAL("bea"), on_user_id, &o, &err));
    assert_int_equal(log_in("s-1", "bea", "employee").o.code, ERROR_DENIED);
}

static void test_each_failed_allocation_keeps_the_session_whole(void **state) {
    (void)state;
    store_new_session session = new_session(9, false);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        fault_fail_nth(nth);
        found f = add(&session);
        reached = fault_stop();
        assert_true(!reached || f.o.code == ERROR_NONE || f.o.code == ERROR_MEMORY);
        assert_int_equal(load().count, f.o.code == ERROR_NONE);
        end(&(store_session_choice){.id = session.id});
        session.id[0]++;
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_session_is_kept_with_whose_it_is),
        SITE_TEST(test_a_session_needs_a_key_or_a_provider_and_a_person),
        SITE_TEST(test_a_refresh_is_good_once_and_its_reuse_ends_the_session),
        SITE_TEST(test_a_session_is_refreshed_so_often_and_no_more),
        SITE_TEST(test_a_user_makes_so_many_sessions_and_no_more),
        SITE_TEST(test_no_refresh_once_it_is_over),
        SITE_TEST(test_a_revoked_key_ends_its_sessions_alone),
        SITE_TEST(test_sessions_end_by_what_was_said_of_them),
        SITE_TEST(test_what_is_over_is_deleted_after_a_while),
        SITE_TEST(test_keys_are_kept_in_their_order_and_one_may_replace_all),
        SITE_TEST(test_a_person_is_who_the_provider_s_id_says),
        SITE_TEST(test_each_failed_allocation_keeps_the_session_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
