/* Turns that are stored in one transaction, in a server's database by a statement for many: each is kept or
 * refused as if it came alone, and in the order in which they came. */
#include "memory_support.h"

#include "ev/loop.h"

enum { CONVERSATIONS = 7, MANY = 700, MOST = 1000, LONG = STORE_LIST_MAX + 20, LARGE = 400 * 1024 };

static ev_loop *loop;
static ev_timer watchdog;
static size_t due;
static uint64_t bo;

typedef struct answer {
    error_code code;
} answer;

static void give_up(void *argument) {
    (void)argument;
    print_error("an answer is missing\n");
    abort();
}

static void on_answer(void *context, const error *failure) {
    ((answer *)context)->code = failure == NULL ? ERROR_NONE : failure->code;
    if (--due == 0) {
        ev_loop_stop(loop);
    }
}

/* Two users, each with that many conversations of one turn; then the store gets its thread. */
static int begin(void **state) {
    (void)open_site(state);
    bo = add_user("bo", 1).user_id;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(add_vault(bo, 2), ERROR_NONE);
    for (uint64_t i = 0; i < CONVERSATIONS; i++) {
        assert_int_equal(add_turn(1, i, "begins", "head"), ERROR_NONE);
        assert_int_equal(add_turn(bo, i, "begins", "head"), ERROR_NONE);
    }
    loop = ev_loop_new(&err);
    assert_non_null(loop);
    ev_timer_init(&watchdog, give_up, NULL);
    ev_timer_start(loop, &watchdog, 60000);
    assert_true(store_start(site, loop, &err));
    due = 0;
    return 0;
}

/* What was handed in since one call of the loop goes over together. */
static void settle(void) {
    while (due > 0) {
        ev_loop_run(loop);
    }
    store_settle(site);
}

static int end(void **state) {
    (void)close_site(state);
    ev_timer_stop(&watchdog);
    ev_loop_free(loop);
    return 0;
}

static void hand_in(uint64_t user_id, uint64_t number, uint64_t job, slice sealed, slice head, answer *a) {
    store_new_turn turn = {.user_id = user_id, .created_ms = NOW_MS + job, .sealed = sealed, .head = head};
    id_of(turn.conversation, number);
    id_of(turn.id, job);
    due++;
    assert_true(store_turn_add(site, &turn, on_answer, a, &err));
}

typedef struct found {
    size_t count;
    uint64_t numbers[MOST];
    uint64_t jobs[MOST];
    store_conversation conversation;
    error_code code;
} found;

static found of_user[2];

static void on_turns(void *context, const store_turn *rows, size_t count, const error *failure) {
    found *f = context;
    assert_null(failure);
    for (size_t i = 0; i < count && f->count < MOST; i++) {
        if (memcmp(rows[i].sealed.data, "begins", 6) == 0) {
            continue;
        }
        f->numbers[f->count] = rows[i].number;
        for (size_t at = 0; at < 8; at++) {
            f->jobs[f->count] = f->jobs[f->count] << 8 | rows[i].id[at];
        }
        f->count++;
    }
}

static void on_conversation(void *context, const store_conversation *c, const error *failure) {
    found *f = context;
    f->code = failure == NULL ? ERROR_NONE : failure->code;
    if (c != NULL) {
        f->conversation = *c;
        f->conversation.head = (slice){NULL, 0};
    }
}

/* Of a user's (or a conversation's) turns those that were handed in. */
static found *turns_of(uint64_t user_id, const uint8_t *conversation) {
    found *f = &of_user[user_id == 1 ? 0 : 1];
    memset(f, 0, sizeof *f);
    assert_true(store_turn_list(site, user_id, conversation, 0, MOST, on_turns, f, &err));
    return f;
}

/* What stands in a conversation's row is what its turns say. */
static void check_conversation(uint64_t user_id, uint64_t number, size_t turn_size) {
    uint8_t id[16];
    id_of(id, number);
    found *f = turns_of(user_id, id);
    assert_true(f->count > 0);
    assert_true(store_conversation_get(site, user_id, id, on_conversation, f, &err));
    assert_int_equal(f->code, ERROR_NONE);
    assert_int_equal(f->conversation.turns, 1 + f->count);
    assert_int_equal(f->conversation.bytes, 6 + f->count * turn_size);
    assert_int_equal(f->conversation.latest, f->numbers[f->count - 1]);
    assert_int_equal(f->conversation.changed_ms, NOW_MS + f->jobs[f->count - 1]);
}

static void test_many_turns_of_few_conversations_keep_their_order_and_are_counted(void **state) {
    (void)state;
    static answer answers[MANY];
    for (uint64_t i = 0; i < MANY; i++) {
        hand_in(i % 3 == 0 ? bo : 1, i * i % CONVERSATIONS, i + 1, SLICE_LITERAL("turn"), (slice){NULL, 0},
                &answers[i]);
    }
    settle();
    uint64_t last[2] = {0, 0};
    const found *f[2] = {turns_of(1, NULL), turns_of(bo, NULL)};
    size_t at[2] = {0, 0};
    for (uint64_t i = 0; i < MANY; i++) {
        size_t whose = i % 3 == 0 ? 1 : 0;
        assert_int_equal(answers[i].code, ERROR_NONE);
        assert_int_equal(f[whose]->jobs[at[whose]], i + 1);
        uint64_t number = f[whose]->numbers[at[whose]++];
        assert_true(number > last[0] && number > last[1]);
        last[whose] = number;
    }
    assert_int_equal(f[0]->count + f[1]->count, MANY);
    for (uint64_t i = 0; i < CONVERSATIONS; i++) {
        bool has_any = i == 0 || i == 1 || i == 2 || i == 4; /* squares, of 7 */
        if (has_any) {
            check_conversation(1, i, 4);
            check_conversation(bo, i, 4);
        }
    }
}

/* MANY turns of two users, one of them with another place; only that one is refused. */
static void check_one_refused(uint64_t user_id, uint64_t number, slice head, error_code expected) {
    static answer answers[MANY];
    uint64_t before = count_rows(&here, "turns");
    uint64_t counted = count_rows(&here, "conversations");
    assert_true(store_start(site, loop, &err));
    for (uint64_t i = 0; i < MANY; i++) {
        if (i == MANY / 2) {
            hand_in(user_id, number, i + 1, SLICE_LITERAL("turn"), head, &answers[i]);
        } else {
            hand_in(i % 2 == 0 ? 1 : bo, i % 4, i + 1, SLICE_LITERAL("turn"), (slice){NULL, 0}, &answers[i]);
        }
    }
    settle();
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(answers[i].code, i == MANY / 2 ? expected : ERROR_NONE);
    }
    assert_int_equal(count_rows(&here, "turns"), before + MANY - 1);
    assert_int_equal(count_rows(&here, "conversations"), counted);
    for (uint64_t i = 0; i < 4; i++) {
        check_conversation(i % 2 == 0 ? 1 : bo, i, 4);
    }
}

static void test_one_of_many_with_nothing_to_belong_to_fails_alone(void **state) {
    (void)state;
    const slice none = {NULL, 0};
    store_settle(site);
    assert_int_equal(add_turn(bo, 50, "begins", "head"), ERROR_NONE);
    check_one_refused(1, 50, none, ERROR_NOT_FOUND); /* another user's */
    check_one_refused(1, 60, none, ERROR_NOT_FOUND); /* nobody's */
    check_one_refused(77, 1, none, ERROR_NOT_FOUND); /* of nobody */
    check_one_refused(77, 1, SLICE_LITERAL("head"), ERROR_NOT_FOUND);
    check_one_refused(bo, 50, SLICE_LITERAL("head"), ERROR_CONFLICT); /* exists already */
}

/* Of so long a one the row stays a while, and some turns. */
static void test_one_of_many_whose_conversation_was_deleted_fails_alone(void **state) {
    (void)state;
    static answer answers[LONG];
    outcome deleted = {0};
    uint8_t id[16];
    id_of(id, 6);
    for (uint64_t i = 0; i < LONG; i++) {
        hand_in(bo, 6, i + 1, SLICE_LITERAL("turn"), (slice){NULL, 0}, &answers[i]);
    }
    settle();
    assert_true(store_conversation_delete(site, bo, id, on_done, &deleted, &err));
    assert_int_equal(deleted.code, ERROR_NONE);
    assert_int_equal(count_rows(&here, "conversations WHERE changed_ms = 0"), 1);
    check_one_refused(bo, 6, (slice){NULL, 0}, ERROR_NOT_FOUND);
}

static void test_a_conversation_begun_or_deleted_among_many_is_there_or_gone_in_order(void **state) {
    (void)state;
    static answer answers[MANY];
    answer deleted = {ERROR_INTERNAL};
    uint8_t id[16];
    id_of(id, 1);
    for (uint64_t i = 0; i < MANY; i++) {
        if (i == 500) {
            due++;
            assert_true(store_conversation_delete(site, 1, id, on_answer, &deleted, &err));
        }
        hand_in(1, i < 300 ? i % 4 : i % 4 + 10, i + 1, SLICE_LITERAL("turn"),
                i >= 300 && i < 304 ? SLICE_LITERAL("head") : (slice){NULL, 0}, &answers[i]);
    }
    hand_in(1, 1, MANY + 1, SLICE_LITERAL("turn"), (slice){NULL, 0}, &answers[0]);
    settle();
    assert_int_equal(deleted.code, ERROR_NONE);
    assert_int_equal(answers[0].code, ERROR_NOT_FOUND);
    for (uint64_t i = 1; i < MANY; i++) {
        assert_int_equal(answers[i].code, ERROR_NONE);
    }
    check_conversation(1, 2, 4);
    assert_int_equal(turns_of(1, NULL)->count, MANY - 75);
    id_of(id, 12);
    assert_int_equal(turns_of(1, id)->count, 100);
}

/* Twice as long as what goes into one statement. */
static void test_large_turns_are_all_kept(void **state) {
    (void)state;
    static uint8_t large[LARGE];
    answer answers[5] = {{ERROR_INTERNAL}};
    memset(large, 't', sizeof large);
    for (uint64_t i = 0; i < 5; i++) {
        hand_in(1, 1, i + 1, slice_of(large, sizeof large), (slice){NULL, 0}, &answers[i]);
    }
    settle();
    for (uint64_t i = 0; i < 5; i++) {
        assert_int_equal(answers[i].code, ERROR_NONE);
    }
    assert_int_equal(count_rows(&here, "turns WHERE length(sealed) = 409600"), 5);
}

#define TOGETHER(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TOGETHER(test_many_turns_of_few_conversations_keep_their_order_and_are_counted),
        TOGETHER(test_one_of_many_with_nothing_to_belong_to_fails_alone),
        TOGETHER(test_one_of_many_whose_conversation_was_deleted_fails_alone),
        TOGETHER(test_a_conversation_begun_or_deleted_among_many_is_there_or_gone_in_order),
        TOGETHER(test_large_turns_are_all_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
