#ifndef STORE_MEMORY_SUPPORT_H
#define STORE_MEMORY_SUPPORT_H

/* What users keep: vaults, conversations and facts of the site that site_support.h opens, each call with its
 * outcome. */
#include "site_support.h"

#include "store/conversations.h"
#include "store/facts.h"
#include "store/recovery.h"
#include "store/vaults.h"

static inline const uint8_t *salt_of(uint8_t seed) {
    static uint8_t salt[STORE_VAULT_SALT_SIZE];
    memset(salt, seed, sizeof salt);
    return salt;
}

static inline store_wrap wrap_of(uint64_t key_id, slice wrapped) {
    return (store_wrap){
        .key_id = key_id, .kind = SLICE_LITERAL("pbkdf2-sha256"), .cost = 600000, .wrapped = wrapped};
}

static inline error_code outcome_of(bool accepted, const outcome *o) {
    assert_int_equal(o->calls, accepted ? 1 : 0);
    error_code code = accepted ? o->code : err.code;
    assert_true(code == ERROR_NONE || (accepted ? o->text[0] : err.text[0]) != '\0');
    return code;
}

static inline error_code add_vault(uint64_t user_id, uint64_t key_id) {
    outcome o = {0};
    store_wrap wrap = wrap_of(key_id, SLICE_LITERAL("wrapped"));
    bool accepted =
        store_vault_add(site, user_id, salt_of((uint8_t)user_id), NOW_MS, &wrap, on_done, &o, &err);
    return outcome_of(accepted, &o);
}

static inline error_code put_wrap(uint64_t user_id, uint64_t key_id, uint64_t instead) {
    outcome o = {0};
    store_wrap wrap = wrap_of(key_id, SLICE_LITERAL("another"));
    bool accepted =
        store_wrap_put(site, user_id, salt_of((uint8_t)user_id), &wrap, instead, on_done, &o, &err);
    return outcome_of(accepted, &o);
}

static inline error_code remove_wrap(uint64_t user_id, uint64_t key_id) {
    outcome o = {0};
    bool accepted = store_wrap_remove(site, user_id, key_id, on_done, &o, &err);
    return outcome_of(accepted, &o);
}

/* Another key of a user's; its hash is its own. */
static inline uint64_t add_key(const char *user, uint16_t seed) {
    outcome o = {0};
    store_new_key key = new_key(0xEE);
    memcpy(key.token_hash, &seed, sizeof seed);
    assert_true(store_key_add(site, slice_of_text(user), &key, on_user_and_key, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    return o.key_id;
}

/* With a key of its own, which is its only one. */
static inline outcome add_user(const char *name, uint16_t seed) {
    outcome o = {0};
    store_new_key key = new_key(0xDD);
    memcpy(key.token_hash, &seed, sizeof seed);
    assert_true(store_user_add(site, slice_of_text(name), SLICE_LITERAL("employee"), &key, on_user_and_key,
                               &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    return o;
}

static inline void on_revoked_keys(void *context, const store_revoked_key *keys, size_t count,
                                   const error *failure) {
    keep(context, failure);
    assert_int_equal(keys == NULL, failure != NULL);
    ((outcome *)context)->count = count;
}

static inline void revoke_key(uint64_t key_id) {
    outcome o = {0};
    store_key_revocation revocation = {.key_id = key_id, .now_ms = NOW_MS};
    assert_true(store_key_revoke(site, &revocation, on_revoked_keys, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
}

static inline void on_erased(void *context, bool more, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = more ? 1 : 0;
}

/* One step; whether there is more. */
static inline bool erase_step(uint64_t user_id) {
    outcome o = {0};
    assert_true(store_vault_erase(site, user_id, on_erased, &o, &err));
    assert_int_equal(o.code, ERROR_NONE);
    return o.count == 1;
}

/* The user's shares: of so many officers, two needed, each `sealed`; 0: none. */
static inline bool share_out(uint64_t user_id, uint8_t set, size_t count, slice sealed, outcome *o) {
    static const char *const names[] = {"olga", "otto", "oskar"};
    store_recovery_share shares[3];
    store_recovery all = {.needed = 2, .shares = shares, .count = count};
    memcpy(all.salt, salt_of((uint8_t)user_id), sizeof all.salt);
    memset(all.set, set, sizeof all.set);
    for (size_t i = 0; i < count; i++) {
        shares[i] = (store_recovery_share){.officer = slice_of_text(names[i]), .sealed = sealed};
        memset(shares[i].public_key, (int)i, sizeof shares[i].public_key);
        memset(shares[i].digest, set, sizeof shares[i].digest);
    }
    return store_recovery_put(site, user_id, &all, on_done, o, &err);
}

static inline void id_of(uint8_t id[16], uint64_t number) {
    memset(id, 0xC0, 16);
    for (size_t i = 0; i < 8; i++) { /* in the order of the numbers */
        id[i] = (uint8_t)(number >> (56 - 8 * i));
    }
}

/* A turn of the user's conversation `number`; it begins it if there is a head. */
static inline error_code add_turn(uint64_t user_id, uint64_t number, const char *sealed, const char *head) {
    static uint64_t job;
    outcome o = {0};
    store_new_turn turn = {.user_id = user_id,
                           .created_ms = NOW_MS + number,
                           .sealed = slice_of_text(sealed),
                           .head = slice_of_text(head)};
    id_of(turn.conversation, number);
    id_of(turn.id, ++job);
    bool accepted = store_turn_add(site, &turn, on_done, &o, &err);
    return outcome_of(accepted, &o);
}

static inline error_code add_fact(uint64_t user_id, uint64_t number, slice sealed) {
    outcome o = {0};
    store_fact fact = {.changed_ms = NOW_MS + number, .sealed = sealed};
    id_of(fact.id, number);
    bool accepted = store_fact_add(site, user_id, &fact, 1000000, on_done, &o, &err);
    return outcome_of(accepted, &o);
}

static const char *const memory_tables[] = {"vaults", "vault_wraps", "conversations",  "conversation_heads",
                                            "turns",  "facts",       "recovery_shares"};

/* Of all of them, of one user. */
static inline uint64_t rows_kept_of(uint64_t user_id) {
    uint64_t rows = 0;
    for (size_t i = 0; i < sizeof memory_tables / sizeof memory_tables[0]; i++) {
        char where[80];
        snprintf(where, sizeof where, "%s WHERE user_id = %llu", memory_tables[i],
                 (unsigned long long)user_id);
        rows += count_rows(&here, where);
    }
    return rows;
}

#endif
