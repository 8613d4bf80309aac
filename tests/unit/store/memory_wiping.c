/* What opens what users keep is in no file once it is deleted or replaced. */
#include "memory_support.h"

#include "files_support.h"

#include "ev/loop.h"

#include <sys/wait.h>

#define MARK "#~w~#"
#define OTHER_MARK "#~s~#"
_Static_assert(sizeof MARK == sizeof OTHER_MARK, "one loop fills both");

enum { STAYS = 8 /* one of so many isn't wiped */, USERS = 40, KEYS = 8, HEADS = 600, FACTS = 800 };

/* Up to `most` bytes full of the mark; a few bytes as a rule, where a row's beginning could hold them. */
static slice marked(const char *mark, uint64_t number, size_t most) {
    static uint8_t bytes[9000];
    uint32_t draw = draw_of(number);
    size_t length = sizeof MARK + draw / 4 % (draw % 4 == 0 ? most - sizeof MARK : 60);
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)mark[i % (sizeof MARK - 1)];
    }
    return slice_of(bytes, length);
}

static bool stays(uint64_t number) {
    return draw_of(number + 1000000) % STAYS == 0;
}

static const char *mark_of(uint64_t number) {
    return stays(number) ? OTHER_MARK : MARK;
}

static void put_marked(uint64_t user_id, uint64_t key_id, slice wrapped) {
    outcome o = {0};
    store_wrap wrap = wrap_of(key_id, wrapped);
    assert_true(store_wrap_put(site, user_id, salt_of((uint8_t)user_id), &wrap, 0, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

/* A user's first wrap stays; the others are put, replaced, removed, or go with their keys. */
static void wraps_come_and_go(void) {
    uint64_t keys[USERS][KEYS];
    uint64_t users[USERS];
    for (size_t u = 0; u < USERS; u++) {
        char name[16];
        snprintf(name, sizeof name, "user%zu", u);
        outcome added = add_user(name, (uint16_t)u);
        users[u] = added.user_id;
        assert_int_equal(add_vault(added.user_id, added.key_id), ERROR_NONE);
        for (size_t k = 0; k < KEYS; k++) {
            keys[u][k] = add_key(name, (uint16_t)(1000 + u * KEYS + k));
        }
    }
    for (uint32_t i = 0; i < 3 * USERS * KEYS; i++) {
        uint32_t draw = draw_of(i + 5000000);
        put_marked(users[draw % USERS], keys[draw % USERS][draw / USERS % KEYS],
                   marked(MARK, i, STORE_WRAP_MAX));
    }
    for (uint32_t i = 0; i < USERS * KEYS; i++) {
        if (i % 2 == 0) {
            (void)remove_wrap(users[i % USERS], keys[i % USERS][i / USERS]);
        } else if (i % 3 == 0) {
            revoke_key(keys[i % USERS][i / USERS]);
        } else {
            put_marked(users[i % USERS], keys[i % USERS][i / USERS], SLICE_LITERAL(OTHER_MARK OTHER_MARK));
        }
    }
}

static void set_marked_head(uint64_t number, const char *mark, uint64_t draw) {
    outcome o = {0};
    uint8_t id[16];
    id_of(id, number);
    slice head = marked(mark, draw, STORE_HEAD_MAX);
    assert_true(store_conversation_set_head(site, 1, id, head, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static uint64_t scattered(uint64_t number) {
    return draw_of(number); /* another for each */
}

static void heads_come_and_go(void) {
    outcome o = {0};
    for (uint64_t i = 0; i < HEADS; i++) {
        assert_int_equal(add_turn(1, scattered(i), "turn", MARK MARK MARK), ERROR_NONE);
        set_marked_head(scattered(i / 2), MARK, i);
        set_marked_head(scattered(i), mark_of(i), i + HEADS);
    }
    for (uint64_t i = 0; i < HEADS; i++) {
        if (stays(i)) {
            set_marked_head(scattered(i), OTHER_MARK, i + 2 * HEADS);
        } else {
            uint8_t id[16];
            id_of(id, scattered(i));
            assert_true(store_conversation_delete(site, 1, id, on_done, &o, &err));
            assert_int_equal(o.code, ERROR_NONE);
        }
    }
}

static void replace_marked(uint64_t number, const char *mark, uint64_t draw) {
    outcome o = {0};
    store_fact fact = {.changed_ms = stays(number) ? NOW_MS : 0, .sealed = marked(mark, draw, 9000)};
    id_of(fact.id, scattered(number));
    assert_true(store_facts_replace(site, 1, &fact, 1, false, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void on_expired(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

static void facts_come_and_go(void) {
    outcome o = {0};
    for (uint64_t i = 0; i < FACTS; i++) {
        assert_int_equal(add_fact(1, scattered(i), marked(MARK, i, 9000)), ERROR_NONE);
        replace_marked(i, mark_of(i), i + FACTS);
    }
    for (uint64_t i = 0; i < FACTS; i += 2) {
        if (!stays(i)) {
            uint8_t id[16];
            id_of(id, scattered(i));
            assert_true(store_fact_delete(site, 1, id, on_done, &o, &err));
            assert_int_equal(o.code, ERROR_NONE);
        }
    }
    assert_true(store_facts_expire(site, 1, STORE_LIST_MAX, on_expired, &o, &err));
    assert_in_range(o.count, FACTS / 4, FACTS / 2);
}

static void test_what_was_deleted_or_replaced_is_in_no_file_once_the_store_is_closed(void **state) {
    (void)state;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    put_marked(1, 1, SLICE_LITERAL(MARK MARK));
    assert_true(count_in_files(&here, MARK) > 0); /* the search works */
    put_marked(1, 1, SLICE_LITERAL("another"));
    wraps_come_and_go();
    heads_come_and_go();
    facts_come_and_go();
    store_close(site);
    site = NULL;
    assert_in_range(count_rows(&here, "conversation_heads"), HEADS / STAYS / 2, HEADS / STAYS * 2);
    assert_in_range(count_rows(&here, "facts"), FACTS / STAYS / 2, FACTS / STAYS * 2);
    assert_true(count_rows(&here, "vault_wraps") > 2 * USERS);
    assert_true(count_in_files(&here, OTHER_MARK) > 0);
    assert_int_equal(count_in_files(&here, MARK), 0);
}

/* A server samples columns for its planner, as it does by itself from time to time. */
static void gather_statistics(void) {
    outside o = outside_open(&here);
    assert_true(outside_changes(&o, "ANALYZE"));
    outside_close(&o);
}

static void test_an_erased_vault_leaves_nothing_that_opens_anything(void **state) {
    (void)state;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    for (uint64_t i = 0; i < 200; i++) {
        put_marked(1, 1, marked(MARK, i, STORE_WRAP_MAX));
        assert_int_equal(add_turn(1, i, "turn", i % 2 == 0 ? MARK : MARK MARK MARK MARK MARK), ERROR_NONE);
        assert_int_equal(add_fact(1, i, marked(MARK, i, 9000)), ERROR_NONE);
    }
    gather_statistics();
    while (erase_step(1)) {
    }
    store_close(site);
    site = NULL;
    assert_int_equal(rows_kept_of(1), 0);
    assert_int_equal(count_in_files(&here, MARK), 0);
}

/* Looks again and again once all is answered; bounded by the test's own time limit. */
typedef struct watch {
    ev_loop *loop;
    ev_timer timer;
    const outcome *last;
} watch;

static void look_again(void *argument) {
    watch *w = argument;
    if (w->last->calls == 1 && count_in_files(&here, MARK) == 0) {
        ev_loop_stop(w->loop);
    } else {
        ev_timer_start(w->loop, &w->timer, 5);
    }
}

/* Each kind of row in turn: the last thing asked for is what takes the mark away. */
static bool mark_and_unmark(int kind, store *s, outcome *first, outcome *last) {
    store_wrap wrap = wrap_of(1, SLICE_LITERAL(MARK MARK));
    store_fact fact = {.sealed = SLICE_LITERAL(MARK MARK)};
    store_new_turn turn = {
        .user_id = 1, .created_ms = 1, .sealed = SLICE_LITERAL("turn"), .head = SLICE_LITERAL(MARK MARK)};
    bool accepted = store_wrap_put(s, 1, salt_of(1), &wrap, 0, on_done, first, &err);
    wrap.wrapped = SLICE_LITERAL("another");
    switch (kind) {
    case 0:
        return accepted && store_wrap_put(s, 1, salt_of(1), &wrap, 0, on_done, last, &err);
    case 1:
        return store_turn_add(s, &turn, on_done, first, &err) &&
               store_wrap_put(s, 1, salt_of(1), &wrap, 0, on_done, first, &err) &&
               store_conversation_set_head(s, 1, turn.conversation, SLICE_LITERAL("head"), on_done, last,
                                           &err);
    case 2:
        return store_wrap_put(s, 1, salt_of(1), &wrap, 0, on_done, first, &err) &&
               store_fact_add(s, 1, &fact, 1, on_done, first, &err) &&
               store_fact_delete(s, 1, fact.id, on_done, last, &err);
    default:
        return store_vault_erase(s, 1, on_erased, last, &err);
    }
}

static void test_it_leaves_the_files_while_the_store_is_open(void **state) {
    (void)state;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    for (int kind = 0; kind < 4; kind++) {
        store_close(site);
        outcome first = {0};
        outcome last = {0};
        watch w = {.loop = ev_loop_new(&err), .last = &last};
        assert_non_null(w.loop);
        ev_timer_init(&w.timer, look_again, &w);
        store_options options = {.path = here.path, .loop = w.loop, .scrub_after_ms = 20};
        site = store_open(&options, &err);
        assert_non_null(site);
        assert_true(mark_and_unmark(kind, site, &first, &last));
        ev_timer_start(w.loop, &w.timer, 5);
        ev_loop_run(w.loop);
        assert_int_equal(first.code, ERROR_NONE);
        assert_int_equal(last.code, ERROR_NONE);
        store_close(site);
        ev_loop_free(w.loop);
        site = open_at(&here, NULL);
    }
    assert_int_equal(rows_kept_of(1), 0);
}

/* In a process that ends at once, before anything is scrubbed; it asserts nothing. */
static void erase_and_die(void) {
    outcome o = {0};
    store *s = store_open(&(store_options){.path = here.path, .scrub_after_ms = 60000}, &err);
    _exit(s != NULL && store_vault_erase(s, 1, on_erased, &o, &err) && o.code == ERROR_NONE ? 0 : 1);
}

static void test_what_was_erased_just_before_a_kill_leaves_the_files_after_the_next_start(void **state) {
    (void)state;
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    put_marked(1, 1, SLICE_LITERAL(MARK MARK));
    store_close(site);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        erase_and_die();
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(count_in_files(&here, MARK) > 0); /* and nobody else opens it meanwhile */
    site = open_at(&here, NULL);
    store_close(site);
    site = NULL;
    assert_int_equal(count_in_files(&here, MARK), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_what_was_deleted_or_replaced_is_in_no_file_once_the_store_is_closed),
        SITE_TEST(test_an_erased_vault_leaves_nothing_that_opens_anything),
        SITE_TEST(test_what_was_erased_just_before_a_kill_leaves_the_files_after_the_next_start),
        SITE_TEST(test_it_leaves_the_files_while_the_store_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
