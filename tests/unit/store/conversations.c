/* Conversations and their turns: what is listed, whose they are, and how they go. */
#include "memory_support.h"

enum { PAGE = 1000, MANY = 10000 };

typedef struct listed {
    outcome base;
    size_t count;
    uint64_t numbers[PAGE]; /* of conversations, from their ids */
    uint64_t latest[PAGE];
    store_conversation first;
    char head_of_first[32];
} listed;

static uint64_t number_of(const uint8_t id[16]) {
    uint64_t number = 0;
    for (size_t i = 0; i < 8; i++) {
        number = number << 8 | id[i];
    }
    return number;
}

static void on_listed(void *context, const store_conversation *rows, size_t count, const error *failure) {
    listed *l = context;
    keep(&l->base, failure);
    l->count = count;
    assert_int_equal(rows == NULL, count == 0);
    for (size_t i = 0; i < count; i++) {
        l->numbers[i] = number_of(rows[i].id);
        l->latest[i] = rows[i].latest;
    }
    if (count > 0) {
        l->first = rows[0];
        snprintf(l->head_of_first, sizeof l->head_of_first, "%.*s", SLICE_FORMAT(rows[0].head));
    }
}

static const listed *list(uint64_t user_id, uint64_t before, size_t limit) {
    static listed l;
    memset(&l, 0, sizeof l);
    assert_true(store_conversation_list(site, user_id, before, limit, on_listed, &l, &err));
    assert_int_equal(l.base.code, ERROR_NONE);
    return &l;
}

static void on_conversation(void *context, const store_conversation *c, const error *failure) {
    assert_int_equal(c == NULL, failure != NULL);
    on_listed(context, c, c == NULL ? 0 : 1, failure);
}

static const listed *get(uint64_t user_id, uint64_t number) {
    static listed l;
    uint8_t id[16];
    id_of(id, number);
    memset(&l, 0, sizeof l);
    assert_true(store_conversation_get(site, user_id, id, on_conversation, &l, &err));
    return &l;
}

typedef struct turns {
    outcome base;
    size_t count;
    uint64_t numbers[PAGE];
    uint64_t conversations[PAGE];
    uint64_t jobs[PAGE];
    char texts[8][16];
} turns;

static void on_turns(void *context, const store_turn *rows, size_t count, const error *failure) {
    turns *t = context;
    keep(&t->base, failure);
    t->count = count;
    assert_int_equal(rows == NULL, count == 0);
    for (size_t i = 0; i < count; i++) {
        t->numbers[i] = rows[i].number;
        t->conversations[i] = number_of(rows[i].conversation);
        t->jobs[i] = number_of(rows[i].id);
    }
    for (size_t i = 0; i < count && i < 8; i++) {
        snprintf(t->texts[i], sizeof t->texts[i], "%.*s", SLICE_FORMAT(rows[i].sealed));
    }
}

static const turns *turns_of(uint64_t user_id, const uint64_t *number, uint64_t after, size_t limit) {
    static turns t;
    uint8_t id[16];
    id_of(id, number == NULL ? 0 : *number);
    memset(&t, 0, sizeof t);
    assert_true(store_turn_list(site, user_id, number == NULL ? NULL : id, after, limit, on_turns, &t, &err));
    return &t;
}

static error_code set_head(uint64_t user_id, uint64_t number, const char *head) {
    outcome o = {0};
    uint8_t id[16];
    id_of(id, number);
    bool accepted = store_conversation_set_head(site, user_id, id, slice_of_text(head), on_done, &o, &err);
    return outcome_of(accepted, &o);
}

static error_code delete_one(uint64_t user_id, uint64_t number) {
    outcome o = {0};
    uint8_t id[16];
    id_of(id, number);
    bool accepted = store_conversation_delete(site, user_id, id, on_done, &o, &err);
    return outcome_of(accepted, &o);
}

static void on_expired(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

static size_t expire(uint64_t before_ms, size_t limit) {
    outcome o = {0};
    assert_true(store_conversations_expire(site, before_ms, limit, on_expired, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    return o.count;
}

static uint64_t keep_for_bo(void) {
    outcome bo = add_user("bo", 1);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_vault(bo.user_id, bo.key_id), ERROR_NONE);
    return bo.user_id;
}

static void test_a_conversation_is_its_head_and_its_turns_in_order(void **state) {
    (void)state;
    const uint64_t one = 1;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_turn(1, 1, "first", "the head"), ERROR_NONE);
    assert_int_equal(add_turn(1, 2, "elsewhere", "another"), ERROR_NONE);
    assert_int_equal(add_turn(1, 1, "second", ""), ERROR_NONE);
    reopen();
    const listed *l = get(1, 1);
    assert_int_equal(l->base.code, ERROR_NONE);
    assert_string_equal(l->head_of_first, "the head");
    assert_int_equal(l->first.turns, 2);
    assert_int_equal(l->first.bytes, 11);
    assert_int_equal(l->first.changed_ms, NOW_MS + 1);
    uint64_t latest = l->first.latest;
    const turns *t = turns_of(1, &one, 0, 10);
    assert_int_equal(t->base.code, ERROR_NONE);
    assert_int_equal(t->count, 2);
    assert_string_equal(t->texts[0], "first");
    assert_string_equal(t->texts[1], "second");
    assert_true(t->numbers[0] < t->numbers[1]);
    assert_int_equal(t->numbers[1], latest);
    assert_int_equal(t->conversations[0], 1);
    assert_true(t->jobs[0] < t->jobs[1]);
    t = turns_of(1, &one, t->numbers[0], 10);
    assert_int_equal(t->count, 1);
    assert_string_equal(t->texts[0], "second");
    t = turns_of(1, NULL, 0, 10);
    assert_int_equal(t->count, 3);
    assert_string_equal(t->texts[1], "elsewhere");
    t = turns_of(1, NULL, t->numbers[0], 1);
    assert_int_equal(t->count, 1);
    assert_string_equal(t->texts[0], "elsewhere");
}

static void test_a_turn_needs_a_vault_and_a_conversation_that_is_there(void **state) {
    (void)state;
    assert_int_equal(add_turn(1, 1, "turn", "head"), ERROR_NOT_FOUND);
    assert_int_equal(add_turn(77, 1, "turn", "head"), ERROR_NOT_FOUND);
    assert_int_equal(add_turn(UINT64_MAX, 1, "turn", "head"), ERROR_NOT_FOUND);
    uint64_t bo = keep_for_bo();
    assert_int_equal(add_turn(1, 1, "turn", ""), ERROR_NOT_FOUND);
    assert_int_equal(add_turn(1, 1, "turn", "head"), ERROR_NONE);
    assert_int_equal(add_turn(1, 1, "turn", "head"), ERROR_CONFLICT);
    assert_int_equal(add_turn(bo, 1, "turn", ""), ERROR_NOT_FOUND);
    assert_int_equal(count_rows(&here, "turns"), 1); /* nothing of what was refused is kept */
    assert_int_equal(delete_one(1, 1), ERROR_NONE);
    assert_int_equal(add_turn(1, 1, "turn", ""), ERROR_NOT_FOUND);
    assert_int_equal(count_rows(&here, "turns"), 0);
}

static void test_another_users_conversation_is_not_there(void **state) {
    (void)state;
    const uint64_t one = 1;
    uint64_t bo = keep_for_bo();
    assert_int_equal(add_turn(1, 1, "of ana", "ana's"), ERROR_NONE);
    assert_int_equal(get(bo, 1)->base.code, ERROR_NOT_FOUND);
    assert_int_equal(turns_of(bo, &one, 0, 10)->base.code, ERROR_NOT_FOUND);
    assert_int_equal(turns_of(bo, NULL, 0, 10)->count, 0);
    assert_int_equal(list(bo, 0, 10)->count, 0);
    assert_int_equal(set_head(bo, 1, "taken"), ERROR_NOT_FOUND);
    assert_int_equal(delete_one(bo, 1), ERROR_NOT_FOUND);
    assert_int_equal(add_turn(bo, 1, "of bo", "bo's"), ERROR_NONE); /* the same id is another conversation */
    assert_string_equal(turns_of(bo, &one, 0, 10)->texts[0], "of bo");
    assert_int_equal(turns_of(1, &one, 0, 10)->count, 1);
    assert_int_equal(delete_one(bo, 1), ERROR_NONE);
    assert_string_equal(get(1, 1)->head_of_first, "ana's");
    assert_string_equal(turns_of(1, &one, 0, 10)->texts[0], "of ana");
}

static void test_a_head_is_replaced_and_nothing_else(void **state) {
    (void)state;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_turn(1, 1, "turn", "head"), ERROR_NONE);
    assert_int_equal(set_head(1, 2, "renamed"), ERROR_NOT_FOUND);
    assert_int_equal(set_head(1, 1, "renamed"), ERROR_NONE);
    assert_string_equal(get(1, 1)->head_of_first, "renamed");
    assert_int_equal(get(1, 1)->first.changed_ms, NOW_MS + 1);
    assert_int_equal(get(1, 1)->first.turns, 1);
}

static void test_many_conversations_are_listed_in_order_while_turns_are_added(void **state) {
    (void)state;
    static uint8_t seen[MANY];
    uint64_t bo = keep_for_bo();
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(add_turn(1, i, "turn", "head"), ERROR_NONE);
    }
    uint64_t before = 0;
    uint64_t touched = 0;
    for (size_t rows = PAGE; rows == PAGE;) {
        const listed *l = list(1, before, PAGE);
        rows = l->count;
        for (size_t i = 0; i < rows; i++) {
            assert_true(before == 0 || l->latest[i] < before);
            before = l->latest[i];
            seen[l->numbers[i]]++;
        }
        /* One from far down comes to the top; another user's don't matter. */
        assert_int_equal(add_turn(1, touched, "turn", ""), ERROR_NONE);
        assert_int_equal(add_turn(bo, touched, "turn", "head"), ERROR_NONE);
        touched++;
    }
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(seen[i], i < touched - 1 ? 0 : 1); /* the last touch came after the last page */
    }
    const listed *l = list(1, 0, touched);
    for (uint64_t i = 0; i < touched; i++) {
        assert_int_equal(l->numbers[i], touched - 1 - i);
    }
}

static void test_a_page_of_large_turns_ends_early(void **state) {
    (void)state;
    static char large[STORE_TURNS_BYTES / 2 + 1];
    const uint64_t one = 1;
    memset(large, 't', sizeof large - 1);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(add_turn(1, 1, large, i == 0 ? "head" : ""), ERROR_NONE);
    }
    const turns *t = turns_of(1, &one, 0, 10);
    assert_int_equal(t->count, 2);
    assert_int_equal(turns_of(1, &one, t->numbers[1], 10)->count, 1);
    assert_int_equal(turns_of(1, NULL, 0, 10)->count, 2);
    assert_int_equal(get(1, 1)->first.bytes, 3 * (sizeof large - 1));
}

enum { LONG = STORE_LIST_MAX + 20 };

static void test_a_very_long_conversation_goes_at_once_and_its_turns_in_steps(void **state) {
    (void)state;
    const uint64_t one = 1;
    uint64_t bo = keep_for_bo();
    for (size_t i = 0; i < LONG; i++) {
        assert_int_equal(add_turn(1, 1, "turn", i == 0 ? "head" : ""), ERROR_NONE);
    }
    assert_int_equal(add_turn(1, 2, "stays", "head"), ERROR_NONE);
    assert_int_equal(add_turn(bo, 1, "of bo", "head"), ERROR_NONE);
    assert_int_equal(delete_one(1, 1), ERROR_NONE);
    assert_int_equal(count_rows(&here, "turns"), LONG - STORE_LIST_MAX + 2);
    assert_int_equal(get(1, 1)->base.code, ERROR_NOT_FOUND);
    assert_int_equal(turns_of(1, &one, 0, 10)->base.code, ERROR_NOT_FOUND);
    assert_string_equal(turns_of(1, NULL, 0, 10)->texts[0], "stays");
    assert_int_equal(list(1, 0, 10)->count, 1);
    assert_int_equal(delete_one(1, 1), ERROR_NOT_FOUND);
    assert_int_equal(set_head(1, 1, "back"), ERROR_NOT_FOUND);
    assert_int_equal(add_turn(1, 1, "turn", ""), ERROR_NOT_FOUND);
    assert_int_equal(add_turn(1, 1, "turn", "head"), ERROR_CONFLICT);
    reopen();
    assert_int_equal(expire(0, 10), 0);
    assert_int_equal(expire(1, 10), 1);
    assert_int_equal(expire(1, 10), 0);
    assert_int_equal(count_rows(&here, "turns"), 2);
    assert_int_equal(rows_kept_of(1), 2 + 3);
    assert_int_equal(add_turn(1, 1, "turn", "head"), ERROR_NONE);
}

static void test_what_is_not_used_for_long_expires_oldest_first(void **state) {
    (void)state;
    uint64_t bo = keep_for_bo();
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(add_turn(i % 2 == 0 ? 1 : bo, i, "turn", "head"), ERROR_NONE);
        assert_int_equal(add_turn(i % 2 == 0 ? 1 : bo, i, "turn", ""), ERROR_NONE);
    }
    assert_int_equal(expire(NOW_MS, 100), 0);
    assert_int_equal(expire(NOW_MS + 6, 2), 2);
    assert_int_equal(get(1, 0)->base.code, ERROR_NOT_FOUND);
    assert_int_equal(get(bo, 1)->base.code, ERROR_NOT_FOUND);
    assert_int_equal(get(1, 2)->base.code, ERROR_NONE);
    assert_int_equal(expire(NOW_MS + 6, 100), 4);
    assert_int_equal(expire(NOW_MS + 6, 100), 0);
    assert_int_equal(list(1, 0, 10)->count, 2);
    assert_int_equal(list(bo, 0, 10)->count, 2);
    assert_int_equal(count_rows(&here, "turns"), 8);
    assert_int_equal(count_rows(&here, "conversation_heads"), 4);
}

static void test_much_that_expires_goes_in_steps(void **state) {
    (void)state;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    for (uint64_t i = 0; i < 2 * LONG; i++) {
        assert_int_equal(add_turn(1, i % 4, "turn", i < 4 ? "head" : ""), ERROR_NONE);
    }
    assert_int_equal(expire(INT64_MAX, 100), 2); /* the second of them not to its end */
    assert_int_equal(count_rows(&here, "turns"), 2 * LONG - STORE_LIST_MAX);
    assert_int_equal(count_rows(&here, "conversation_heads"), 2);
    for (size_t calls = 0; expire(INT64_MAX, 100) > 0; calls++) {
        assert_true(calls < 4);
    }
    assert_int_equal(rows_kept_of(1), 2);
}

static void test_what_is_no_turn_or_head_is_refused(void **state) {
    (void)state;
    static const uint8_t large[STORE_TURN_MAX + 1];
    outcome o = {0};
    listed l = {0};
    turns t = {0};
    const store_new_turn right = {
        .user_id = 1, .created_ms = NOW_MS, .sealed = SLICE_LITERAL("turn"), .head = SLICE_LITERAL("head")};
    store_new_turn wrongs[] = {right, right, right, right, right};
    wrongs[0].sealed = slice_of(NULL, 0);
    wrongs[1].sealed = slice_of(large, sizeof large);
    wrongs[2].head = slice_of(large, STORE_HEAD_MAX + 1);
    wrongs[3].created_ms = 0;
    wrongs[4].created_ms = UINT64_MAX;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        assert_false(store_turn_add(site, &wrongs[i], on_done, &o, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    assert_false(
        store_conversation_set_head(site, 1, right.conversation, slice_of(NULL, 0), on_done, &o, &err));
    assert_false(store_conversation_set_head(site, 1, right.conversation, slice_of(large, STORE_HEAD_MAX + 1),
                                             on_done, &o, &err));
    for (size_t i = 0; i < 2; i++) {
        size_t limit = i == 0 ? 0 : STORE_LIST_MAX + 1;
        assert_false(store_conversation_list(site, 1, 0, limit, on_listed, &l, &err));
        assert_false(store_turn_list(site, 1, NULL, 0, limit, on_turns, &t, &err));
        assert_false(store_conversations_expire(site, 1, limit, on_expired, &o, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    assert_int_equal(o.calls + l.base.calls + t.base.calls, 0);
    wrongs[1].sealed = slice_of(large, STORE_TURN_MAX);
    wrongs[1].head = slice_of(large, STORE_HEAD_MAX);
    assert_true(store_turn_add(site, &wrongs[1], on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_conversation_is_its_head_and_its_turns_in_order),
        SITE_TEST(test_a_turn_needs_a_vault_and_a_conversation_that_is_there),
        SITE_TEST(test_another_users_conversation_is_not_there),
        SITE_TEST(test_a_head_is_replaced_and_nothing_else),
        SITE_TEST(test_many_conversations_are_listed_in_order_while_turns_are_added),
        SITE_TEST(test_a_page_of_large_turns_ends_early),
        SITE_TEST(test_a_very_long_conversation_goes_at_once_and_its_turns_in_steps),
        SITE_TEST(test_what_is_not_used_for_long_expires_oldest_first),
        SITE_TEST(test_much_that_expires_goes_in_steps),
        SITE_TEST(test_what_is_no_turn_or_head_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
