#include "own_keys.h"

#include "audit/audit.h"
#include "auth/token.h"
#include "base/log.h"
#include "base/memory.h"
#include "codec/json.h"
#include "crypto/secret.h"
#include "memory/gate.h"
#include "os/clock.h"
#include "os/random.h"
#include "reply.h"
#include "revoke/revoke.h"

#include <stdio.h>

/* A further key of one's own:
 *
 *   what its user keeps is opened ──> drawn ──> stored ──> it opens what he keeps ──> shown, once
 *     (or he says that it needn't)                 └── whatever fails from here on ──> revoked again
 *
 * so that there is no key that its user never saw, and none that opens less than he was told. If the pool
 * dies in between, a key is left that nobody has; the list shows it. */

enum { BODY_DEPTH = 4, BODY_VALUES = 16, ANSWER_SIZE = 1024 };

static const uint64_t days_limit = 3650;

/* What the request says; in its arena. */
typedef struct key_wish {
    pool *pool;
    http_request *request;
    slice label;
    uint64_t days; /* 0: as long as may be */
    bool opens_memory;
} key_wish;

/* Freed by what comes last. */
typedef struct making {
    pool *pool;
    http_request *request; /* NULL: the client has left */
    open_vault *vault;     /* held; NULL: it opens nothing */
    uint64_t user_id;
    uint64_t made_with; /* 0: a login */
    char user_name[STORE_NAME_MAX + 1];
    char token[AUTH_USER_KEY_LENGTH + 1];
    uint8_t token_hash[STORE_HASH_SIZE];
    uint64_t key_id;
    buffer room; /* for the answer */
} making;

static void free_making(making *m) {
    if (m->request != NULL) {
        http_request_on_closed(m->request, NULL, NULL);
    }
    if (m->vault != NULL) {
        keyring_give_back(m->vault);
    }
    buffer_wipe(&m->room);
    secret_wipe(m, sizeof *m);
    memory_free(m);
}

static void fail(making *m, const error *failure) {
    http_request *request = m->request;
    error cause = *failure;
    free_making(m);
    if (request != NULL) {
        reply_failure(request, &cause);
    }
}

static void undone(void *context, const store_revoked_key *keys, size_t count, const error *failure) {
    (void)context;
    (void)keys;
    (void)count;
    if (failure != NULL) {
        log_error("a key that nobody has could not be revoked; its user's list shows it", LOG_CAUSE(failure));
    }
}

/* It is stored, but its user won't have it. */
static void undo(making *m, const error *failure) {
    error err = {0};
    bool was_live = false;
    store_key_revocation wish = {.key_id = m->key_id, .user_id = m->user_id, .now_ms = clock_unix_ms()};
    if (!revoke_key(m->pool, &wish, &was_live, undone, NULL, &err)) {
        undone(NULL, NULL, 0, &err);
    }
    fail(m, failure);
}

static void enter_made(const making *m) {
    char target[32];
    char detail[64];
    snprintf(target, sizeof target, "key %llu", (unsigned long long)m->key_id);
    if (m->made_with == 0) {
        snprintf(detail, sizeof detail, "made by who logged in by single sign-on");
    } else {
        snprintf(detail, sizeof detail, "made with key %llu", (unsigned long long)m->made_with);
    }
    audit_note(m->pool, &(audit_record){.outcome = AUDIT_NOTED,
                                        .action = auth_action_name(AUTH_KEY_OWN),
                                        .actor = slice_of_text(m->user_name),
                                        .target = slice_of_text(target),
                                        .detail = detail});
    log_info("key made", LOG_U64("by", m->user_id), LOG_U64("key", m->key_id), LOG_U64("with", m->made_with));
}

static void show(making *m, const account *made) {
    http_request *request = m->request;
    reply_json answer = {.body = m->room};
    m->room = (buffer){0};
    answer.w = json_writer_make(&answer.body);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.key"));
    json_add_text(&answer.w, "user", slice_of_text(made->user_name));
    json_add_text(&answer.w, "role", slice_of_text(auth_role_name(made->role)));
    json_add_u64(&answer.w, "key_id", made->key_id);
    json_add_u64(&answer.w, "expires_ms", made->expires_ms);
    json_add_text(&answer.w, "verify", slice_of_text(made->verify_mode));
    json_add_u64(&answer.w, "made_with", made->made_with);
    json_add_bool(&answer.w, "opens_memory", m->vault != NULL);
    json_add_text(&answer.w, "key", slice_of_text(m->token));
    json_write_object_end(&answer.w);
    free_making(m);
    reply_json_end(&answer, request, 201);
}

static void finish(making *m) {
    error err = {0};
    const account *made = accounts_find(m->pool->accounts, m->token_hash, clock_unix_ms());
    if (made == NULL) {
        error_set(&err, ERROR_CONFLICT, "the new key was revoked meanwhile, with the one that made it");
        undo(m, &err);
    } else if (m->request == NULL) {
        undo(m, &err);
    } else {
        enter_made(m);
        show(m, made);
    }
}

static void wrapped(void *context, const error *failure) {
    making *m = context;
    if (failure != NULL) {
        undo(m, failure);
    } else {
        finish(m);
    }
}

/* From here on it counts, though nobody has seen it, so that whoever is shut out meanwhile is so with it. */
static void stored(void *context, const store_loaded_key *key, const error *failure) {
    making *m = context;
    error err = {0};
    if (failure != NULL) {
        accounts_remove_key(m->pool->accounts, m->token_hash);
        fail(m, failure);
        return;
    }
    m->key_id = key->key_id;
    if (!accounts_add_stored(m->pool->accounts, key, &err)) { /* never for memory: the place is reserved */
        undo(m, &err);
    } else if (m->vault == NULL) {
        finish(m);
    } else if (!keyring_wrap(m->vault, m->key_id, slice_of_text(m->token), wrapped, m, &err)) {
        undo(m, &err);
    }
}

static bool draw(making *m, error *err) {
    uint8_t secret[AUTH_SECRET_SIZE];
    if (!random_bytes(secret, sizeof secret, err)) {
        return false;
    }
    auth_user_key_make(secret, m->token);
    secret_wipe(secret, sizeof secret);
    return auth_user_key_hash(slice_of_text(m->token), m->token_hash, err) &&
           (buffer_reserve(&m->room, ANSWER_SIZE) != NULL || error_memory(err));
}

/* No longer than the key that asks, or that the session which asks was made with. */
static bool limit_expiry(const pool *p, const account *who, uint64_t days, uint64_t *expires_ms, error *err) {
    uint64_t now = clock_unix_ms();
    uint64_t most = now + p->settings.own_key_days * CLOCK_DAY_MS;
    if (who->key_id != 0) {
        const account *maker = accounts_find_key_id(p->accounts, who->key_id);
        if (maker == NULL) {
            return error_set(err, ERROR_DENIED, "the key that this session was made with has ended");
        }
        most = maker->expires_ms;
    }
    uint64_t wanted = days == 0 ? 0 : now + days * CLOCK_DAY_MS;
    *expires_ms = wanted == 0 || (most != 0 && most < wanted) ? most : wanted;
    return true;
}

static bool begin(making *m, const account *who, const key_wish *wish, error *err) {
    store_new_key key = {.label = wish->label,
                         .created_ms = clock_unix_ms(),
                         .verify_mode = slice_of_text(who->verify_mode),
                         .made_with = who->key_id,
                         .live_limit = OWN_KEYS_MAX};
    if (!limit_expiry(m->pool, who, wish->days, &key.expires_ms, err) || !draw(m, err) ||
        !accounts_reserve(m->pool->accounts, m->token_hash, err)) {
        return false;
    }
    memcpy(key.token_hash, m->token_hash, sizeof key.token_hash);
    if (!store_key_add(m->pool->store, slice_of_text(who->user_name), &key, stored, m, err)) {
        accounts_remove_key(m->pool->accounts, m->token_hash);
        return false;
    }
    return true;
}

static void client_left(void *context) {
    ((making *)context)->request = NULL;
}

static void make(void *context, const account *who, open_vault *v) {
    const key_wish *wish = context;
    error err = {0};
    making *m = memory_allocate_zeroed(1, sizeof *m);
    if (m == NULL) {
        reply_out_of_memory(wish->request);
        return;
    }
    *m = (making){.pool = wish->pool,
                  .request = wish->request,
                  .vault = v,
                  .user_id = who->user_id,
                  .made_with = who->key_id,
                  .room = buffer_make(ANSWER_SIZE)};
    snprintf(m->user_name, sizeof m->user_name, "%s", who->user_name);
    if (v != NULL) {
        keyring_hold(v);
    }
    http_request_on_closed(m->request, client_left, m);
    if (!begin(m, who, wish, &err)) {
        fail(m, &err);
    }
}

static bool read_wish(pool *p, http_request *request, key_wish *wish, error *err) {
    slice body = http_request_body(request);
    json_value *root = json_parse(
        body.length == 0 ? SLICE_LITERAL("{}") : body,
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    bool read = root != NULL &&
                (json_kind_of(root) == JSON_KIND_OBJECT ||
                 error_set(err, ERROR_INVALID, "the body must be a JSON object")) &&
                json_get_text_or(root, "label", (slice){0}, &wish->label, err) &&
                json_get_u64_or(root, "days", 0, days_limit, 0, &wish->days, err) &&
                json_get_bool_or(root, "opens_memory", true, &wish->opens_memory, err) &&
                (arena_copy(http_request_arena(request), wish->label, &wish->label) || error_memory(err));
    json_free(root);
    return read;
}

void own_key_add(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    key_wish *wish = arena_allocate(http_request_arena(request), sizeof *wish);
    if (wish == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *wish = (key_wish){.pool = p, .request = request};
    if (!read_wish(p, request, wish, &err)) {
        reply_unreadable(request, NULL, &err);
    } else if (wish->opens_memory) {
        memory_open(p, request, who, MEMORY_IF_ANY, make, wish);
    } else {
        make(wish, who, NULL);
    }
}
