#include "recovery/cover.h"

#include "base/log.h"
#include "base/memory.h"
#include "crypto/secret.h"
#include "os/random.h"

enum { SEALED_MAX = RECOVERY_OFFICERS_MAX * RECOVERY_SEALED_MAX };

_Static_assert((int)RECOVERY_OFFICERS_MAX <= (int)STORE_RECOVERY_SHARES_MAX, "all are stored");
_Static_assert((int)RECOVERY_SEALED_MAX <= (int)STORE_RECOVERY_SHARE_MAX, "a share is stored");

/* Holds the vault until the shares are stored. */
typedef struct cover {
    pool *pool;
    open_vault *vault;
} cover;

static void end(cover *c, const error *failure) {
    if (failure != NULL && failure->code != ERROR_NOT_FOUND) {
        log_warning("a user's memory has no shares for the officers yet; the next opening makes them",
                    LOG_U64("user", c->vault->user_id), LOG_CAUSE(failure));
    }
    keyring_give_back(c->vault);
    memory_free(c);
}

static void stored(void *context, const error *failure) {
    end(context, failure);
}

static slice secret_of(const pool *p) {
    return slice_of(p->site.verify->recovery, sizeof p->site.verify->recovery);
}

bool cover_vouch(const pool *p, uint8_t digest[HASH_SIZE], error *err) {
    uint8_t plain[HASH_SIZE];
    memcpy(plain, digest, sizeof plain);
    return hash_hmac(secret_of(p), slice_of(plain, sizeof plain), digest, err);
}

/* A set's id: random, then what vouches for that. */
enum { SET_RANDOM = RECOVERY_SET_ID_SIZE / 2, SET_PROOF = RECOVERY_SET_ID_SIZE - SET_RANDOM };

static bool prove_set(const pool *p, const uint8_t salt[WRAP_SALT_SIZE], const uint8_t random[SET_RANDOM],
                      uint8_t proof[SET_PROOF], error *err) {
    static const char label[] = "set";
    uint8_t text[sizeof label + WRAP_SALT_SIZE + SET_RANDOM];
    uint8_t mac[HASH_SIZE];
    memcpy(text, label, sizeof label);
    memcpy(text + sizeof label, salt, WRAP_SALT_SIZE);
    memcpy(text + sizeof label + WRAP_SALT_SIZE, random, SET_RANDOM);
    bool made = hash_hmac(secret_of(p), slice_of(text, sizeof text), mac, err);
    if (made) {
        memcpy(proof, mac, SET_PROOF);
    }
    return made;
}

static bool is_vouched_for(const pool *p, const store_recovery *found) {
    uint8_t proof[SET_PROOF];
    error ignored = {0};
    return prove_set(p, found->salt, found->set, proof, &ignored) &&
           hash_equal(proof, found->set + SET_RANDOM, SET_PROOF);
}

bool cover_is_present(const pool *p, const store_recovery *found, const officers *wanted) {
    if (found->count != wanted->count || (found->count > 0 && found->needed != wanted->needed) ||
        (found->count > 0 && !is_vouched_for(p, found))) {
        return false;
    }
    for (size_t i = 0; i < found->count; i++) {
        const officer *one = officers_find(wanted, found->shares[i].officer);
        if (one == NULL || memcmp(one->public_key, found->shares[i].public_key, BOX_KEY_SIZE) != 0) {
            return false;
        }
    }
    return true;
}

/* What is stored, as it is made. */
typedef struct cover_set {
    recovery_set common;
    store_recovery_share rows[RECOVERY_OFFICERS_MAX];
    size_t lengths[RECOVERY_OFFICERS_MAX];
    buffer sealed; /* one behind the other */
} cover_set;

static bool seal_each(const pool *p, cover_set *set, const officers *wanted, const uint8_t *parts,
                      error *err) {
    recovery_share share = {.set = set->common};
    bool good = true;
    for (size_t i = 0; good && i < wanted->count; i++) {
        size_t before = buffer_length(&set->sealed);
        share.point = (uint8_t)(i + 1);
        memcpy(share.bytes, parts + i * RECORD_KEY_SIZE, RECORD_KEY_SIZE);
        memcpy(share.officer, wanted->all[i].name, sizeof share.officer);
        set->rows[i].officer = slice_of_text(wanted->all[i].name);
        memcpy(set->rows[i].public_key, wanted->all[i].public_key, BOX_KEY_SIZE);
        good = recovery_seal(&share, wanted->all[i].public_key, set->rows[i].digest, &set->sealed, err) &&
               cover_vouch(p, set->rows[i].digest, err);
        set->lengths[i] = buffer_length(&set->sealed) - before;
    }
    secret_wipe(&share, sizeof share);
    return good;
}

static bool split(const pool *p, cover_set *set, const officers *wanted, const uint8_t *data_key,
                  error *err) {
    uint8_t parts[RECOVERY_OFFICERS_MAX * RECORD_KEY_SIZE];
    bool good = random_bytes(set->common.id, SET_RANDOM, err) &&
                prove_set(p, set->common.salt, set->common.id, set->common.id + SET_RANDOM, err) &&
                recovery_make_check(&set->common, data_key, err) &&
                share_split(slice_of(data_key, RECORD_KEY_SIZE), wanted->needed, (unsigned)wanted->count,
                            parts, err) &&
                seal_each(p, set, wanted, parts, err);
    secret_wipe(parts, sizeof parts);
    size_t at = 0;
    for (size_t i = 0; good && i < wanted->count; i++) {
        set->rows[i].sealed = slice_part(buffer_slice(&set->sealed), at, set->lengths[i]);
        at += set->lengths[i];
    }
    return good;
}

static bool put(cover *c, const officers *wanted, error *err) {
    const open_vault *v = c->vault;
    cover_set set = {
        .common = {.user_id = v->user_id, .needed = wanted->needed, .count = (uint8_t)wanted->count},
        .sealed = buffer_make(SEALED_MAX)};
    memcpy(set.common.salt, v->salt, sizeof set.common.salt);
    bool good = wanted->count == 0 || split(c->pool, &set, wanted, v->data_key, err);
    store_recovery rows = {.needed = wanted->needed, .shares = set.rows, .count = wanted->count};
    memcpy(rows.salt, v->salt, sizeof rows.salt);
    memcpy(rows.set, set.common.id, sizeof rows.set);
    good = good && store_recovery_put(c->pool->store, v->user_id, &rows, stored, c, err);
    buffer_free(&set.sealed);
    return good;
}

static void found(void *context, const store_recovery *has, const error *failure) {
    cover *c = context;
    officers wanted;
    error err = {0};
    (void)officers_present(c->pool, &wanted);
    if (failure != NULL || has == NULL || cover_is_present(c->pool, has, &wanted)) {
        end(c, failure);
    } else if (!put(c, &wanted, &err)) {
        end(c, &err);
    }
}

void cover_vault(pool *p, open_vault *v) {
    error err = {0};
    cover *c = memory_allocate(sizeof *c);
    if (c == NULL) {
        log_warning("memory is out; a user's shares are looked at when his memory is next opened",
                    LOG_U64("user", v->user_id));
        return;
    }
    *c = (cover){.pool = p, .vault = v};
    keyring_hold(v);
    if (!store_recovery_get(p->store, v->user_id, 0, found, c, &err)) {
        end(c, &err);
    }
}
