#include "base/log.h"
#include "base/memory.h"
#include "logins_internal.h"
#include "os/clock.h"

/* The keys that sign session tokens: sealed in the database, private halves in the vault alone. */

typedef struct loading {
    pool *pool;
    error failure;
} loading;

static bool open_key(pool *p, const store_session_key *stored, error *err) {
    sign_key *key = session_keys_take(&p->privilege.session_keys, stored->id, stored->sealed, err);
    return key != NULL && auth_key_ring_add(&p->logins->ring, key, stored->begins_ms, err);
}

static void keys_loaded(void *context, const store_session_key *keys, size_t count, const error *failure) {
    loading *l = context;
    if (failure != NULL) {
        l->failure = *failure;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (!open_key(l->pool, &keys[i], &l->failure)) {
            (void)error_context(&l->failure, "the keys of session tokens");
            return;
        }
    }
}

static void keep_failure(void *context, const error *failure) {
    if (failure != NULL) {
        *(error *)context = *failure;
    }
}

static bool make_first_key(pool *p, store *database, error *err) {
    error failure = {0};
    buffer sealed = buffer_make(STORE_SESSION_KEY_MAX);
    store_session_key stored = {.begins_ms = clock_unix_ms()};
    sign_key *key = session_keys_draw(&p->privilege.session_keys, stored.id, &sealed, err);
    stored.sealed = buffer_slice(&sealed);
    bool kept = key != NULL && store_session_key_add(database, &stored, false, keep_failure, &failure, err);
    buffer_wipe(&sealed);
    if (kept && failure.code != ERROR_NONE) {
        *err = failure;
        kept = false;
    }
    if (!kept) {
        sign_key_free(key);
        return false;
    }
    return auth_key_ring_add(&p->logins->ring, key, stored.begins_ms, err);
}

bool login_keys_load(pool *p, store *database, error *err) {
    loading l = {.pool = p};
    if (!store_load_session_keys(database, keys_loaded, &l, err)) {
        return false;
    }
    if (l.failure.code != ERROR_NONE) {
        *err = l.failure;
        return false;
    }
    return p->logins->ring.count > 0 || make_first_key(p, database, err);
}

void logins_write_keys(const pool *p, buffer *json) {
    auth_key_ring_write(&p->logins->ring, clock_unix_ms(), json);
}

/* A new key on its way to the store. */
typedef struct rotation {
    pool *pool;
    sign_key *key;
    uint64_t begins_ms;
    bool at_once;
    store_done *done;
    void *context;
} rotation;

static void key_stored(void *context, const error *failure) {
    rotation r = *(rotation *)context;
    error err = {0};
    memory_free(context);
    logins *all = r.pool->logins;
    all->is_rotating = false;
    if (failure != NULL) {
        sign_key_free(r.key);
    } else {
        if (r.at_once) {
            auth_key_ring_free(&all->ring);
            logins_forget_tokens(all);
        }
        if (!auth_key_ring_add(&all->ring, r.key, r.begins_ms, &err)) {
            failure = &err;
        } else {
            log_info("session key made", LOG_U64("begins_ms", r.begins_ms));
        }
    }
    r.done(r.context, failure);
}

bool logins_rotate_key(pool *p, bool at_once, store_done *done, void *context, error *err) {
    logins *all = p->logins;
    buffer sealed = buffer_make(STORE_SESSION_KEY_MAX);
    store_session_key stored = {.begins_ms = clock_unix_ms() + (at_once ? 0 : LOGIN_KEY_LEAD_MS)};
    if (all->is_rotating || (!at_once && all->ring.count == AUTH_RING_MAX)) {
        return error_set(err, ERROR_CONFLICT, "the key of session tokens is being changed; try again later");
    }
    rotation *r = memory_allocate_zeroed(1, sizeof *r);
    if (r == NULL) {
        return error_memory(err);
    }
    *r = (rotation){.pool = p,
                    .key = session_keys_draw(&p->privilege.session_keys, stored.id, &sealed, err),
                    .begins_ms = stored.begins_ms,
                    .at_once = at_once,
                    .done = done,
                    .context = context};
    stored.sealed = buffer_slice(&sealed);
    bool queued = r->key != NULL && store_session_key_add(p->store, &stored, at_once, key_stored, r, err);
    buffer_wipe(&sealed);
    if (!queued) {
        sign_key_free(r->key);
        memory_free(r);
        return false;
    }
    all->is_rotating = true;
    return true;
}

static void rotated(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("no new key for session tokens", LOG_CAUSE(failure));
    }
}

static void deleted(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_warning("an ended session key is still in the database", LOG_CAUSE(failure));
    }
}

void login_keys_keep_house(pool *p, uint64_t now_ms) {
    logins *all = p->logins;
    error err = {0};
    char key_id[AUTH_RING_ID_LENGTH + 1];
    uint8_t id[STORE_SESSION_ID_SIZE];
    while (auth_key_ring_drop_ended(&all->ring, now_ms, key_id)) {
        if (!vault_row_of(key_id, id, &err) || !store_session_key_delete(p->store, id, deleted, NULL, &err)) {
            deleted(NULL, &err);
        }
    }
    uint64_t last_begins = all->ring.count == 0 ? 0 : all->ring.keys[all->ring.count - 1].begins_ms;
    bool due = now_ms + LOGIN_KEY_LEAD_MS >= last_begins + p->settings.session_key_days * CLOCK_DAY_MS;
    if (due && !all->is_rotating && !logins_rotate_key(p, false, rotated, NULL, &err)) {
        rotated(NULL, &err);
    }
}
