#include "own_keys.h"

#include "audit/audit.h"
#include "base/log.h"
#include "codec/json.h"
#include "os/clock.h"
#include "reply.h"
#include "revoke/revoke.h"

#include <stdio.h>

enum { BODY_DEPTH = 4, BODY_VALUES = 16 };

static void write_key(json_writer *w, const store_key *key, uint64_t current) {
    json_write_object_begin(w);
    json_add_u64(w, "id", key->id);
    json_add_text(w, "label", key->label);
    json_add_u64(w, "created_ms", key->created_ms);
    json_add_u64(w, "expires_ms", key->expires_ms);
    json_add_u64(w, "revoked_ms", key->revoked_ms);
    json_add_text(w, "verify", key->verify_mode);
    json_add_u64(w, "made_with", key->made_with);
    json_add_bool(w, "opens_memory", key->opens_vault);
    json_add_bool(w, "current", key->id == current);
    json_write_object_end(w);
}

static void keys_listed(void *context, const store_key *keys, size_t count, const error *failure) {
    reply_later later = reply_later_take(context);
    if (!reply_later_waits(&later, failure)) {
        return;
    }
    reply_json answer;
    reply_list_begin(&answer, "keys");
    for (size_t i = 0; i < count; i++) {
        write_key(&answer.w, &keys[i], later.key_id);
    }
    reply_list_end(&answer, later.request, count == STORE_LIST_MAX);
}

void own_key_list(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    uint64_t after = 0;
    reply_later *later = reply_later_page(p, request, who->user_id, &after);
    if (later == NULL) {
        return;
    }
    later->key_id = who->key_id;
    if (!store_key_list(p->store, slice_of_text(who->user_name), after, STORE_LIST_MAX, keys_listed, later,
                        &err)) {
        reply_later_fail(later, &err);
    }
}

/* Those that went along are named, as nobody asked for them one by one. */
static void enter_others(pool *p, const store_revoked_key *keys, size_t count) {
    char target[32];
    char detail[AUDIT_TEXT_MAX + 1];
    int length = snprintf(detail, sizeof detail, "%zu more, made with it:", count - 1);
    snprintf(target, sizeof target, "key %llu", (unsigned long long)keys[0].key_id);
    for (size_t i = 1; i < count && length > 0 && (size_t)length < sizeof detail; i++) {
        length += snprintf(detail + length, sizeof detail - (size_t)length, " %llu",
                           (unsigned long long)keys[i].key_id);
    }
    audit_note_event(p, "keys_revoked", slice_of_text(target), detail);
}

/* It is done, whatever memory there is to say which. */
static void reply_revoked(http_request *request, const store_revoked_key *keys, size_t count) {
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_bool(&answer.w, "done", true);
    json_write_key(&answer.w, "revoked");
    json_write_array_begin(&answer.w);
    for (size_t i = 0; i < count; i++) {
        json_write_u64(&answer.w, keys[i].key_id);
    }
    json_write_array_end(&answer.w);
    json_write_object_end(&answer.w);
    if (buffer_failed(&answer.body)) {
        buffer_wipe(&answer.body);
        reply_done(request);
    } else {
        reply_json_end(&answer, request, 200);
    }
}

void own_key_revoked(void *context, const store_revoked_key *keys, size_t count, const error *failure) {
    reply_later later = reply_later_take(context);
    if (failure != NULL) {
        reply_shut_out(later.request, failure, later.shut_out);
        return;
    }
    log_info("key revoked", LOG_U64("by", later.user_id), LOG_U64("key", later.key_id),
             LOG_U64("with it", count - 1));
    revoke_keys_again(later.pool, keys, count);
    if (count > 1) {
        enter_others(later.pool, keys, count);
    }
    if (later.request != NULL) {
        reply_revoked(later.request, keys, count);
    }
}

static bool read_with_made(pool *p, http_request *request, bool *with_made, error *err) {
    slice body = http_request_body(request);
    json_value *root = json_parse(
        body.length == 0 ? SLICE_LITERAL("{}") : body,
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    bool read = root != NULL &&
                (json_kind_of(root) == JSON_KIND_OBJECT ||
                 error_set(err, ERROR_INVALID, "the body must be a JSON object")) &&
                json_get_bool_or(root, "with_made", false, with_made, err);
    json_free(root);
    return read;
}

void own_key_revoke(pool *p, http_request *request, const account *who, slice key_id) {
    store_key_revocation wish = {.user_id = who->user_id, .kept = who->key_id, .now_ms = clock_unix_ms()};
    error err = {0};
    if (!slice_to_u64(key_id, &wish.key_id) || wish.key_id == 0) {
        reply_error(request, 404, NULL, "not_found", "a key's id is a number; GET /v1/keys shows yours");
        return;
    }
    if (!read_with_made(p, request, &wish.with_made, &err)) {
        reply_unreadable(request, NULL, &err);
        return;
    }
    if (wish.key_id == who->key_id) {
        reply_error(request, 409, NULL, "key_asks",
                    "a key doesn't revoke itself, so that you are never left without: make another, and ask "
                    "with that one");
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        return;
    }
    later->key_id = wish.key_id;
    if (!revoke_key(p, &wish, &later->shut_out, own_key_revoked, later, &err)) {
        reply_later taken = reply_later_take(later);
        reply_shut_out(taken.request, &err, taken.shut_out);
    }
}
