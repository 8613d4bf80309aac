/* What there is of one person, page by page; and who is being erased. */
#include "store/personal.h"
#include "memory_support.h"
#include "store/notices.h"
#include "store/sessions.h"

enum { ROWS_MAX = 1200 };

typedef struct person_rows {
    outcome base;
    store_personal_row rows[ROWS_MAX];
    char texts[ROWS_MAX][64];
    size_t count;
    size_t pages;
    bool more;
    store_personal_place place;
} person_rows;

static person_rows all;

static void on_rows(void *context, const store_personal_row *rows, size_t count,
                    const store_personal_place *next, const error *failure) {
    (void)context;
    keep(&all.base, failure);
    for (size_t i = 0; i < count; i++) {
        assert_true(all.count < ROWS_MAX);
        snprintf(all.texts[all.count], sizeof all.texts[0], "%.*s|%.*s|%.*s", SLICE_FORMAT(rows[i].issuer),
                 SLICE_FORMAT(rows[i].subject), SLICE_FORMAT(rows[i].text));
        all.rows[all.count++] = rows[i];
    }
    all.pages++;
    all.more = next != NULL;
    if (next != NULL) {
        all.place = *next;
    }
}

/* All pages. */
static void list(uint64_t user_id, store_personal_kind kind) {
    memset(&all, 0, sizeof all);
    do {
        assert_true(store_personal_list(site, user_id, kind, &all.place, on_rows, NULL, &err));
        assert_int_equal(all.base.code, ERROR_NONE);
    } while (all.more);
}

static void add_receipt(uint64_t number, uint64_t user_id) {
    outcome o = {0};
    store_receipt receipt = new_receipt(number);
    receipt.user_id = user_id;
    assert_true(store_receipt_add(site, &receipt, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void test_receipts_are_found_among_many_of_others(void **state) {
    (void)state;
    outcome bo = add_user("bo", 9);
    list(bo.user_id, STORE_PERSONAL_RECEIPTS);
    assert_int_equal(all.count, 0);
    for (uint64_t i = 100; i < 5300; i++) {
        add_receipt(i, i % 1000 == 0 ? bo.user_id : 1);
    }
    list(bo.user_id, STORE_PERSONAL_RECEIPTS);
    assert_int_equal(all.count, 5);
    assert_int_equal(all.pages, 2);
    for (size_t i = 0; i < all.count; i++) {
        size_t found = 0;
        for (uint64_t number = 1000; number <= 5000; number += 1000) {
            store_receipt wanted = new_receipt(number);
            found += memcmp(all.rows[i].id, wanted.job_id, sizeof wanted.job_id) == 0 &&
                     all.rows[i].created_ms == wanted.created_ms;
        }
        assert_int_equal(found, 1);
        assert_true(i == 0 || memcmp(all.rows[i - 1].id, all.rows[i].id, sizeof all.rows[i].id) < 0);
    }
}

static void on_session(void *context, const store_session *session, const error *failure) {
    (void)session;
    keep(context, failure);
}

static void add_session(uint64_t number, uint64_t user_id, uint64_t key_id) {
    outcome o = {0};
    store_new_session session = {
        .user_id = user_id, .key_id = key_id, .created_ms = NOW_MS + number, .expires_ms = NOW_MS + 99999};
    id_of(session.id, number);
    id_of(session.refresh_hash, number);
    assert_true(store_session_add(site, &session, on_session, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void test_sessions_come_each_once_also_those_that_have_ended(void **state) {
    (void)state;
    outcome bo = add_user("bo", 9);
    outcome o = {0};
    uint8_t ended[STORE_SESSION_ID_SIZE];
    for (uint64_t i = 1; i <= 1100; i++) {
        add_session(i, i == 7 ? 1 : bo.user_id, i == 7 ? 1 : bo.key_id);
    }
    id_of(ended, 3);
    store_session_choice choice = {.id = ended};
    assert_true(store_sessions_end(site, &choice, NOW_MS + 5000, on_done, &o, &err));
    list(bo.user_id, STORE_PERSONAL_SESSIONS);
    assert_int_equal(all.count, 1099);
    assert_true(all.pages > 1);
    size_t ended_count = 0;
    for (size_t i = 0; i < all.count; i++) {
        ended_count += all.rows[i].ended_ms == NOW_MS + 5000;
        assert_int_equal(all.rows[i].expires_ms, NOW_MS + 99999);
        assert_true(i == 0 || memcmp(all.rows[i - 1].id, all.rows[i].id, STORE_SESSION_ID_SIZE) < 0);
    }
    assert_int_equal(ended_count, 1);
    list(1, STORE_PERSONAL_SESSIONS);
    assert_int_equal(all.count, 1);
}

static void on_notice(void *context, uint64_t id, const error *failure) {
    (void)id;
    keep(context, failure);
}

static void test_notices_are_ones_own(void **state) {
    (void)state;
    outcome bo = add_user("bo", 9);
    for (uint8_t i = 1; i <= 3; i++) {
        outcome o = {0};
        store_notice notice = {.user_id = i == 2 ? bo.user_id : 1,
                               .text = SLICE_LITERAL("an answer was wrong"),
                               .created_ms = NOW_MS};
        store_receipt receipt = new_receipt(i);
        memcpy(notice.worker_id, receipt.worker_id, sizeof notice.worker_id);
        notice.job_id[0] = i;
        assert_true(store_notice_add(site, &notice, on_notice, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    list(bo.user_id, STORE_PERSONAL_NOTICES);
    assert_int_equal(all.count, 1);
    assert_int_equal(all.rows[0].id[0], 2);
    assert_int_equal(all.rows[0].told_ms, 0);
    assert_string_equal(all.texts[0], "||an answer was wrong");
}

static void test_who_has_nothing_gets_nothing(void **state) {
    (void)state;
    for (unsigned kind = 0; kind < STORE_PERSONAL_KINDS; kind++) {
        list(77, (store_personal_kind)kind);
        assert_int_equal(all.count, kind == STORE_PERSONAL_ANSWERS ? 1 : 0);
        assert_int_equal(all.rows[0].count, 0);
    }
    assert_false(store_personal_list(site, 1, STORE_PERSONAL_KINDS, &all.place, on_rows, NULL, &err));
}

static store_user user;
static char user_name[STORE_NAME_MAX + 1];

static void on_user(void *context, const store_user *found, const error *failure) {
    keep(context, failure);
    if (found != NULL) {
        user = *found;
        snprintf(user_name, sizeof user_name, "%.*s", SLICE_FORMAT(found->name));
    }
}

static void test_a_user_is_found_by_name_also_when_disabled(void **state) {
    (void)state;
    outcome bo = add_user("bo", 9);
    outcome o = {0};
    assert_true(store_user_get(site, SLICE_LITERAL("bo"), on_user, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(user.id, bo.user_id);
    assert_string_equal(user_name, "bo");
    assert_false(user.disabled);
    o = (outcome){0};
    assert_true(store_user_get(site, SLICE_LITERAL("nobody"), on_user, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_false(store_user_get(site, SLICE_LITERAL("No Name"), on_user, &o, &err));
}

typedef struct listed {
    outcome base;
    uint64_t ids[4];
} listed;

static void on_vaults(void *context, const uint64_t *user_ids, size_t count, const error *failure) {
    listed *l = context;
    keep(&l->base, failure);
    l->base.count = count;
    for (size_t i = 0; i < count && i < 4; i++) {
        l->ids[i] = user_ids[i];
    }
}

static void test_a_vault_that_is_being_erased_is_found_until_its_end(void **state) {
    (void)state;
    static char large[STORE_TURN_MAX / 2 + 2];
    listed l = {0};
    memset(large, 't', sizeof large - 1);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(add_turn(1, i, large, "head"), ERROR_NONE);
    }
    assert_true(store_vaults_erasing(site, 10, on_vaults, &l, &err));
    assert_int_equal(l.base.count, 0);
    assert_true(erase_step(1));
    reopen();
    assert_true(store_vaults_erasing(site, 10, on_vaults, &l, &err));
    assert_int_equal(l.base.count, 1);
    assert_int_equal(l.ids[0], 1);
    while (erase_step(1)) {
    }
    assert_true(store_vaults_erasing(site, 10, on_vaults, &l, &err));
    assert_int_equal(l.base.count, 0);
    assert_false(store_vaults_erasing(site, 0, on_vaults, &l, &err));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_receipts_are_found_among_many_of_others),
        SITE_TEST(test_sessions_come_each_once_also_those_that_have_ended),
        SITE_TEST(test_notices_are_ones_own),
        SITE_TEST(test_who_has_nothing_gets_nothing),
        SITE_TEST(test_a_user_is_found_by_name_also_when_disabled),
        SITE_TEST(test_a_vault_that_is_being_erased_is_found_until_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
