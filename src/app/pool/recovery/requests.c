#include "recovery/requests.h"

#include "base/log.h"
#include "base/memory.h"
#include "crypto/secret.h"
#include "os/clock.h"
#include "os/random.h"
#include "recovery/cover.h"

_Static_assert((int)BOX_KEY_SIZE <= (int)SLOT_SIZE && (int)RECORD_KEY_SIZE <= (int)SLOT_SIZE, "they fit");

struct recoveries {
    pool *pool;
    list_node entered; /* recovery.node, the oldest first */
    size_t count;
};

recoveries *recoveries_new(pool *p, error *err) {
    recoveries *all = memory_allocate_zeroed(1, sizeof *all);
    if (all == NULL) {
        error_memory(err);
        return NULL;
    }
    all->pool = p;
    list_init(&all->entered);
    return all;
}

void recovery_end(recovery *r) {
    slots *places = keyring_slots(r->all->pool->keyring);
    list_remove(&r->node);
    slots_give(places, r->private_key);
    slots_give(places, r->data_key);
    for (size_t i = 0; i < r->given_count; i++) {
        slots_give(places, r->given[i].bytes);
    }
    r->all->count--;
    memory_free(r);
}

void recoveries_end(recoveries *all, uint64_t user_id) {
    if (all == NULL) {
        return;
    }
    for (list_node *node = all->entered.next, *next = NULL; node != &all->entered; node = next) {
        recovery *r = LIST_ENTRY(node, recovery, node);
        next = node->next;
        if (user_id == 0 || r->user_id == user_id) {
            recovery_end(r);
        }
    }
}

void recoveries_free(recoveries *all) {
    recoveries_end(all, 0);
    memory_free(all);
}

/* Its time is up, its key has gone, or there are no officers any more. */
static bool is_over(const recovery *r) {
    const pool *p = r->all->pool;
    const account *who = accounts_find_key_id(p->accounts, r->key_id);
    return ev_now_ms(p->loop) - r->since_ms >= RECOVERY_LONGEST_MS || who == NULL ||
           who->user_id != r->user_id || (who->expires_ms != 0 && clock_unix_ms() >= who->expires_ms) ||
           p->settings.recovery_needed == 0;
}

void recoveries_keep_house(recoveries *all) {
    for (list_node *node = all->entered.next, *next = NULL; node != &all->entered; node = next) {
        recovery *r = LIST_ENTRY(node, recovery, node);
        next = node->next;
        if (is_over(r)) {
            recovery_end(r);
        }
    }
}

recovery *recovery_next(recoveries *all, const recovery *last, uint64_t but_user_id) {
    const list_node *node = last == NULL ? all->entered.next : last->node.next;
    for (; node != &all->entered; node = node->next) {
        recovery *r = LIST_ENTRY(node, recovery, node);
        if (r->user_id != but_user_id && !is_over(r)) {
            return r;
        }
    }
    return NULL;
}

recovery *recovery_find(recoveries *all, const uint8_t id[RECOVERY_ID_SIZE]) {
    for (list_node *node = all->entered.next; node != &all->entered; node = node->next) {
        recovery *r = LIST_ENTRY(node, recovery, node);
        if (memcmp(r->id, id, RECOVERY_ID_SIZE) == 0) {
            return is_over(r) ? NULL : r;
        }
    }
    return NULL;
}

recovery *recovery_of(recoveries *all, uint64_t user_id) {
    for (list_node *node = all->entered.next; node != &all->entered; node = node->next) {
        recovery *r = LIST_ENTRY(node, recovery, node);
        if (r->user_id == user_id) {
            return is_over(r) ? NULL : r;
        }
    }
    return NULL;
}

static bool copy_expected(recovery *r, const store_recovery *set, error *err) {
    if (set->count > RECOVERY_OFFICERS_MAX) {
        return error_set(err, ERROR_CORRUPT, "there are too many shares in the database");
    }
    for (size_t i = 0; i < set->count; i++) {
        const store_recovery_share *from = &set->shares[i];
        recovery_expected *to = &r->expected[i];
        if (from->officer.length == 0 || from->officer.length > RECOVERY_NAME_MAX ||
            from->sealed.length == 0 || from->sealed.length > sizeof to->sealed) {
            return error_set(err, ERROR_CORRUPT, "a share in the database is empty or too long");
        }
        memcpy(to->officer, from->officer.data, from->officer.length);
        memcpy(to->public_key, from->public_key, sizeof to->public_key);
        memcpy(to->digest, from->digest, sizeof to->digest);
        memcpy(to->sealed, from->sealed.data, from->sealed.length);
        to->sealed_length = from->sealed.length;
    }
    return true;
}

static bool fill(recovery *r, const account *who, const store_recovery *set, error *err) {
    r->user_id = who->user_id;
    r->key_id = who->key_id;
    memcpy(r->user_name, who->user_name, sizeof r->user_name);
    r->asked_ms = clock_unix_ms();
    r->since_ms = ev_now_ms(r->all->pool->loop);
    r->set =
        (recovery_set){.user_id = who->user_id, .needed = (uint8_t)set->needed, .count = (uint8_t)set->count};
    memcpy(r->set.salt, set->salt, sizeof r->set.salt);
    memcpy(r->set.id, set->set, sizeof r->set.id);
    r->private_key = slots_take(keyring_slots(r->all->pool->keyring), err);
    return r->private_key != NULL && random_bytes(r->id, sizeof r->id, err) &&
           box_make_keys(r->public_key, r->private_key, err) && copy_expected(r, set, err);
}

recovery *recovery_make(recoveries *all, const account *who, const store_recovery *set, error *err) {
    if (all->count >= RECOVERIES_MAX) {
        error_set(err, ERROR_LIMIT, "too many users wait for the officers just now; try again later");
        return NULL;
    }
    const recovery *has = recovery_of(all, who->user_id);
    if (has != NULL && has->changes >= RECOVERY_CHANGES_MAX) {
        error_set(err, ERROR_LIMIT,
                  "you have asked with too many keys today; ask with the last one, or tomorrow");
        return NULL;
    }
    recovery *r = memory_allocate_zeroed(1, sizeof *r);
    if (r == NULL) {
        error_memory(err);
        return NULL;
    }
    list_init(&r->node);
    r->all = all;
    r->changes = has == NULL ? 0 : has->changes + 1;
    all->count++;
    if (!fill(r, who, set, err)) {
        recovery_end(r);
        return NULL;
    }
    return r;
}

void recovery_enter(recovery *r) {
    recoveries_end(r->all, r->user_id);
    list_append(&r->all->entered, &r->node);
}

const recovery_expected *recovery_expect(const recovery *r, const account *who, error *err) {
    officers present;
    slice name = slice_of_text(who->user_name);
    if (who->user_id == r->user_id) {
        error_set(err, ERROR_DENIED, "nobody gives back his own memory; ask the other officers");
        return NULL;
    }
    const officer *one = officers_present(r->all->pool, &present) ? officers_find(&present, name) : NULL;
    if (one == NULL) {
        error_set(err, ERROR_DENIED, "you are no recovery officer (setting recovery_officers)");
        return NULL;
    }
    for (size_t i = 0; i < r->set.count; i++) {
        if (slice_equal_text(name, r->expected[i].officer) &&
            memcmp(one->public_key, r->expected[i].public_key, BOX_KEY_SIZE) == 0) {
            return &r->expected[i];
        }
    }
    error_set(
        err, ERROR_CONFLICT,
        "you have no share of what this user keeps: it was shared out before you were an officer, or for an "
        "older key of yours, which doesn't count any more; other officers have to do it");
    return NULL;
}

/* One person, one share, whatever he is called. */
static bool check_new(const recovery *r, uint64_t user_id, uint8_t point, error *err) {
    for (size_t i = 0; i < r->given_count; i++) {
        if (r->given[i].user_id == user_id || r->given[i].point == point) {
            return error_set(err, ERROR_CONFLICT, "you have given your share; another officer has to");
        }
    }
    return r->data_key == NULL || error_set(err, ERROR_CONFLICT, "enough officers have given their shares");
}

/* The digest is of the whole share; the rest says the same once more, should the database have been changed.
 */
static bool is_expected(const recovery *r, const recovery_expected *expected, const recovery_share *share,
                        const uint8_t digest[HASH_SIZE]) {
    const recovery_set *set = &share->set;
    return hash_equal(digest, expected->digest, HASH_SIZE) && set->user_id == r->user_id &&
           memcmp(set->salt, r->set.salt, sizeof set->salt) == 0 &&
           memcmp(set->id, r->set.id, sizeof set->id) == 0 && set->needed == r->set.needed &&
           set->count == r->set.count && strcmp(share->officer, expected->officer) == 0 &&
           (r->given_count == 0 || hash_equal(set->check, r->set.check, HASH_SIZE));
}

static bool read_share(const recovery *r, const recovery_expected *expected, slice sealed,
                       recovery_share *share, error *err) {
    uint8_t digest[HASH_SIZE];
    if (!recovery_open(r->private_key, sealed, share, digest, err)) {
        return err->code == ERROR_CORRUPT
                   ? error_set(err, ERROR_INVALID, "this isn't a share that was sealed for this request")
                   : false;
    }
    if (!cover_vouch(r->all->pool, digest, err)) {
        return false;
    }
    return is_expected(r, expected, share, digest) ||
           error_set(err, ERROR_INVALID, "this isn't your share of what this user keeps; nothing was taken");
}

static bool keep_share(recovery *r, const account *who, const recovery_share *share, error *err) {
    uint8_t *bytes = slots_take(keyring_slots(r->all->pool->keyring), err);
    if (bytes == NULL) {
        return false;
    }
    memcpy(bytes, share->bytes, RECORD_KEY_SIZE);
    memcpy(r->set.check, share->set.check, HASH_SIZE);
    r->given[r->given_count++] =
        (recovery_given){.user_id = who->user_id, .point = share->point, .bytes = bytes};
    return true;
}

static bool join(recovery *r, error *err) {
    recovery_share shares[RECOVERY_OFFICERS_MAX] = {0};
    const recovery_share *all[RECOVERY_OFFICERS_MAX];
    uint8_t *data_key = slots_take(keyring_slots(r->all->pool->keyring), err);
    if (data_key == NULL) {
        return false;
    }
    for (size_t i = 0; i < r->given_count; i++) {
        shares[i] = (recovery_share){.set = r->set, .point = r->given[i].point};
        memcpy(shares[i].bytes, r->given[i].bytes, RECORD_KEY_SIZE);
        all[i] = &shares[i];
    }
    bool joined = recovery_join(all, r->given_count, data_key, err);
    secret_wipe(shares, sizeof shares);
    if (!joined) {
        slots_give(keyring_slots(r->all->pool->keyring), data_key);
        return false;
    }
    r->data_key = data_key;
    return true;
}

static void take_back(recovery *r) {
    slots_give(keyring_slots(r->all->pool->keyring), r->given[--r->given_count].bytes);
}

bool recovery_give(recovery *r, const account *who, slice sealed, error *err) {
    recovery_share share = {0};
    const recovery_expected *expected = recovery_expect(r, who, err);
    bool good = expected != NULL && read_share(r, expected, sealed, &share, err) &&
                check_new(r, who->user_id, share.point, err) && keep_share(r, who, &share, err);
    secret_wipe(&share, sizeof share);
    if (!good || r->given_count < r->set.needed || join(r, err)) {
        return good;
    }
    if (err->code == ERROR_CORRUPT) {
        recovery_end(r);
    } else {
        take_back(r);
    }
    return false;
}

const uint8_t *recovery_ready(pool *p, uint64_t user_id, uint64_t key_id,
                              const uint8_t salt[WRAP_SALT_SIZE]) {
    const recovery *r = p->recoveries == NULL ? NULL : recovery_of(p->recoveries, user_id);
    return r != NULL && r->key_id == key_id && memcmp(r->set.salt, salt, WRAP_SALT_SIZE) == 0 ? r->data_key
                                                                                              : NULL;
}
