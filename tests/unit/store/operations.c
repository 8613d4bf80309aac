#include "support.h"

static place here;
static store *site;
static error err;

static int open_site(void **state) {
    (void)state;
    here = place_make();
    site = open_at(&here, NULL);
    fill_site(site);
    return 0;
}

static int close_site(void **state) {
    (void)state;
    store_close(site);
    place_remove(&here);
    return 0;
}

static outcome add_user(slice name, uint8_t key_seed) {
    outcome o = {0};
    store_new_key key = new_key(key_seed);
    assert_true(store_user_add(site, name, SLICE_LITERAL("employee"), &key, on_user_and_key, &o, &err));
    assert_int_equal(o.calls, 1);
    return o;
}

static void on_users(void *context, const store_user *users, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    if (count == 2) {
        assert_true(slice_equal_text(users[0].name, "ana"));
        assert_true(slice_equal_text(users[0].role, "it_admin"));
        assert_int_equal(users[0].created_ms, NOW_MS);
        assert_false(users[0].disabled);
        assert_true(slice_equal_text(users[1].name, "bo@example.org"));
        assert_true(users[1].id > users[0].id);
    }
    if (count == 1) {
        o->user_id = users[0].id;
    }
}

static void test_users_are_listed_in_order_page_by_page(void **state) {
    (void)state;
    outcome bo = add_user(SLICE_LITERAL("bo@example.org"), 2);
    outcome o = {0};
    assert_true(store_user_list(site, 0, 10, on_users, &o, &err));
    assert_int_equal(o.count, 2);
    assert_true(store_user_list(site, 1, 10, on_users, &o, &err));
    assert_int_equal(o.count, 1);
    assert_int_equal(o.user_id, bo.user_id);
    assert_true(store_user_list(site, 0, 1, on_users, &o, &err));
    assert_int_equal(o.user_id, 1);
    assert_false(store_user_list(site, 0, 0, on_users, &o, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(store_user_list(site, 0, STORE_LIST_MAX + 1, on_users, &o, &err));
}

static void test_a_user_and_its_key_are_added_both_or_neither(void **state) {
    (void)state;
    outcome same_hash = add_user(SLICE_LITERAL("bo"), 1);
    assert_int_equal(same_hash.code, ERROR_CONFLICT);
    assert_int_equal(same_hash.user_id, 0);
    outcome same_name = add_user(SLICE_LITERAL("ana"), 9);
    assert_int_equal(same_name.code, ERROR_CONFLICT);
    assert_non_null(strstr(same_name.text, "ana"));
    outcome o = {0};
    assert_true(store_user_list(site, 0, 10, on_users, &o, &err));
    assert_int_equal(o.count, 1);
}

static void test_bad_names_and_roles_never_reach_the_database(void **state) {
    (void)state;
    outcome o = {0};
    store_new_key key = new_key(3);
    static const char *const names[] = {
        "",    "Ana",         "a b",
        "a\n", "caf\xc3\xa9", "0123456789012345678901234567890123456789012345678901234567890123x"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_false(store_user_add(site, slice_of_text(names[i]), SLICE_LITERAL("employee"), &key,
                                    on_user_and_key, &o, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    assert_false(
        store_user_add(site, SLICE_LITERAL("bo"), SLICE_LITERAL("root"), &key, on_user_and_key, &o, &err));
    key.label = SLICE_LITERAL("two\nlines");
    assert_false(store_key_add(site, SLICE_LITERAL("ana"), &key, on_user_and_key, &o, &err));
    assert_int_equal(o.calls, 0);
    key = new_key(3);
    key.expires_ms = UINT64_MAX; /* more than the database can hold: answered as a failure */
    assert_true(store_key_add(site, SLICE_LITERAL("ana"), &key, on_user_and_key, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
}

static void on_disabled(void *context, uint64_t user_id, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->user_id = user_id;
}

static void on_loaded(void *context, const store_loaded_key *keys, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    if (count > 0) {
        keep_bytes(o, slice_of(keys[0].token_hash, sizeof keys[0].token_hash));
        o->user_id = keys[count - 1].user_id;
        assert_true(slice_equal_text(keys[0].user_name, "ana"));
        assert_true(slice_equal_text(keys[0].role, "it_admin"));
    }
}

static void test_disabling_a_user_takes_its_keys_out_of_what_is_loaded(void **state) {
    (void)state;
    outcome bo = add_user(SLICE_LITERAL("bo"), 2);
    outcome o = {0};
    assert_true(store_load_keys(site, on_loaded, &o, &err));
    assert_int_equal(o.count, 2);
    assert_int_equal(o.bytes[0], 1);
    for (int i = 0; i < 2; i++) {
        assert_true(store_user_disable(site, SLICE_LITERAL("bo"), on_disabled, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
        assert_int_equal(o.user_id, bo.user_id);
    }
    assert_true(store_load_keys(site, on_loaded, &o, &err));
    assert_int_equal(o.count, 1);
    assert_true(store_user_disable(site, SLICE_LITERAL("nobody"), on_disabled, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    store_new_key key = new_key(4);
    assert_true(store_key_add(site, SLICE_LITERAL("bo"), &key, on_user_and_key, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
}

static void on_key_hash(void *context, const uint8_t *token_hash, const error *failure) {
    keep(context, failure);
    keep_bytes(context, slice_of(token_hash, token_hash == NULL ? 0 : STORE_HASH_SIZE));
}

static void on_revoked(void *context, const store_revoked_key *keys, size_t count, const error *failure) {
    keep(context, failure);
    keep_bytes(context, slice_of(keys == NULL ? NULL : keys->token_hash, count * STORE_HASH_SIZE));
}

static bool revoke_it(uint64_t key_id, uint64_t now_ms, outcome *o) {
    store_key_revocation revocation = {.key_id = key_id, .now_ms = now_ms};
    return store_key_revoke(site, &revocation, on_revoked, o, &err);
}

static void on_keys(void *context, const store_key *keys, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    if (count == 2) {
        assert_true(slice_equal_text(keys[0].user_name, "ana"));
        assert_true(slice_equal_text(keys[1].label, "laptop"));
        assert_int_equal(keys[0].revoked_ms, 0);
        assert_int_equal(keys[1].revoked_ms, NOW_MS + 5);
        assert_int_equal(keys[1].expires_ms, NOW_MS + 99);
    }
}

static void test_a_revoked_key_is_listed_but_not_loaded(void **state) {
    (void)state;
    outcome o = {0};
    store_new_key key = new_key(7);
    key.expires_ms = NOW_MS + 99;
    assert_true(store_key_add(site, SLICE_LITERAL("ana"), &key, on_user_and_key, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.user_id, 1);
    uint64_t key_id = o.key_id;
    assert_true(revoke_it(key_id, NOW_MS + 5, &o));
    assert_int_equal(o.length, STORE_HASH_SIZE);
    assert_int_equal(o.bytes[31], 7);
    assert_true(revoke_it(key_id, NOW_MS + 6, &o));
    assert_int_equal(o.code, ERROR_NONE);
    assert_true(store_key_list(site, SLICE_LITERAL("ana"), 0, 10, on_keys, &o, &err));
    assert_int_equal(o.count, 2);
    assert_true(store_key_list(site, (slice){NULL, 0}, 0, 10, on_keys, &o, &err));
    assert_int_equal(o.count, 2);
    assert_true(store_key_list(site, SLICE_LITERAL("nobody"), 0, 10, on_keys, &o, &err));
    assert_int_equal(o.count, 0);
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_load_keys(site, on_loaded, &o, &err));
    assert_int_equal(o.count, 1);
    assert_true(revoke_it(12345, NOW_MS, &o));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_false(revoke_it(key_id, 0, &o));
}

static void on_modes(void *context, const store_loaded_key *keys, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    if (count == 2) {
        keep_bytes(o, keys[1].verify_mode);
        assert_true(slice_equal_text(keys[0].verify_mode, "off"));
    }
}

static void test_how_a_keys_answers_are_checked_is_kept_and_changed(void **state) {
    (void)state;
    outcome o = {0};
    store_new_key key = new_key(7);
    key.verify_mode = SLICE_LITERAL("every");
    assert_true(store_key_add(site, SLICE_LITERAL("ana"), &key, on_user_and_key, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    uint64_t key_id = o.key_id;
    assert_true(store_load_keys(site, on_modes, &o, &err));
    assert_int_equal(o.count, 2);
    assert_memory_equal(o.bytes, "every", 5);
    assert_true(store_key_set_verify_mode(site, key_id, SLICE_LITERAL("required"), on_key_hash, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.bytes[31], 7);
    assert_true(store_load_keys(site, on_modes, &o, &err));
    assert_memory_equal(o.bytes, "required", 8);
    assert_true(store_key_set_verify_mode(site, 999, SLICE_LITERAL("off"), on_key_hash, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_int_equal(o.length, 0);
    assert_false(store_key_set_verify_mode(site, key_id, SLICE_LITERAL("always"), on_key_hash, &o, &err));
    assert_false(store_key_set_verify_mode(site, key_id, (slice){NULL, 0}, on_key_hash, &o, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    key = new_key(8);
    key.verify_mode = SLICE_LITERAL("Every");
    assert_false(store_key_add(site, SLICE_LITERAL("ana"), &key, on_user_and_key, &o, &err));
}

static void on_workers(void *context, const store_worker *workers, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
    if (count > 0) {
        keep_bytes(o, slice_of(workers, sizeof workers[0]));
    }
}

static const store_worker *first_worker(const outcome *o) {
    return (const store_worker *)(const void *)o->bytes;
}

static outcome enrol(const store_enrolment *enrolment) {
    outcome o = {0};
    assert_true(store_join_token_consume(site, enrolment, on_enrolled, &o, &err));
    assert_int_equal(o.calls, 1);
    return o;
}

static void add_join_token(uint8_t seed, slice owner) {
    outcome o = {0};
    store_join_token token = new_join_token(seed, 1);
    token.owner = owner;
    assert_true(store_join_token_add(site, &token, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void test_a_join_token_enrols_one_machine_once(void **state) {
    (void)state;
    outcome o = {0};
    assert_true(store_load_workers(site, on_workers, &o, &err));
    assert_int_equal(o.count, 1);
    assert_int_equal(first_worker(&o)->id[0], 1);
    assert_int_equal(first_worker(&o)->approved_by, 1);
    assert_int_equal(first_worker(&o)->revoked_ms, 0);
    store_enrolment again = new_enrolment(1, 5);
    o = enrol(&again);
    assert_int_equal(o.code, ERROR_DENIED);
    assert_non_null(strstr(o.text, "used"));
    assert_true(store_load_workers(site, on_workers, &o, &err));
    assert_int_equal(o.count, 1);
}

static void test_a_wrong_or_late_join_token_is_refused_and_stays_unused(void **state) {
    (void)state;
    add_join_token(2, SLICE_LITERAL("Ana"));
    store_enrolment unknown = new_enrolment(9, 6);
    store_enrolment wrong = new_enrolment(2, 6);
    wrong.secret_hash[31] ^= 1;
    store_enrolment late = new_enrolment(2, 6);
    late.now_ms = NOW_MS + 600000;
    outcome of_unknown = enrol(&unknown);
    outcome of_wrong = enrol(&wrong);
    assert_int_equal(of_unknown.code, ERROR_DENIED);
    assert_int_equal(of_wrong.code, ERROR_DENIED);
    assert_string_equal(of_unknown.text, of_wrong.text);
    assert_non_null(strstr(enrol(&late).text, "expired"));
    store_enrolment right = new_enrolment(2, 6);
    right.now_ms = NOW_MS + 599999;
    assert_int_equal(enrol(&right).code, ERROR_NONE);
}

static void test_a_join_token_dies_with_the_account_of_its_maker(void **state) {
    (void)state;
    add_join_token(2, SLICE_LITERAL("Ana"));
    outcome o = {0};
    assert_true(store_user_disable(site, SLICE_LITERAL("ana"), on_disabled, &o, &err));
    store_enrolment enrolment = new_enrolment(2, 6);
    assert_int_equal(enrol(&enrolment).code, ERROR_DENIED);
}

static void test_a_machine_may_join_again_under_the_same_owner_only(void **state) {
    (void)state;
    add_join_token(2, SLICE_LITERAL("Ana"));
    add_join_token(3, SLICE_LITERAL("Bo"));
    store_enrolment again = new_enrolment(2, 1);
    again.name = SLICE_LITERAL("desk 5");
    again.now_ms = NOW_MS + 10;
    assert_int_equal(enrol(&again).code, ERROR_NONE);
    outcome o = {0};
    assert_true(store_worker_list(site, NULL, 10, on_workers, &o, &err));
    assert_int_equal(o.count, 1);
    assert_int_equal(first_worker(&o)->created_ms, NOW_MS);
    store_enrolment stranger = new_enrolment(3, 1);
    outcome refused = enrol(&stranger);
    assert_int_equal(refused.code, ERROR_DENIED);
    assert_non_null(strstr(refused.text, "another owner"));
}

static void test_a_worker_id_cannot_be_taken_over_with_another_key(void **state) {
    (void)state;
    add_join_token(2, SLICE_LITERAL("Ana"));
    store_enrolment impostor = new_enrolment(2, 8);
    memset(impostor.worker_id, 1, sizeof impostor.worker_id);
    assert_int_equal(enrol(&impostor).code, ERROR_CONFLICT);
}

static void test_a_revoked_machine_stays_revoked(void **state) {
    (void)state;
    outcome o = {0};
    uint8_t id[STORE_WORKER_ID_SIZE];
    memset(id, 1, sizeof id);
    for (uint64_t i = 0; i < 2; i++) {
        assert_true(store_worker_revoke(site, id, NOW_MS + i, on_done, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    assert_true(store_worker_list(site, NULL, 10, on_workers, &o, &err));
    assert_int_equal(first_worker(&o)->revoked_ms, NOW_MS);
    assert_true(store_worker_list(site, id, 10, on_workers, &o, &err));
    assert_int_equal(o.count, 0);
    add_join_token(2, SLICE_LITERAL("Ana"));
    store_enrolment again = new_enrolment(2, 1);
    outcome refused = enrol(&again);
    assert_int_equal(refused.code, ERROR_DENIED);
    assert_non_null(strstr(refused.text, "revoked"));
    id[0] = 77;
    assert_true(store_worker_revoke(site, id, NOW_MS, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_false(store_worker_revoke(site, id, 0, on_done, &o, &err));
}

static void test_a_revocation_is_undone_by_a_person_alone(void **state) {
    (void)state;
    outcome o = {0};
    uint8_t id[STORE_WORKER_ID_SIZE];
    memset(id, 1, sizeof id);
    assert_true(store_worker_revoke(site, id, NOW_MS, on_done, &o, &err));
    for (int i = 0; i < 2; i++) {
        assert_true(store_worker_restore(site, id, on_done, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    assert_true(store_load_workers(site, on_workers, &o, &err));
    assert_int_equal(first_worker(&o)->revoked_ms, 0);
    id[0] = 77;
    assert_true(store_worker_restore(site, id, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
}

static void test_a_worker_is_a_referee_as_its_token_says_and_has_the_machine_it_names(void **state) {
    (void)state;
    outcome o = {0};
    uint8_t machine[STORE_MACHINE_SIZE];
    memset(machine, 9, sizeof machine);
    store_join_token token = new_join_token(2, 1);
    token.referee = true;
    assert_true(store_join_token_add(site, &token, on_done, &o, &err));
    store_enrolment again = new_enrolment(2, 1);
    assert_true(store_load_workers(site, on_workers, &o, &err));
    assert_false(first_worker(&o)->referee);
    assert_false(first_worker(&o)->has_machine);
    assert_int_equal(enrol(&again).code, ERROR_NONE);
    assert_true(store_worker_set_machine(site, again.worker_id, machine, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_true(store_load_workers(site, on_workers, &o, &err));
    assert_true(first_worker(&o)->referee);
    assert_true(first_worker(&o)->has_machine);
    assert_memory_equal(first_worker(&o)->machine, machine, sizeof machine);
    add_join_token(3, SLICE_LITERAL("Ana"));
    again = new_enrolment(3, 1);
    assert_int_equal(enrol(&again).code, ERROR_NONE);
    assert_true(store_load_workers(site, on_workers, &o, &err));
    assert_false(first_worker(&o)->referee);
    machine[0] = 77;
    assert_true(store_worker_set_machine(site, machine, machine, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
}

static void test_sightings_of_workers_are_gathered(void **state) {
    (void)state;
    uint8_t id[STORE_WORKER_ID_SIZE];
    memset(id, 1, sizeof id);
    store_statistics before;
    store_stats(site, &before);
    for (uint64_t i = 0; i < 29; i++) {
        assert_true(store_worker_seen(site, id, NOW_MS + i * 1000, &err));
    }
    store_statistics after;
    store_stats(site, &after);
    assert_int_equal(after.commits, before.commits);
    assert_true(store_worker_seen(site, id, NOW_MS + 30000, &err));
    outcome o = {0};
    assert_true(store_load_workers(site, on_workers, &o, &err));
    assert_int_equal(first_worker(&o)->last_seen_ms, NOW_MS + 28000);
    store_close(site);
    site = open_at(&here, NULL);
    assert_true(store_load_workers(site, on_workers, &o, &err));
    assert_int_equal(first_worker(&o)->last_seen_ms, NOW_MS + 30000);
}

static void test_a_receipt_is_given_to_its_owner_alone(void **state) {
    (void)state;
    add_user(SLICE_LITERAL("bo"), 2);
    outcome o = {0};
    store_receipt receipt = new_receipt(1);
    assert_true(store_receipt_add(site, &receipt, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_true(store_receipt_add(site, &receipt, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_CONFLICT);
    assert_true(store_receipt_get(site, receipt.job_id, 1, on_receipt, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.length, receipt.receipt.length);
    assert_memory_equal(o.bytes, receipt.receipt.data, o.length);
    assert_true(store_receipt_get(site, receipt.job_id, 2, on_receipt, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    char of_other[ERROR_TEXT_SIZE];
    memcpy(of_other, o.text, sizeof of_other);
    uint8_t no_job[STORE_JOB_ID_SIZE] = {9};
    assert_true(store_receipt_get(site, no_job, 2, on_receipt, &o, &err));
    assert_string_equal(o.text, of_other);
}

static void on_signed(void *context, const store_receipt *receipt, const error *failure) {
    keep(context, failure);
    assert_non_null(receipt);
    assert_true(receipt->countersigned);
    assert_int_equal(receipt->user_id, 1);
    assert_int_equal(receipt->worker_id[15], 1);
    assert_int_equal(receipt->worker_signature[63], 2);
    assert_int_equal(receipt->worker_key[31], 1);
    assert_int_equal(receipt->salt[31], 3);
    assert_int_equal(receipt->pool_signature[63], 8);
    assert_int_equal(receipt->created_ms, NOW_MS + 1);
}

static void test_a_receipt_is_countersigned_once(void **state) {
    (void)state;
    outcome o = {0};
    store_receipt receipt = new_receipt(1);
    uint8_t signature[STORE_SIGNATURE_SIZE];
    memset(signature, 8, sizeof signature);
    assert_true(store_receipt_set_pool_signature(site, receipt.job_id, signature, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_receipt_add(site, &receipt, on_done, &o, &err));
    for (int i = 0; i < 2; i++) {
        assert_true(store_receipt_set_pool_signature(site, receipt.job_id, signature, on_done, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
    signature[0] = 9;
    assert_true(store_receipt_set_pool_signature(site, receipt.job_id, signature, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_CONFLICT);
    assert_true(store_receipt_get(site, receipt.job_id, 1, on_signed, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void test_a_receipt_is_not_countersigned_by_the_one_before_it(void **state) {
    (void)state;
    outcome o = {0};
    store_receipt receipt = new_receipt(2);
    receipt.countersigned = true;
    memset(receipt.pool_signature, 8, sizeof receipt.pool_signature);
    assert_true(store_receipt_add(site, &receipt, on_done, &o, &err));
    receipt = new_receipt(1);
    assert_true(store_receipt_add(site, &receipt, on_done, &o, &err));
    uint8_t signature[STORE_SIGNATURE_SIZE];
    memset(signature, 7, sizeof signature); /* a conflict if there is one */
    assert_true(store_receipt_set_pool_signature(site, receipt.job_id, signature, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static void test_a_receipt_of_nobody_is_refused(void **state) {
    (void)state;
    outcome o = {0};
    store_receipt receipt = new_receipt(1);
    receipt.user_id = 99;
    assert_true(store_receipt_add(site, &receipt, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    receipt = new_receipt(1);
    receipt.worker_id[0] = 99;
    assert_true(store_receipt_add(site, &receipt, on_done, &o, &err));
    assert_int_equal(o.code, ERROR_INVALID);
    receipt.receipt.length = 0;
    assert_false(store_receipt_add(site, &receipt, on_done, &o, &err));
    receipt.receipt.length = STORE_RECEIPT_MAX + 1;
    assert_false(store_receipt_add(site, &receipt, on_done, &o, &err));
}

static void on_deleted(void *context, size_t count, const error *failure) {
    outcome *o = context;
    keep(o, failure);
    o->count = count;
}

static void test_old_receipts_are_deleted_a_few_at_a_time_oldest_first(void **state) {
    (void)state;
    outcome o = {0};
    for (uint64_t i = 0; i < 10; i++) {
        store_receipt receipt = new_receipt(i);
        assert_true(store_receipt_add(site, &receipt, on_done, &o, &err));
    }
    static const size_t expected[] = {4, 3, 0};
    for (size_t i = 0; i < 3; i++) {
        assert_true(store_receipts_delete_before(site, NOW_MS + 7, 4, on_deleted, &o, &err));
        assert_int_equal(o.count, expected[i]);
        store_receipt next = new_receipt(i == 0 ? 4 : 7);
        assert_true(store_receipt_get(site, next.job_id, 1, on_receipt, &o, &err));
        assert_int_equal(o.code, ERROR_NONE);
    }
}

static void test_facts_of_the_site_are_kept(void **state) {
    (void)state;
    outcome o = {0};
    assert_true(store_meta_get(site, SLICE_LITERAL("pool_id"), on_value, &o, &err));
    assert_int_equal(o.code, ERROR_NOT_FOUND);
    assert_true(store_meta_set(site, SLICE_LITERAL("pool_id"), SLICE_LITERAL("one"), on_done, &o, &err));
    assert_true(store_meta_set(site, SLICE_LITERAL("pool_id"), SLICE_LITERAL("two!"), on_done, &o, &err));
    store_close(site);
    site = open_at(&here, NULL);
    assert_true(store_meta_get(site, SLICE_LITERAL("pool_id"), on_value, &o, &err));
    assert_int_equal(o.length, 4);
    assert_memory_equal(o.bytes, "two!", 4);
    assert_true(store_meta_set(site, SLICE_LITERAL("empty"), (slice){NULL, 0}, on_done, &o, &err));
    assert_true(store_meta_get(site, SLICE_LITERAL("empty"), on_value, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    assert_int_equal(o.length, 0);
    assert_false(store_meta_set(site, SLICE_LITERAL("Bad key"), SLICE_LITERAL(""), on_done, &o, &err));
}

#define SITE_TEST(test) cmocka_unit_test_setup_teardown(test, open_site, close_site)

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_users_are_listed_in_order_page_by_page),
        SITE_TEST(test_a_user_and_its_key_are_added_both_or_neither),
        SITE_TEST(test_bad_names_and_roles_never_reach_the_database),
        SITE_TEST(test_disabling_a_user_takes_its_keys_out_of_what_is_loaded),
        SITE_TEST(test_a_revoked_key_is_listed_but_not_loaded),
        SITE_TEST(test_how_a_keys_answers_are_checked_is_kept_and_changed),
        SITE_TEST(test_a_join_token_enrols_one_machine_once),
        SITE_TEST(test_a_wrong_or_late_join_token_is_refused_and_stays_unused),
        SITE_TEST(test_a_join_token_dies_with_the_account_of_its_maker),
        SITE_TEST(test_a_machine_may_join_again_under_the_same_owner_only),
        SITE_TEST(test_a_worker_id_cannot_be_taken_over_with_another_key),
        SITE_TEST(test_a_revoked_machine_stays_revoked),
        SITE_TEST(test_a_revocation_is_undone_by_a_person_alone),
        SITE_TEST(test_a_worker_is_a_referee_as_its_token_says_and_has_the_machine_it_names),
        SITE_TEST(test_sightings_of_workers_are_gathered),
        SITE_TEST(test_a_receipt_is_given_to_its_owner_alone),
        SITE_TEST(test_a_receipt_is_countersigned_once),
        SITE_TEST(test_a_receipt_is_not_countersigned_by_the_one_before_it),
        SITE_TEST(test_a_receipt_of_nobody_is_refused),
        SITE_TEST(test_old_receipts_are_deleted_a_few_at_a_time_oldest_first),
        SITE_TEST(test_facts_of_the_site_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
