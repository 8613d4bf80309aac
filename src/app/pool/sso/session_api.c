#include "sso/session_api.h"

#include "base/log.h"
#include "codec/form.h"
#include "codec/json.h"
#include "crypto/secret.h"
#include "os/clock.h"
#include "reply.h"
#include "sso/device.h"
#include "sso/logins.h"
#include "sso/oauth_reply.h"

enum { BODY_DEPTH = 4, BODY_VALUES = 16, KEY_SET_LIMIT = 65536 };

static void id_text(const login *l, char text[LOGIN_ID_HEX_SIZE]) {
    hex_encode(slice_of(l->id, sizeof l->id), text);
}

static void session_granted(void *context, const login_grant *grant, const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        oauth_reply_grant(later.request, 201, grant, &later.room);
    }
    reply_later_end(&later);
}

/* With a key alone: a session that could make sessions would never end. */
void session_api_make(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    error err = {0};
    if (who->login != 0) {
        reply_error(request, 403, NULL, "key_needed",
                    "a session is made with a key, not with another session");
        return;
    }
    login_wish wish = {.user_id = who->user_id, .key_id = who->key_id, .not_after_ms = who->expires_ms};
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL &&
        (!oauth_reply_reserve(later, &err) || !logins_add(p, &wish, session_granted, later, &err))) {
        reply_later_fail(later, &err);
    }
}

/* The session that asks; NULL: a key asks. */
static const login *own_session(const account *who) {
    return who->login == 0 ? NULL : (const login *)(const void *)who; /* its first member */
}

static void write_session(json_writer *w, const login *l) {
    char id[LOGIN_ID_HEX_SIZE];
    id_text(l, id);
    json_add_text(w, "session", slice_of_text(id));
    json_add_text(w, "issuer", l->issuer);
    json_add_u64(w, "key_id", l->account.key_id);
    json_add_u64(w, "created_ms", l->created_ms);
    json_add_u64(w, "expires_ms", l->expires_ms);
}

void session_api_show(pool *p, http_request *request, const account *who, slice segment) {
    const login *l = own_session(who);
    reply_json answer;
    (void)p;
    (void)segment;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.session"));
    json_add_text(&answer.w, "user", slice_of_text(who->user_name));
    json_add_text(&answer.w, "role", slice_of_text(auth_role_name(who->role)));
    if (l != NULL) {
        write_session(&answer.w, l);
    } else {
        json_add_u64(&answer.w, "key_id", who->key_id);
        json_add_u64(&answer.w, "expires_ms", who->expires_ms);
    }
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

static void session_ended(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    if (failure == NULL) {
        log_info("session ended", LOG_U64("by", later.user_id), LOG_TEXT("session", later.name));
    }
    reply_shut_out(later.request, failure, later.shut_out);
}

static void end_session(pool *p, http_request *request, uint64_t user_id,
                        const uint8_t id[STORE_SESSION_ID_SIZE]) {
    error err = {0};
    uint8_t kept_id[STORE_SESSION_ID_SIZE];
    store_session_choice choice = {.id = kept_id};
    reply_later *later = reply_later_new(p, request, user_id);
    if (later == NULL) {
        return;
    }
    memcpy(kept_id, id, sizeof kept_id); /* it may lie in the session that ends */
    hex_encode(slice_of(kept_id, sizeof kept_id), later->name);
    later->shut_out = logins_end(p, kept_id) > 0;
    if (!store_sessions_end(p->store, &choice, clock_unix_ms(), session_ended, later, &err)) {
        reply_later taken = reply_later_take(later);
        reply_shut_out(taken.request, &err, taken.shut_out);
    }
}

void session_api_leave(pool *p, http_request *request, const account *who, slice segment) {
    const login *l = own_session(who);
    (void)segment;
    if (l == NULL) {
        reply_error(request, 409, NULL, "no_session", "a key asks, not a session; revoke a key to end it");
    } else {
        end_session(p, request, who->user_id, l->id);
    }
}

void session_api_end(pool *p, http_request *request, const account *who, slice id) {
    uint8_t session_id[STORE_SESSION_ID_SIZE];
    if (!hex_decode(id, session_id, sizeof session_id) || logins_find(p->logins, session_id) == NULL) {
        reply_error(request, 404, NULL, "not_found", "no such session goes on; the list shows those that do");
    } else {
        end_session(p, request, who->user_id, session_id);
    }
}

void session_api_list(pool *p, http_request *request, const account *who, slice user_name) {
    const login *l = NULL;
    reply_json answer;
    size_t count = 0;
    (void)who;
    reply_list_begin(&answer, "sessions");
    for (size_t i = 0; (l = logins_next(p->logins, &i)) != NULL && count < LOGINS_OF_USER_MAX;) {
        if (!slice_equal_text(user_name, l->account.user_name)) {
            continue;
        }
        json_write_object_begin(&answer.w);
        write_session(&answer.w, l);
        json_write_object_end(&answer.w);
        count++;
    }
    reply_list_end(&answer, request, false);
}

static void key_rotated(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        reply_done(later.request);
    }
}

void session_api_rotate_key(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    error err = {0};
    bool at_once = false;
    slice body = http_request_body(request);
    json_value *root = json_parse(
        body.length == 0 ? SLICE_LITERAL("{}") : body,
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, &err);
    bool read = root != NULL &&
                (json_kind_of(root) == JSON_KIND_OBJECT ||
                 error_set(&err, ERROR_INVALID, "the body must be a JSON object")) &&
                json_get_bool_or(root, "at_once", false, &at_once, &err);
    json_free(root);
    if (!read) {
        reply_unreadable(request, NULL, &err);
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL && !logins_rotate_key(p, at_once, key_rotated, later, &err)) {
        reply_later_fail(later, &err);
    }
}

void session_api_keys(pool *p, http_request *request) {
    static const http_header headers[] = {
        {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/jwk-set+json")},
        {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("public, max-age=300")}};
    buffer keys = buffer_make(KEY_SET_LIMIT);
    logins_write_keys(p, &keys);
    if (buffer_failed(&keys)) {
        reply_out_of_memory(request);
    } else {
        http_respond(request, 200, headers, sizeof headers / sizeof headers[0], buffer_slice(&keys));
    }
    buffer_free(&keys);
}

static void refresh_granted(void *context, const login_grant *grant, const error *failure) {
    reply_later later = reply_later_take(context);
    if (later.request != NULL && failure == NULL) {
        oauth_reply_grant(later.request, 200, grant, &later.room);
    } else if (later.request != NULL) {
        oauth_reply_not_refreshed(later.pool, later.request, failure);
    }
    reply_later_end(&later);
}

/* RFC 6749 §6: a refresh token for new tokens. */
static void refresh(pool *p, http_request *request, slice token) {
    error err = {0};
    reply_later *later = reply_later_new(p, request, 0);
    if (later != NULL &&
        (!oauth_reply_reserve(later, &err) || !logins_refresh(p, token, refresh_granted, later, &err))) {
        reply_later taken = reply_later_take(later);
        oauth_reply_not_refreshed(p, taken.request, &err);
        reply_later_end(&taken);
    }
}

void session_api_token(pool *p, http_request *request) {
    error err = {0};
    slice body = http_request_body(request);
    arena *a = http_request_arena(request);
    slice grant_type;
    slice token;
    slice device_code;
    if (!form_get(body, "grant_type", a, &grant_type, &err) ||
        !form_get(body, "refresh_token", a, &token, &err) ||
        !form_get(body, "device_code", a, &device_code, &err)) {
        oauth_reply_failure(request, &err);
    } else if (slice_equal_text(grant_type, "refresh_token")) {
        refresh(p, request, token);
    } else if (slice_equal_text(grant_type, "urn:ietf:params:oauth:grant-type:device_code")) {
        device_poll(p, request, device_code);
    } else {
        oauth_reply_error(request, 400, "unsupported_grant_type",
                          "grant_type is refresh_token or urn:ietf:params:oauth:grant-type:device_code");
    }
}
