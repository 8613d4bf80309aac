#include "keyring_internal.h"

#include "auth/token.h"
#include "base/memory.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "os/clock.h"
#include "os/random.h"
#include "recovery/cover.h"
#include "recovery/requests.h"

/* From a token to the data key:
 *
 *   the vault is read ──there is none──> told so, or a data key is drawn and wrapped ──> stored ──> open
 *    │    └─ no wrap of this key: refused, or what the officers gave        another was first: from the start
 *    │       (recovery/) is wrapped ──> stored ──> open
 *    └─ its wrap is opened ──> open
 *
 * A key that doesn't count any more is found by the hash of its token beside its wrap, if that is left, so
 * that what is no token of the user's costs no stretching.
 *
 * Whoever asks with the same token meanwhile waits for the same. */

enum { TRIES_MAX = 3 };
_Static_assert((int)AUTH_USER_KEY_LENGTH <= (int)SLOT_SIZE && (int)RECORD_KEY_SIZE <= (int)SLOT_SIZE,
               "they fit");

struct keyring_wait {
    list_node node; /* in opening.waits; alone once forgotten */
    uint64_t key_id;
    uint64_t login;
    keyring_opened *done;
    void *context;
};

static void free_opening(opening *o) {
    while (!list_is_empty(&o->waits)) {
        keyring_wait *wait = LIST_ENTRY(list_first(&o->waits), keyring_wait, node);
        list_remove(&wait->node);
        memory_free(wait);
    }
    list_remove(&o->node);
    slots_give(o->ring->slots, o->token);
    slots_give(o->ring->slots, o->data_key);
    buffer_wipe(&o->work.made);
    memory_free(o);
}

void keyring_free_openings(keyring *ring) {
    while (!list_is_empty(&ring->openings)) {
        free_opening(LIST_ENTRY(list_first(&ring->openings), opening, node));
    }
}

void keyring_void_openings(keyring *ring, uint64_t user_id) {
    for (list_node *node = ring->openings.next; node != &ring->openings; node = node->next) {
        opening *o = LIST_ENTRY(node, opening, node);
        o->erased = o->erased || o->user_id == user_id;
    }
}

void keyring_forget(keyring_wait *wait) {
    list_remove(&wait->node);
    memory_free(wait);
}

/* What a waiter does may forget another, or open anew: each is taken off before it is told. */
static void tell(opening *o, open_vault *v, const error *failure) {
    list_remove(&o->node);
    if (v != NULL) {
        keyring_hold(v);
    }
    while (!list_is_empty(&o->waits)) {
        keyring_wait wait = *LIST_ENTRY(list_first(&o->waits), keyring_wait, node);
        error err = {0};
        keyring_forget(LIST_ENTRY(list_first(&o->waits), keyring_wait, node));
        bool proved = v == NULL || (!v->closed && keyring_prove(v, wait.key_id, wait.login, &err));
        if (!proved && err.code == ERROR_NONE) {
            error_set(&err, ERROR_CONFLICT, "your memory was locked meanwhile; ask again");
        }
        wait.done(wait.context, proved ? v : NULL, proved ? failure : &err);
    }
    if (v != NULL) {
        keyring_give_back(v);
    }
    free_opening(o);
}

/* The key may have been revoked while it was stretched. One that was before opens for who asks, whose right
 * is looked at again by whoever waits. */
static void opened(opening *o) {
    error err = {0};
    if (o->erased) {
        error_set(&err, ERROR_CONFLICT, "what you keep was erased meanwhile; ask again to begin anew");
        tell(o, NULL, &err);
        return;
    }
    uint8_t *data_key = o->data_key;
    uint64_t key_id = 0;
    if (!o->is_past && !keyring_key_of(o->ring, o->user_id, slice_of(o->token, o->token_length), &key_id)) {
        error_set(&err, ERROR_DENIED, "this key was revoked");
        tell(o, NULL, &err);
        return;
    }
    o->data_key = NULL;
    open_vault *v = keyring_put(o->ring, o->user_id, o->work.owner.salt, data_key, &err);
    if (v != NULL) {
        cover_vault(o->ring->pool, v);
    }
    tell(o, v, v == NULL ? &err : NULL);
}

static void read_vault(opening *o);

static void vault_added(void *context, const error *failure) {
    opening *o = context;
    if (failure == NULL) {
        opened(o);
    } else if (failure->code == ERROR_CONFLICT && ++o->tries < TRIES_MAX) {
        slots_give(o->ring->slots, o->data_key);
        o->data_key = NULL;
        read_vault(o);
    } else {
        tell(o, NULL, failure);
    }
}

static store_wrap wrap_of(const opening *o) {
    return (store_wrap){.key_id = o->key_id,
                        .kind = slice_of_text(wrap_kind),
                        .cost = WRAP_COST,
                        .wrapped = buffer_slice(&o->work.made)};
}

static void wrapped(derivation *d, const error *failure) {
    opening *o = LIST_ENTRY(d, opening, work);
    error err = {0};
    store_wrap wrap = wrap_of(o);
    if (failure != NULL) {
        tell(o, NULL, failure);
    } else if (!store_vault_add(o->ring->pool->store, o->user_id, d->owner.salt, d->unix_ms, &wrap,
                                vault_added, o, &err)) {
        tell(o, NULL, &err);
    }
    /* The store may have called already only where it has no loop, which a pool that serves never has. */
}

/* What the officers gave is used up; where the vault has gone it is of no use. */
static void recovered(void *context, const error *failure) {
    opening *o = context;
    recovery *given = recovery_of(o->ring->pool->recoveries, o->user_id);
    if (given != NULL && given->key_id == o->key_id &&
        (failure == NULL || failure->code == ERROR_NOT_FOUND)) {
        recovery_end(given);
    }
    if (failure == NULL) {
        opened(o);
    } else {
        tell(o, NULL, failure);
    }
}

static void rewrapped(derivation *d, const error *failure) {
    opening *o = LIST_ENTRY(d, opening, work);
    error err = {0};
    store_wrap wrap = wrap_of(o);
    if (failure != NULL) {
        tell(o, NULL, failure);
    } else if (!store_wrap_put(o->ring->pool->store, o->user_id, d->owner.salt, &wrap, 0, recovered, o,
                               &err)) {
        tell(o, NULL, &err);
    }
}

static void unwrapped(derivation *d, const error *failure) {
    opening *o = LIST_ENTRY(d, opening, work);
    if (failure != NULL) {
        tell(o, NULL, failure);
    } else {
        opened(o);
    }
}

static bool take_room(opening *o, error *err) {
    o->data_key = slots_take(o->ring->slots, err);
    return o->data_key != NULL;
}

static bool derive(opening *o, error *err) {
    o->work.data_key = o->data_key;
    o->work.token = slice_of(o->token, o->token_length);
    o->work.owner.user_id = o->user_id;
    o->work.owner.key_id = o->key_id;
    o->work.unix_ms = clock_unix_ms();
    return derive_submit(o->ring->derivations, &o->work, err);
}

static bool make(opening *o, error *err) {
    o->work = (derivation){.makes = true, .done = wrapped};
    return random_bytes(o->work.owner.salt, sizeof o->work.owner.salt, err) && take_room(o, err) &&
           random_bytes(o->data_key, RECORD_KEY_SIZE, err) && derive(o, err);
}

/* The officers have given the data key, which is wrapped for this key as well. */
static bool rewrap(opening *o, const store_vault *found, const uint8_t *data_key, error *err) {
    o->work = (derivation){.makes = true, .done = rewrapped};
    memcpy(o->work.owner.salt, found->salt, sizeof o->work.owner.salt);
    if (!take_room(o, err)) {
        return false;
    }
    memcpy(o->data_key, data_key, RECORD_KEY_SIZE);
    return derive(o, err);
}

static const store_wrap *find_wrap(const store_vault *found, const opening *o) {
    for (size_t i = 0; i < found->wrap_count; i++) {
        if (hash_equal(found->wraps[i].token_hash, o->token_hash, sizeof o->token_hash)) {
            return &found->wraps[i];
        }
    }
    return NULL;
}

static bool refuse_unknown(error *err) {
    return error_set(err, ERROR_DENIED, "this isn't one of your keys");
}

static bool unwrap(opening *o, const store_vault *found, error *err) {
    if (found->wrap_count == 0) {
        return error_set(err, ERROR_CONFLICT, "what you keep is being erased; ask again in a moment");
    }
    const store_wrap *wrap = find_wrap(found, o);
    const uint8_t *given = recovery_ready(o->ring->pool, o->user_id, o->key_id, found->salt);
    if (wrap == NULL && given != NULL) {
        return rewrap(o, found, given, err);
    }
    if (wrap == NULL && o->is_past) {
        return refuse_unknown(err);
    }
    if (wrap == NULL) {
        return error_set(
            err, ERROR_DENIED,
            "this key doesn't open what you keep here, as another of your keys does; add it with that "
            "one: cellule memory key add");
    }
    if (wrap->kind.length > sizeof o->kind || wrap->wrapped.length > sizeof o->wrapped) {
        return error_set(err, ERROR_CORRUPT, "a wrap in the database is too long");
    }
    o->key_id = wrap->key_id;
    memcpy(o->kind, wrap->kind.data, wrap->kind.length);
    memcpy(o->wrapped, wrap->wrapped.data, wrap->wrapped.length);
    o->work = (derivation){.kind = slice_of(o->kind, wrap->kind.length),
                           .cost = wrap->cost,
                           .wrapped = slice_of(o->wrapped, wrap->wrapped.length),
                           .done = unwrapped};
    memcpy(o->work.owner.salt, found->salt, sizeof o->work.owner.salt);
    return take_room(o, err) && derive(o, err);
}

static void vault_found(void *context, const store_vault *found, const error *failure) {
    opening *o = context;
    error err = {0};
    if (failure != NULL) {
        tell(o, NULL, failure);
    } else if (found == NULL && !o->makes) {
        tell(o, NULL, o->is_past && !refuse_unknown(&err) ? &err : NULL);
    } else if (found == NULL ? !make(o, &err) : !unwrap(o, found, &err)) {
        tell(o, NULL, &err);
    }
}

static void read_vault(opening *o) {
    error err = {0};
    buffer_wipe(&o->work.made);
    if (!store_vault_get(o->ring->pool->store, o->user_id, vault_found, o, &err)) {
        tell(o, NULL, &err);
    }
}

static opening *find_opening(const keyring *ring, const opening *wanted) {
    for (list_node *node = ring->openings.next; node != &ring->openings; node = node->next) {
        opening *o = LIST_ENTRY(node, opening, node);
        if (o->user_id == wanted->user_id && o->makes == wanted->makes && !o->erased &&
            hash_equal(o->token_hash, wanted->token_hash, sizeof o->token_hash)) {
            return o;
        }
    }
    return NULL;
}

bool keyring_key_of(const keyring *ring, uint64_t user_id, slice token, uint64_t *key_id) {
    uint8_t token_hash[AUTH_HASH_SIZE];
    error ignored = {0};
    const account *owner = auth_user_key_hash(token, token_hash, &ignored)
                               ? accounts_find(ring->pool->accounts, token_hash, clock_unix_ms())
                               : NULL;
    bool is_own = owner != NULL && owner->user_id == user_id;
    *key_id = is_own ? owner->key_id : 0;
    return is_own;
}

static opening *start_opening(keyring *ring, const opening *wanted, slice token, error *err) {
    opening *o = memory_allocate_zeroed(1, sizeof *o);
    if (o == NULL) {
        error_memory(err);
        return NULL;
    }
    *o = *wanted;
    o->ring = ring;
    o->work.made = buffer_make(WRAP_SIZE_MAX);
    list_init(&o->node);
    list_init(&o->waits);
    o->token = slots_take(ring->slots, err);
    if (o->token == NULL) {
        free_opening(o);
        return NULL;
    }
    memcpy(o->token, token.data, token.length);
    o->token_length = token.length;
    if (!store_vault_get(ring->pool->store, o->user_id, vault_found, o, err)) {
        free_opening(o);
        return NULL;
    }
    list_append(&ring->openings, &o->node);
    return o;
}

/* Whose the token is, by what is known here. A key of somebody else's is refused before anything is read. */
static bool describe(const keyring *ring, uint64_t user_id, slice token, bool make_one, opening *wanted,
                     error *err) {
    *wanted = (opening){.user_id = user_id};
    if (!auth_user_key_hash(token, wanted->token_hash, err)) {
        return err->code == ERROR_DENIED ? refuse_unknown(err) : false;
    }
    const account *owner = accounts_find(ring->pool->accounts, wanted->token_hash, clock_unix_ms());
    if (owner != NULL && owner->user_id != user_id) {
        return refuse_unknown(err);
    }
    wanted->is_past = owner == NULL;
    wanted->key_id = owner == NULL ? 0 : owner->key_id;
    wanted->makes = make_one && owner != NULL;
    return true;
}

keyring_wait *keyring_open(keyring *ring, const account *who, slice token, bool make_one,
                           keyring_opened *done, void *context, error *err) {
    opening wanted;
    if (!describe(ring, who->user_id, token, make_one, &wanted, err)) {
        return NULL;
    }
    keyring_wait *wait = memory_allocate(sizeof *wait);
    if (wait == NULL) {
        error_memory(err);
        return NULL;
    }
    opening *o = find_opening(ring, &wanted);
    if (o == NULL) {
        o = start_opening(ring, &wanted, token, err);
    }
    if (o == NULL) {
        memory_free(wait);
        return NULL;
    }
    *wait = (keyring_wait){.key_id = who->key_id, .login = who->login, .done = done, .context = context};
    list_init(&wait->node);
    list_append(&o->waits, &wait->node);
    return wait;
}
