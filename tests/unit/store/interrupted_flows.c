/* What is done to what users keep in several steps, with real keys and records, when the process is killed or
 * the disk full at each step of writing: a token that its user has opens every record, at any time; what is
 * to go is gone. */
#include "interrupted.h"

#include "files_support.h"

#include "crypto/start.h"
#include "memory/fact.h"
#include "memory/wrap.h"

enum { FACTS = 24, BATCH = 8, TURNS = 2, MANY_TURNS = STORE_LIST_MAX + 100 };

#define OLD_TOKEN "ck_the_old_one"
#define NEW_TOKEN "ck_the_new_one"
static const uint64_t old_key = 1;
static const uint64_t new_key_id = 2;

static const uint8_t data_key[RECORD_KEY_SIZE] = {1, 2, 3};
static buffer wraps[2]; /* of the old key and the new one */
static buffer turns[TURNS];
static buffer facts[2][FACTS]; /* as made by one model, and by the other */

static wrap_owner owner_of(uint64_t key_id) {
    wrap_owner owner = {.user_id = 1, .key_id = key_id};
    memcpy(owner.salt, salt_of(1), sizeof owner.salt);
    return owner;
}

static slice token_of(uint64_t key_id) {
    return key_id == old_key ? SLICE_LITERAL(OLD_TOKEN) : SLICE_LITERAL(NEW_TOKEN);
}

static void seal_wraps(void) {
    for (uint64_t key_id = old_key; key_id <= new_key_id; key_id++) {
        uint8_t opened[RECORD_KEY_SIZE];
        buffer *wrapped = &wraps[key_id - 1];
        wrap_owner owner = owner_of(key_id);
        *wrapped = buffer_make(WRAP_SIZE_MAX);
        assert_true(wrap_seal(token_of(key_id), &owner, WRAP_COST, NOW_MS, data_key, wrapped, &err));
        assert_true(wrap_open(token_of(key_id), &owner, slice_of_text(wrap_kind), WRAP_COST,
                              buffer_slice(wrapped), opened, &err));
        assert_memory_equal(opened, data_key, sizeof opened);
    }
}

static const char *text_of(size_t number) {
    static char text[64];
    snprintf(text, sizeof text, "what was said: %zu", number);
    return text;
}

static void seal_records(void) {
    static const float vectors[2][2] = {{1, 0}, {0, 1}};
    for (size_t i = 0; i < TURNS; i++) {
        record_place at = {.kind = RECORD_TURN, .user_id = 1};
        id_of(at.id, i);
        turns[i] = buffer_make(4096);
        assert_true(record_seal(data_key, &at, NOW_MS, slice_of_text(text_of(i)), &turns[i], &err));
    }
    for (size_t i = 0; i < 2 * FACTS; i++) {
        uint8_t id[RECORD_ID_SIZE];
        buffer *sealed = &facts[i / FACTS][i % FACTS];
        fact f = {.created_ms = NOW_MS,
                  .text = slice_of_text(text_of(i % FACTS)),
                  .embedder = slice_of_text(i / FACTS == 0 ? "one" : "another"),
                  .vector = vectors[i / FACTS],
                  .dimensions = 2};
        id_of(id, i % FACTS);
        *sealed = buffer_make(FACT_SEALED_MAX);
        assert_true(fact_seal(data_key, 1, id, &f, sealed, &err));
    }
}

static int seal_all(void **state) {
    (void)state;
    assert_true(crypto_start(&err));
    seal_wraps();
    seal_records();
    return 0;
}

static int free_all(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        buffer_wipe(&wraps[i]);
        buffer_wipe(&turns[i]);
    }
    for (size_t i = 0; i < 2 * FACTS; i++) {
        buffer_wipe(&facts[i / FACTS][i % FACTS]);
    }
    return 0;
}

static store_wrap sealed_wrap(uint64_t key_id) {
    return (store_wrap){.key_id = key_id,
                        .kind = slice_of_text(wrap_kind),
                        .cost = WRAP_COST,
                        .wrapped = buffer_slice(&wraps[key_id - 1])};
}

static error_code add_sealed_turn(uint64_t number) {
    outcome o = {0};
    store_new_turn turn = {
        .user_id = 1, .created_ms = NOW_MS, .sealed = buffer_slice(&turns[number % TURNS])};
    id_of(turn.conversation, 1);
    id_of(turn.id, number);
    turn.head = number == 0 ? SLICE_LITERAL("head") : slice_of(NULL, 0);
    return outcome_of(store_turn_add(site, &turn, on_done, &o, &err), &o);
}

static void keep_records(void) {
    outcome o = {0};
    store_wrap wrap = sealed_wrap(old_key);
    (void)open_site(NULL);
    assert_true(store_vault_add(site, 1, salt_of(1), NOW_MS, &wrap, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    for (uint64_t i = 0; i < TURNS; i++) {
        assert_int_equal(add_sealed_turn(i), ERROR_NONE);
    }
    for (uint64_t i = 0; i < FACTS; i++) {
        assert_int_equal(add_fact(1, i, buffer_slice(&facts[0][i])), ERROR_NONE);
    }
}

static void prepare_records(void) {
    keep_records();
    store_close(site);
}

/* -- whose tokens open what -- */

typedef struct seen_wraps {
    outcome base;
    bool opens[2]; /* a key that isn't revoked, with the token that it was sealed under */
} seen_wraps;

static void on_wraps(void *context, const store_vault *vault, const error *failure) {
    seen_wraps *seen = context;
    keep(&seen->base, failure);
    assert_non_null(vault);
    assert_memory_equal(vault->salt, salt_of(1), sizeof vault->salt);
    for (size_t i = 0; i < vault->wrap_count; i++) {
        const store_wrap *wrap = &vault->wraps[i];
        assert_in_range(wrap->key_id, old_key, new_key_id);
        assert_true(slice_equal(wrap->wrapped, buffer_slice(&wraps[wrap->key_id - 1])));
        assert_int_equal(wrap->cost, WRAP_COST);
        seen->opens[wrap->key_id - 1] = !wrap->revoked;
    }
}

static seen_wraps look_at_wraps(void) {
    seen_wraps seen = {0};
    assert_true(store_vault_get(site, 1, on_wraps, &seen, &err));
    assert_int_equal(seen.base.code, ERROR_NONE);
    return seen;
}

static void on_turns(void *context, const store_turn *rows, size_t count, const error *failure) {
    keep(context, failure);
    assert_int_equal(count, TURNS);
    for (size_t i = 0; i < count; i++) {
        buffer content = buffer_make(4096);
        record_place at = {.kind = RECORD_TURN, .user_id = 1};
        memcpy(at.id, rows[i].id, sizeof at.id);
        assert_true(record_open(data_key, &at, rows[i].sealed, &content, &err));
        assert_true(slice_equal_text(buffer_slice(&content), text_of(i)));
        buffer_wipe(&content);
    }
}

typedef struct seen_facts {
    outcome base;
    size_t of_model[2];
} seen_facts;

static void on_facts(void *context, const store_fact *rows, size_t count, const error *failure) {
    seen_facts *seen = context;
    keep(&seen->base, failure);
    assert_int_equal(count, FACTS);
    for (size_t i = 0; i < count; i++) {
        arena *memory = arena_new(65536);
        fact f;
        assert_true(fact_open(data_key, 1, rows[i].id, rows[i].sealed, memory, &f, &err));
        assert_true(slice_equal_text(f.text, text_of(i)));
        bool by_other = slice_equal_text(f.embedder, "another");
        assert_true((f.vector[0] > 0.5F) != by_other);
        seen->of_model[by_other ? 1 : 0]++;
        arena_free(memory);
    }
}

static seen_facts look_at_records(void) {
    outcome o = {0};
    seen_facts seen = {0};
    uint8_t id[RECORD_ID_SIZE];
    id_of(id, 1);
    assert_true(store_turn_list(site, 1, id, 0, 10, on_turns, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_true(store_fact_list(site, 1, NULL, FACTS + 1, on_facts, &seen, &err));
    assert_int_equal(seen.base.code, ERROR_NONE);
    return seen;
}

/* -- a key is exchanged for another, as POST /v1/keys and its revoke do -- */

static error_code rotate_step(unsigned i) {
    outcome o = {0};
    store_new_key key = new_key(0x77);
    store_wrap wrap = sealed_wrap(new_key_id);
    store_key_revocation revocation = {.key_id = old_key, .user_id = 1, .now_ms = NOW_MS};
    key.made_with = old_key;
    switch (i) {
    case 0:
        return outcome_of(store_key_add(site, SLICE_LITERAL("ana"), &key, on_user_and_key, &o, &err), &o);
    case 1: /* once this is answered its user has the new token */
        return outcome_of(store_wrap_put(site, 1, salt_of(1), &wrap, 0, on_done, &o, &err), &o);
    default:
        return outcome_of(store_key_revoke(site, &revocation, on_revoked_keys, &o, &err), &o);
    }
}

static void check_rotation(unsigned done) {
    seen_wraps seen = look_at_wraps();
    (void)look_at_records();
    assert_true(seen.opens[0] == (done < 3));
    assert_true(seen.opens[1] == (done >= 2));
}

static void test_a_rotation_leaves_the_old_token_or_both_never_none(void **state) {
    (void)state;
    const work w = {.name = "rotation",
                    .prepare = prepare_records,
                    .steps = 3,
                    .step = rotate_step,
                    .check = check_rotation};
    assert_true(interrupt_everywhere(&w) > 60);
}

/* -- what was sealed under the old token alone is opened with it, then by the new one (unlock, wrap) -- */

static void prepare_revoked(void) {
    outcome o = {0};
    store_new_key key = new_key(0x77);
    store_key_revocation revocation = {.key_id = old_key, .now_ms = NOW_MS};
    keep_records();
    assert_true(store_key_add(site, SLICE_LITERAL("ana"), &key, on_user_and_key, &o, &err));
    assert_int_equal(o.key_id, new_key_id);
    assert_true(store_key_revoke(site, &revocation, on_revoked_keys, &o, &err));
    store_close(site);
}

static void on_any_wraps(void *context, const store_vault *vault, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = vault->wrap_count;
    ((outcome *)context)->key_id = vault->wraps[0].key_id;
}

static error_code rewrap_step(unsigned i) {
    outcome o = {0};
    store_wrap wrap = sealed_wrap(new_key_id);
    (void)i;
    return outcome_of(store_wrap_put(site, 1, salt_of(1), &wrap, 0, on_done, &o, &err), &o);
}

static void check_rewrapped(unsigned done) {
    outcome o = {0};
    assert_true(store_vault_get(site, 1, on_any_wraps, &o, &err));
    assert_int_equal(o.count, 1);
    assert_int_equal(o.key_id, done == 0 ? old_key : new_key_id);
    (void)look_at_records();
}

static void test_the_last_wrap_of_a_revoked_key_goes_with_the_first_that_counts(void **state) {
    (void)state;
    const work w = {.name = "rewrapping",
                    .prepare = prepare_revoked,
                    .steps = 1,
                    .step = rewrap_step,
                    .check = check_rewrapped};
    assert_true(interrupt_everywhere(&w) > 20);
}

/* -- another model: facts get other vectors, batch by batch -- */

static error_code reembed_step(unsigned batch) {
    outcome o = {0};
    store_fact rows[BATCH];
    for (size_t i = 0; i < BATCH; i++) {
        size_t number = batch * BATCH + i;
        rows[i] = (store_fact){.changed_ms = NOW_MS + number, .sealed = buffer_slice(&facts[1][number])};
        id_of(rows[i].id, number);
    }
    return outcome_of(store_facts_replace(site, 1, rows, BATCH, true, on_done, &o, &err), &o);
}

static void check_reembedded(unsigned done) {
    seen_facts seen = look_at_records();
    assert_int_equal(seen.of_model[1], done * BATCH);
    assert_true(look_at_wraps().opens[0]);
}

static void test_each_fact_has_one_vector_or_the_other_by_whole_batches(void **state) {
    (void)state;
    const work w = {.name = "embedding anew",
                    .prepare = prepare_records,
                    .steps = FACTS / BATCH,
                    .step = reembed_step,
                    .check = check_reembedded};
    assert_true(interrupt_everywhere(&w) > 60);
}

/* -- erasure, in more than one step -- */

static void prepare_many(void) {
    outcome shared = {0};
    keep_records();
    for (uint64_t i = TURNS; i < MANY_TURNS; i++) {
        assert_int_equal(add_sealed_turn(i), ERROR_NONE);
    }
    assert_true(share_out(1, 1, 2, SLICE_LITERAL("share"), &shared));
    store_close(site);
}

static error_code erase_once(unsigned i) {
    outcome o = {0};
    (void)i;
    return outcome_of(store_vault_erase(site, 1, on_erased, &o, &err), &o);
}

static void on_erasing(void *context, const uint64_t *user_ids, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
    assert_true(count == 0 || user_ids[0] == 1);
}

/* What a start asks for, to go on. */
static void check_erased(unsigned done) {
    outcome o = {0};
    assert_true(store_vaults_erasing(site, 10, on_erasing, &o, &err));
    assert_int_equal(o.count, done == 1 ? 1 : 0);
    assert_int_equal(count_rows(&here, "vault_wraps"), done == 0 ? 1 : 0);
    assert_int_equal(count_rows(&here, "recovery_shares"), done == 0 ? 2 : 0);
    assert_true((rows_kept_of(1) == 0) == (done == 2));
    if (done == 0) {
        assert_true(look_at_wraps().opens[0]);
    }
}

static void test_an_erasure_has_not_begun_or_goes_on_at_the_next_start(void **state) {
    (void)state;
    const work w = {.name = "erasure",
                    .prepare = prepare_many,
                    .steps = 2,
                    .step = erase_once,
                    .check = check_erased,
                    .stride = 31};
    assert_true(interrupt_everywhere(&w) > 80);
}

/* -- what was wiped leaves the log -- */

static error_code wipe_step(unsigned i) {
    if (i <= 2) {
        return rotate_step(i);
    }
    usleep(2000); /* the while after which it is taken out of the log */
    return remove_wrap(1, old_key) == ERROR_NOT_FOUND ? ERROR_NONE : err.code;
}

static void check_wiped(unsigned done) {
    if (done == 5) {
        for (int i = 0; i < 2; i++) { /* the first begins the while */
            (void)look_at_wraps();
            usleep(2000);
        }
        (void)look_at_wraps();
        assert_int_equal(count_slice_in_files(&here, buffer_slice(&wraps[0])), 0);
    }
}

static void test_a_wrap_that_went_leaves_the_files_after_a_kill_too(void **state) {
    (void)state;
    const work w = {.name = "wiping",
                    .prepare = prepare_records,
                    .steps = 5,
                    .step = wipe_step,
                    .check = check_wiped,
                    .scrub_after_ms = 1,
                    .whole = true};
    assert_true(interrupt_everywhere(&w) > 60);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_wrap_that_went_leaves_the_files_after_a_kill_too),
        cmocka_unit_test(test_a_rotation_leaves_the_old_token_or_both_never_none),
        cmocka_unit_test(test_the_last_wrap_of_a_revoked_key_goes_with_the_first_that_counts),
        cmocka_unit_test(test_each_fact_has_one_vector_or_the_other_by_whole_batches),
        cmocka_unit_test(test_an_erasure_has_not_begun_or_goes_on_at_the_next_start),
    };
    return cmocka_run_group_tests(tests, seal_all, free_all);
}
