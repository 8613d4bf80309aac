#include "revoke/admin.h"

#include "auth/token.h"
#include "base/log.h"
#include "codec/json.h"
#include "crypto/secret.h"
#include "os/clock.h"
#include "os/random.h"
#include "reply.h"
#include "revoke/revoke.h"

#include <stdio.h>

enum { BODY_DEPTH = 4, BODY_VALUES = 64, ANSWER_SIZE = 1024 };

/* The text `name` in the body; false: the request has been answered. The caller frees `*root`. */
static bool read_text(pool *p, http_request *request, const char *name, json_value **root, slice *text) {
    error err = {0};
    *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, &err);
    if (*root != NULL && json_get_text(*root, name, text, &err)) {
        return true;
    }
    json_free(*root);
    reply_unreadable(request, name, &err);
    return false;
}

static void write_counts(json_writer *w, const store_revoked *revoked) {
    json_add_text(w, "object", SLICE_LITERAL("cellule.revocation"));
    json_add_u64(w, "workers", revoked->workers);
    json_add_u64(w, "keys", revoked->keys);
    json_add_u64(w, "sessions", revoked->sessions);
    json_add_u64(w, "join_tokens", revoked->join_tokens);
}

static void owner_revoked(void *context, const store_revoked *revoked, const store_loaded_key *back,
                          const error *failure) {
    reply_later later = reply_later_take(context);
    (void)back;
    if (failure != NULL) {
        reply_shut_out(later.request, failure, later.shut_out);
        reply_later_end(&later);
        return;
    }
    revoke_owner_again(later.pool, slice_of_text(later.name));
    log_warning("all workers of an owner revoked", LOG_U64("by", later.user_id),
                LOG_TEXT("owner", later.name), LOG_U64("workers", revoked->workers));
    if (later.request != NULL) {
        reply_json answer;
        reply_json_begin(&answer);
        json_write_object_begin(&answer.w);
        write_counts(&answer.w, revoked);
        json_write_object_end(&answer.w);
        reply_json_end(&answer, later.request, 200);
    }
    reply_later_end(&later);
}

void admin_owner_revoke(pool *p, http_request *request, const account *who, slice segment) {
    json_value *root = NULL;
    slice owner = {0};
    error err = {0};
    (void)segment;
    if (!read_text(p, request, "owner", &root, &owner)) {
        return;
    }
    if (!store_display_name_is_valid(owner)) {
        json_free(root);
        reply_error(request, 400, "owner", NULL, "owner must be 1 to 64 bytes without control characters");
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL) {
        snprintf(later->name, sizeof later->name, "%.*s", SLICE_FORMAT(owner));
        if (!revoke_owner(p, owner, &later->shut_out, owner_revoked, later, &err)) {
            reply_later taken = reply_later_take(later);
            reply_shut_out(taken.request, &err, taken.shut_out);
            reply_later_end(&taken);
        }
    }
    json_free(root);
}

static void everything_revoked(void *context, const store_revoked *revoked, const store_loaded_key *back,
                               const error *failure) {
    reply_later later = reply_later_take(context);
    error err = {0};
    if (failure != NULL) {
        accounts_remove_key(later.pool->accounts, later.bytes);
        log_error("everything is shut out until the pool starts anew, but that was not stored",
                  LOG_CAUSE(failure));
        reply_shut_out(later.request, failure, true);
        reply_later_end(&later);
        return;
    }
    if (!revoke_everything_again(later.pool, back, &err)) { /* never: its place is reserved */
        log_error("the key that was left doesn't count until the pool starts anew", LOG_CAUSE(&err));
    }
    log_warning("everything revoked", LOG_U64("by", later.user_id), LOG_U64("workers", revoked->workers),
                LOG_U64("keys", revoked->keys));
    if (later.request != NULL) {
        reply_json answer;
        reply_json_begin_in(&answer, &later);
        json_write_object_begin(&answer.w);
        write_counts(&answer.w, revoked);
        json_add_text(&answer.w, "user", back->user_name);
        json_add_u64(&answer.w, "key_id", back->key_id);
        json_add_text(&answer.w, "key", slice_of_text(later.secret));
        json_write_object_end(&answer.w);
        reply_json_end(&answer, later.request, 200);
    }
    reply_later_end(&later);
}

/* The way back: drawn and given a place before anything is shut out. */
static bool draw_back(pool *p, reply_later *later, store_new_key *back, error *err) {
    uint8_t secret[AUTH_SECRET_SIZE];
    *back =
        (store_new_key){.label = SLICE_LITERAL("after revoking everything"), .created_ms = clock_unix_ms()};
    if (!random_bytes(secret, sizeof secret, err)) {
        return false;
    }
    auth_user_key_make(secret, later->secret);
    secret_wipe(secret, sizeof secret);
    slice made = slice_of(later->secret, strlen(later->secret));
    if (!auth_user_key_hash(made, back->token_hash, err)) {
        return false;
    }
    memcpy(later->bytes, back->token_hash, sizeof back->token_hash);
    return reply_later_reserve(later, ANSWER_SIZE, err) &&
           accounts_reserve(p->accounts, back->token_hash, err);
}

void admin_everything_revoke(pool *p, http_request *request, const account *who, slice segment) {
    json_value *root = NULL;
    slice confirm = {0};
    store_new_key back;
    error err = {0};
    (void)segment;
    if (!read_text(p, request, "confirm", &root, &confirm)) {
        return;
    }
    bool sure = slice_equal_text(confirm, "everything");
    json_free(root);
    if (!sure) {
        reply_error(request, 400, "confirm", NULL, "confirm must be \"everything\"");
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        return;
    }
    if (!draw_back(p, later, &back, &err)) {
        reply_later_fail(later, &err);
    } else if (!revoke_everything(p, who, &back, everything_revoked, later, &err)) {
        reply_later taken = reply_later_take(later);
        accounts_remove_key(p->accounts, back.token_hash);
        reply_shut_out(taken.request, &err, true);
        reply_later_end(&taken);
    }
}
