#include "revoke/revoke.h"

#include "base/log.h"
#include "job.h"
#include "memory/keyring.h"
#include "os/clock.h"
#include "session.h"
#include "sso/logins.h"

enum { MADE_AT_ONCE = 64 }; /* keys made with one that is revoked: more than count of a user */

static const char everything_reason[] = "everything was revoked; ask the admin to be enrolled again";
static const char owner_reason[] = "all workers of this owner were revoked; ask the admin";

/* In memory and on the wire; true if it could serve until now. */
static bool shut_out(fleet_worker *worker, const char *reason, uint64_t unix_ms) {
    bool was_live = worker->revoked_ms == 0;
    if (was_live) {
        worker->revoked_ms = unix_ms;
    }
    session_revoke(worker, reason);
    return was_live;
}

bool revoke_worker(pool *p, fleet_worker *worker, const char *reason, store_done *done, void *context,
                   error *err) {
    while (worker->successor != NULL) { /* the key that counts */
        worker = worker->successor;
    }
    (void)shut_out(worker, reason, clock_unix_ms());
    return store_worker_revoke(p->store, worker->id, worker->revoked_ms, done, context, err);
}

static void noted(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("a worker is shut out until the pool starts anew, for its revocation was not stored",
                  LOG_CAUSE(failure));
    }
}

void revoke_worker_noted(pool *p, fleet_worker *worker, const char *reason) {
    error err = {0};
    if (!revoke_worker(p, worker, reason, noted, NULL, &err)) {
        noted(NULL, &err);
    }
}

/* In memory, with what asks by it. */
static void shut_out_key(pool *p, const account *gone) {
    uint64_t user_id = gone->user_id;
    uint64_t key_id = gone->key_id;
    accounts_remove_key(p->accounts, gone->token_hash);
    (void)logins_end_key(p, key_id);
    job_end_revoked(p, user_id, key_id);
    keyring_lock(p->keyring, user_id, key_id, 0);
}

/* Those that can be found by way of keys that count; the store finds the rest. */
static void shut_out_made(pool *p, const store_key_revocation *wish) {
    uint64_t makers[MADE_AT_ONCE] = {wish->key_id};
    size_t count = 1;
    for (size_t i = 0; i < count; i++) {
        const account *made = accounts_find_made_with(p->accounts, makers[i], wish->kept);
        while (made != NULL && count < MADE_AT_ONCE &&
               (wish->user_id == 0 || made->user_id == wish->user_id)) {
            makers[count++] = made->key_id;
            shut_out_key(p, made);
            made = accounts_find_made_with(p->accounts, makers[i], wish->kept);
        }
    }
}

bool revoke_key(pool *p, const store_key_revocation *wish, bool *was_live, store_keys_revoked *done,
                void *context, error *err) {
    const account *gone = accounts_find_key_id(p->accounts, wish->key_id);
    *was_live = gone != NULL && (wish->user_id == 0 || gone->user_id == wish->user_id);
    if (*was_live) {
        shut_out_key(p, gone);
    }
    if (wish->with_made) {
        shut_out_made(p, wish);
    }
    return store_key_revoke(p->store, wish, done, context, err);
}

void revoke_keys_again(pool *p, const store_revoked_key *keys, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const account *left = accounts_find_key_id(p->accounts, keys[i].key_id);
        if (left != NULL) {
            shut_out_key(p, left);
        }
        (void)logins_end_key(p, keys[i].key_id);
    }
}

void revoke_user_again(pool *p, uint64_t user_id) {
    accounts_remove_user(p->accounts, user_id);
    (void)logins_end_user(p, user_id);
    job_end_revoked(p, user_id, 0);
    keyring_lock_user(p->keyring, user_id);
}

bool revoke_user(pool *p, slice name, bool *was_live, store_user_disabled *done, void *context, error *err) {
    const account *gone = accounts_find_user(p->accounts, name);
    gone = gone == NULL ? logins_find_user(p->logins, name) : gone;
    *was_live = gone != NULL;
    if (gone != NULL) {
        revoke_user_again(p, gone->user_id);
    }
    return store_user_disable(p->store, name, done, context, err);
}

/* An empty owner: everybody's. */
static size_t shut_out_all(pool *p, slice owner, const char *reason) {
    uint64_t now = clock_unix_ms();
    fleet_worker *worker = NULL;
    size_t count = 0;
    for (size_t i = 0; (worker = fleet_next(p->fleet, &i)) != NULL;) {
        if (owner.length == 0 || slice_equal_text(owner, worker->owner)) {
            count += shut_out(worker, reason, now);
        }
    }
    return count;
}

void revoke_owner_again(pool *p, slice owner) {
    (void)shut_out_all(p, owner, owner_reason);
}

bool revoke_owner(pool *p, slice owner, bool *was_live, store_revoked_many *done, void *context, error *err) {
    *was_live = owner.length > 0 && shut_out_all(p, owner, owner_reason) > 0;
    return store_revoke_owner(p->store, owner, clock_unix_ms(), done, context, err);
}

/* Questions first: without them a worker's end moves nothing to the next that ends. */
static void end_everything(pool *p, const uint8_t *kept, uint64_t kept_login) {
    accounts_remove_all_but(p->accounts, kept);
    (void)logins_end_all_but(p, kept_login);
    job_end_all_revoked(p);
    keyring_lock_all(p->keyring);
    (void)shut_out_all(p, (slice){NULL, 0}, everything_reason);
}

bool revoke_everything(pool *p, const account *who, const store_new_key *back, store_revoked_many *done,
                       void *context, error *err) {
    uint8_t kept[STORE_HASH_SIZE];
    uint64_t user_id = who->user_id;
    memcpy(kept, who->token_hash, sizeof kept);
    end_everything(p, kept, who->login);
    return store_revoke_everything(p->store, user_id, back, clock_unix_ms(), done, context, err);
}

bool revoke_everything_again(pool *p, const store_loaded_key *back, error *err) {
    end_everything(p, NULL, 0);
    return accounts_add_stored(p->accounts, back, err);
}
