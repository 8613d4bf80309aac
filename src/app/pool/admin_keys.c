#include "admin_users.h"
#include "base/log.h"
#include "codec/json.h"
#include "os/clock.h"
#include "own_keys.h"
#include "reply.h"
#include "revoke/revoke.h"
#include "store/users.h"

#include <stdio.h>

/* Keys that there are; new ones are made in admin_users.c. */

enum { BODY_DEPTH = 4, BODY_VALUES = 64 };

static void keys_listed(void *context, const store_key *keys, size_t count, const error *failure) {
    reply_later later = reply_later_take(context);
    if (!reply_later_waits(&later, failure)) {
        return;
    }
    reply_json answer;
    reply_list_begin(&answer, "keys");
    for (size_t i = 0; i < count; i++) {
        json_write_object_begin(&answer.w);
        json_add_u64(&answer.w, "id", keys[i].id);
        json_add_text(&answer.w, "user", keys[i].user_name);
        json_add_text(&answer.w, "label", keys[i].label);
        json_add_u64(&answer.w, "created_ms", keys[i].created_ms);
        json_add_u64(&answer.w, "expires_ms", keys[i].expires_ms);
        json_add_u64(&answer.w, "revoked_ms", keys[i].revoked_ms);
        json_add_text(&answer.w, "verify", keys[i].verify_mode);
        json_add_u64(&answer.w, "made_with", keys[i].made_with);
        json_write_object_end(&answer.w);
    }
    reply_list_end(&answer, later.request, count == STORE_LIST_MAX);
}

void admin_key_list(pool *p, http_request *request, const account *who, slice name) {
    error err = {0};
    uint64_t after = 0;
    reply_later *later = reply_later_page(p, request, who->user_id, &after);
    if (later != NULL && !store_key_list(p->store, name, after, STORE_LIST_MAX, keys_listed, later, &err)) {
        reply_later_fail(later, &err);
    }
}

/* NULL: the request has been answered. */
static reply_later *begin_change(pool *p, http_request *request, const account *who, slice key_id,
                                 uint64_t *id) {
    if (!slice_to_u64(key_id, id)) {
        reply_error(request, 404, NULL, "not_found", "a key's id is a number; the key list shows it");
        return NULL;
    }
    return reply_later_new(p, request, who->user_id);
}

void admin_key_revoke(pool *p, http_request *request, const account *who, slice key_id) {
    store_key_revocation wish = {.with_made = true, .now_ms = clock_unix_ms()};
    error err = {0};
    reply_later *later = begin_change(p, request, who, key_id, &wish.key_id);
    if (later == NULL) {
        return;
    }
    later->key_id = wish.key_id;
    if (!revoke_key(p, &wish, &later->shut_out, own_key_revoked, later, &err)) {
        reply_later taken = reply_later_take(later);
        reply_shut_out(taken.request, &err, taken.shut_out);
    }
}

static void key_mode_set(void *context, const uint8_t *token_hash, const error *failure) {
    reply_later later = reply_later_take(context);
    if (failure == NULL) {
        log_info("key's checks set", LOG_U64("by", later.user_id), LOG_TEXT("key and mode", later.name));
        accounts_set_mode(later.pool->accounts, token_hash, slice_of_text(later.secret));
    }
    if (reply_later_waits(&later, failure)) {
        reply_done(later.request);
    }
}

static bool read_mode(pool *p, http_request *request, reply_later *later, error *err) {
    slice mode = {0};
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    bool read = root != NULL && json_get_text(root, "verify", &mode, err) &&
                (mode.length < ACCOUNT_MODE_SIZE || error_set(err, ERROR_INVALID, "verify: no such mode"));
    if (read) {
        snprintf(later->secret, sizeof later->secret, "%.*s", SLICE_FORMAT(mode));
    }
    json_free(root);
    return read;
}

void admin_key_set_verify(pool *p, http_request *request, const account *who, slice key_id) {
    uint64_t id = 0;
    error err = {0};
    reply_later *later = begin_change(p, request, who, key_id, &id);
    if (later == NULL) {
        return;
    }
    if (!read_mode(p, request, later, &err)) {
        reply_later_fail(later, &err);
        return;
    }
    snprintf(later->name, sizeof later->name, "%.*s %.*s", SLICE_FORMAT(slice_part(key_id, 0, 20)),
             ACCOUNT_MODE_SIZE, later->secret);
    if (!store_key_set_verify_mode(p->store, id, slice_of_text(later->secret), key_mode_set, later, &err)) {
        reply_later_fail(later, &err);
    }
}
