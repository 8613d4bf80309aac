#include "admin_users.h"

#include "auth/token.h"
#include "base/log.h"
#include "codec/json.h"
#include "crypto/secret.h"
#include "os/clock.h"
#include "os/random.h"
#include "reply.h"
#include "revoke/revoke.h"
#include "store/users.h"

enum {
    BODY_DEPTH = 4,
    BODY_VALUES = 64,
    KEY_ANSWER_SIZE = 1024 /* of what is said about a new key, at most */
};

static const uint64_t days_limit = 3650;

/* What a request for a new key says; slices live in the request's arena. */
typedef struct key_wish {
    slice user; /* POST /v1/admin/users: the name */
    slice role;
    slice label;
    slice verify_mode; /* how its answers are checked at least */
    uint64_t expires_ms;
} key_wish;

static bool read_wish(pool *p, http_request *request, bool with_user, key_wish *wish, error *err) {
    slice role = SLICE_LITERAL("employee");
    uint64_t days = 0;
    slice body = http_request_body(request);
    json_value *root = json_parse(
        body.length == 0 ? SLICE_LITERAL("{}") : body,
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    if (root == NULL) {
        return false;
    }
    bool read = (json_kind_of(root) == JSON_KIND_OBJECT ||
                 error_set(err, ERROR_INVALID, "the body must be a JSON object")) &&
                (!with_user || json_get_text(root, "name", &wish->user, err)) &&
                json_get_text_or(root, "role", role, &role, err) &&
                json_get_text_or(root, "label", (slice){0}, &wish->label, err) &&
                json_get_text_or(root, "verify", (slice){0}, &wish->verify_mode, err) &&
                json_get_u64_or(root, "days", 0, days_limit, 0, &days, err);
    read = read && ((arena_copy(http_request_arena(request), wish->user, &wish->user) &&
                     arena_copy(http_request_arena(request), role, &wish->role) &&
                     arena_copy(http_request_arena(request), wish->label, &wish->label) &&
                     arena_copy(http_request_arena(request), wish->verify_mode, &wish->verify_mode)) ||
                    error_memory(err));
    wish->expires_ms = days == 0 ? 0 : clock_unix_ms() + days * CLOCK_DAY_MS;
    json_free(root);
    return read;
}

/* Draws a key: its text goes to `later`, to be shown once; its hash into the record. */
static bool draw_key(const key_wish *wish, reply_later *later, store_new_key *key, error *err) {
    uint8_t secret[AUTH_SECRET_SIZE];
    *key = (store_new_key){.label = wish->label,
                           .created_ms = clock_unix_ms(),
                           .expires_ms = wish->expires_ms,
                           .verify_mode = wish->verify_mode};
    if (!random_bytes(secret, sizeof secret, err)) {
        return false;
    }
    auth_user_key_make(secret, later->secret);
    secret_wipe(secret, sizeof secret);
    return auth_user_key_hash(slice_of_text(later->secret), key->token_hash, err);
}

/* The store's answer, for a user or a further key: from here on the key counts. */
static void key_is_stored(void *context, const store_loaded_key *key, const error *failure) {
    reply_later later = reply_later_take(context);
    error err = {0};
    if (failure == NULL && !accounts_add_stored(later.pool->accounts, key, &err)) {
        failure = &err; /* never for memory: the place is reserved */
    }
    if (failure != NULL) {
        accounts_remove_key(later.pool->accounts, later.bytes);
    } else {
        log_info("key added", LOG_U64("by", later.user_id), LOG_SLICE("user", key->user_name),
                 LOG_U64("key", key->key_id));
    }
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        reply_json_begin_in(&answer, &later);
        json_write_object_begin(&answer.w);
        json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.key"));
        json_add_text(&answer.w, "user", key->user_name);
        json_add_text(&answer.w, "role", key->role);
        json_add_u64(&answer.w, "key_id", key->key_id);
        json_add_u64(&answer.w, "expires_ms", key->expires_ms);
        json_add_text(&answer.w, "verify", key->verify_mode);
        json_add_text(&answer.w, "key", slice_of_text(later.secret));
        json_write_object_end(&answer.w);
        reply_json_end(&answer, later.request, 201);
    }
    reply_later_end(&later);
}

/* Draws the key and hands it to the store: with a new user if `role` is given, else as a further key. */
static void add_key(pool *p, http_request *request, const account *who, slice user, const slice *role,
                    const key_wish *wish) {
    store_new_key key;
    error err = {0};
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        return;
    }
    bool reserved = draw_key(wish, later, &key, &err) && reply_later_reserve(later, KEY_ANSWER_SIZE, &err) &&
                    accounts_reserve(p->accounts, key.token_hash, &err);
    memcpy(later->bytes, key.token_hash, sizeof key.token_hash);
    bool queued =
        reserved && (role != NULL ? store_user_add(p->store, user, *role, &key, key_is_stored, later, &err)
                                  : store_key_add(p->store, user, &key, key_is_stored, later, &err));
    if (!queued) {
        if (reserved) {
            accounts_remove_key(p->accounts, key.token_hash);
        }
        reply_later_fail(later, &err);
    }
}

void admin_user_add(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    key_wish wish = {0};
    error err = {0};
    auth_role role = AUTH_EMPLOYEE;
    if (!read_wish(p, request, true, &wish, &err)) {
        reply_unreadable(request, NULL, &err);
    } else if (!auth_role_parse(wish.role, &role)) {
        reply_error(request, 400, "role", NULL,
                    "role must be employee, worker_owner, it_admin or security_officer");
    } else if (!store_user_name_is_valid(wish.user)) {
        reply_error(request, 400, "name", NULL, "name must be 1 to 64 of a-z, 0-9 and . _ @ -");
    } else {
        add_key(p, request, who, wish.user, &wish.role, &wish);
    }
}

void admin_key_add(pool *p, http_request *request, const account *who, slice name) {
    key_wish wish = {0};
    error err = {0};
    if (!read_wish(p, request, false, &wish, &err)) {
        reply_unreadable(request, NULL, &err);
    } else {
        add_key(p, request, who, name, NULL, &wish);
    }
}

static void users_listed(void *context, const store_user *users, size_t count, const error *failure) {
    reply_later later = reply_later_take(context);
    if (!reply_later_waits(&later, failure)) {
        return;
    }
    reply_json answer;
    reply_list_begin(&answer, "users");
    for (size_t i = 0; i < count; i++) {
        json_write_object_begin(&answer.w);
        json_add_u64(&answer.w, "id", users[i].id);
        json_add_text(&answer.w, "name", users[i].name);
        json_add_text(&answer.w, "role", users[i].role);
        json_add_u64(&answer.w, "created_ms", users[i].created_ms);
        json_add_bool(&answer.w, "disabled", users[i].disabled);
        json_write_object_end(&answer.w);
    }
    reply_list_end(&answer, later.request, count == STORE_LIST_MAX);
}

void admin_user_list(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    error err = {0};
    uint64_t after = 0;
    reply_later *later = reply_later_page(p, request, who->user_id, &after);
    if (later != NULL && !store_user_list(p->store, after, STORE_LIST_MAX, users_listed, later, &err)) {
        reply_later_fail(later, &err);
    }
}

static void user_disabled(void *context, uint64_t user_id, const error *failure) {
    reply_later later = reply_later_take(context);
    if (failure == NULL) {
        log_info("user disabled", LOG_U64("by", later.user_id), LOG_U64("user", user_id));
        revoke_user_again(later.pool, user_id);
    }
    reply_shut_out(later.request, failure, later.shut_out);
}

void admin_user_disable(pool *p, http_request *request, const account *who, slice name) {
    error err = {0};
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        return;
    }
    if (!revoke_user(p, name, &later->shut_out, user_disabled, later, &err)) {
        reply_later taken = reply_later_take(later);
        reply_shut_out(taken.request, &err, taken.shut_out);
    }
}
