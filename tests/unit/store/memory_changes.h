#ifndef STORE_MEMORY_CHANGES_H
#define STORE_MEMORY_CHANGES_H

/* A site with two users of whom one keeps some of everything, each kind of change to that, and a number for
 * all that is there. Files alone. */
#include "memory_support.h"

static uint64_t bo, bo_key, second_key;

static inline slice of_1000_bytes(void) {
    static const uint8_t bytes[1000] = {1, 2, 3};
    return slice_of(bytes, sizeof bytes);
}

/* Two users, of whom ana keeps two of each; a site of its own each time. */
static inline void fill_kept(void) {
    (void)open_site(NULL);
    outcome added = add_user("bo", 1);
    bo = added.user_id;
    bo_key = added.key_id;
    second_key = add_key("ana", 2);
    assert_int_equal(add_vault(1, 1), ERROR_NONE);
    assert_int_equal(put_wrap(1, second_key, 0), ERROR_NONE);
    outcome shared = {0};
    assert_true(share_out(1, 1, 2, SLICE_LITERAL("share"), &shared));
    assert_int_equal(shared.code, ERROR_NONE);
    for (uint64_t i = 1; i <= 2; i++) {
        assert_int_equal(add_turn(1, i, "turn", "head"), ERROR_NONE);
        assert_int_equal(add_fact(1, i, of_1000_bytes()), ERROR_NONE);
    }
}

/* Without the turns' numbers: what fails uses some up. */
static inline uint64_t digest_in_server(void) {
    static const char sql[] =
        "SELECT CAST(CAST(concat('x', left(md5(string_agg(line, '|' ORDER BY line)), 15)) AS bit(60)) AS "
        "bigint) "
        "FROM (SELECT concat('v', v) FROM vaults v UNION ALL SELECT concat('w', w) FROM vault_wraps w UNION "
        "ALL "
        "SELECT concat('c', id, '/', turns, '/', bytes, '/', changed_ms, '/', "
        "(SELECT count(*) FROM turns WHERE number <= latest)) FROM conversations UNION ALL "
        "SELECT concat('h', h) FROM conversation_heads h UNION ALL "
        "SELECT concat('t', user_id, '/', conversation, '/', sealed) FROM turns UNION ALL "
        "SELECT concat('f', f) FROM facts f UNION ALL SELECT concat('r', r) FROM recovery_shares r UNION ALL "
        "SELECT concat('k', id, '/', revoked_ms) FROM keys) AS all_rows (line)";
    outside o = outside_open(&here);
    uint64_t sum = outside_ask(&o, sql);
    outside_close(&o);
    return sum;
}

/* A number for all that is there. */
static inline uint64_t digest_kept(void) {
    static const char sql[] =
        "SELECT quote(user_id) || quote(salt) FROM vaults UNION ALL "
        "SELECT quote(user_id) || quote(key_id) || quote(wrapped) FROM vault_wraps UNION ALL "
        "SELECT quote(id) || quote(latest) || quote(turns) || quote(bytes) || quote(changed_ms) "
        "FROM conversations UNION ALL "
        "SELECT quote(id) || quote(sealed) FROM conversation_heads UNION ALL "
        "SELECT quote(number) || quote(conversation) || quote(sealed) FROM turns UNION ALL "
        "SELECT quote(id) || quote(changed_ms) || quote(sealed) FROM facts UNION ALL "
        "SELECT quote(officer) || quote(set_id) || quote(sealed) FROM recovery_shares UNION ALL "
        "SELECT quote(id) || quote(revoked_ms) FROM keys";
    sqlite3 *reader = NULL;
    sqlite3_stmt *statement = NULL;
    uint64_t sum = 14695981039346656037U;
    if (server_of_tests() != NULL) {
        return digest_in_server();
    }
    assert_int_equal(sqlite3_open(here.path, &reader), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(reader, sql, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        for (const unsigned char *c = sqlite3_column_text(statement, 0); *c != '\0'; c++) {
            sum = (sum ^ *c) * 1099511628211U;
        }
    }
    sqlite3_finalize(statement);
    sqlite3_close(reader);
    return sum;
}

static inline void on_expired(void *context, size_t count, const error *failure) {
    keep(context, failure);
    ((outcome *)context)->count = count;
}

enum { CHANGES = 15 };

static inline bool change_conversation(int which, outcome *o) {
    store_new_turn turn = {.user_id = 1, .created_ms = NOW_MS, .sealed = of_1000_bytes()};
    id_of(turn.conversation, which == 4 ? 9 : 1);
    switch (which) {
    case 4:
        turn.head = SLICE_LITERAL("head");
        return store_turn_add(site, &turn, on_done, o, &err);
    case 5:
        return store_turn_add(site, &turn, on_done, o, &err);
    case 6:
        return store_conversation_set_head(site, 1, turn.conversation, SLICE_LITERAL("renamed"), on_done, o,
                                           &err);
    case 7:
        return store_conversation_delete(site, 1, turn.conversation, on_done, o, &err);
    default:
        return store_conversations_expire(site, INT64_MAX, 10, on_expired, o, &err);
    }
}

static inline bool change_facts(int which, outcome *o) {
    store_fact facts[2] = {{.sealed = SLICE_LITERAL("one")}, {.sealed = of_1000_bytes()}};
    id_of(facts[0].id, which == 9 ? 9 : 1);
    id_of(facts[1].id, 2);
    switch (which) {
    case 9:
        return store_fact_add(site, 1, &facts[0], 10, on_done, o, &err);
    case 10:
        return store_facts_replace(site, 1, facts, 2, false, on_done, o, &err);
    case 11:
        return store_fact_delete(site, 1, facts[1].id, on_done, o, &err);
    default:
        return store_facts_expire(site, INT64_MAX, 10, on_expired, o, &err);
    }
}

static inline bool change_something(int which, outcome *o) {
    store_wrap wrap = wrap_of(which == 0 ? bo_key : 1, SLICE_LITERAL("new"));
    store_key_revocation revocation = {.key_id = 1, .with_made = true, .now_ms = NOW_MS};
    switch (which) {
    case 0:
        return store_vault_add(site, bo, salt_of(2), NOW_MS, &wrap, on_done, o, &err);
    case 1:
        return store_wrap_put(site, 1, salt_of(1), &wrap, second_key, on_done, o, &err);
    case 2:
        return store_wrap_remove(site, 1, 1, on_done, o, &err);
    case 3:
        return store_key_revoke(site, &revocation, on_revoked_keys, o, &err);
    case 13:
        return store_vault_erase(site, 1, on_erased, o, &err);
    case 14:
        return share_out(1, 9, 3, SLICE_LITERAL("another"), o);
    default:
        return which < 9 ? change_conversation(which, o) : change_facts(which, o);
    }
}

#endif
