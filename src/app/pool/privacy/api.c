#include "privacy/api.h"

#include "base/log.h"
#include "codec/json.h"
#include "privacy/erase.h"
#include "reply.h"
#include "store/users.h"
#include "store/vaults.h"

enum { BODY_DEPTH = 4, BODY_VALUES = 16, ANSWER_SIZE = 512, USERS_AT_ONCE = 200 };

#define MEBIBYTE ((uint64_t)1 << 20)

/* The word keeps a slip from erasing everything. False: that was answered. */
static bool is_confirmed(const pool *p, http_request *request) {
    slice word = {0};
    error err = {0};
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, &err);
    bool read = root != NULL && json_get_text(root, "confirm", &word, &err);
    bool confirmed = read && slice_equal_text(word, "everything");
    json_free(root);
    if (!read) {
        reply_unreadable(request, "confirm", &err);
    } else if (!confirmed) {
        reply_error(request, 400, "confirm", NULL,
                    "to erase all that is kept, confirm with the word \"everything\"");
    }
    return confirmed;
}

static void begun(void *context, erase_state state, const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        reply_json_begin_in(&answer, &later);
        json_write_object_begin(&answer.w);
        json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.erasure"));
        json_add_bool(&answer.w, "erased", true);
        json_add_bool(&answer.w, "clearing", state == ERASE_CLEARING);
        json_write_object_end(&answer.w);
        reply_json_end(&answer, later.request, 200);
    }
    reply_later_end(&later);
}

/* Makes room for the answer first, so that what was done can be said. */
static reply_later *new_later(pool *p, http_request *request, const account *who) {
    error err = {0};
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL && !reply_later_reserve(later, ANSWER_SIZE, &err)) {
        reply_later_fail(later, &err);
        later = NULL;
    }
    return later;
}

void privacy_erase(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    reply_later *later = is_confirmed(p, request) ? new_later(p, request, who) : NULL;
    if (later != NULL && !erase_begin(p, who->user_id, begun, later, &err)) {
        reply_later_fail(later, &err);
    }
}

/* Goes on also when the officer has left: it was asked for, and is in the audit log. */
static void user_found(void *context, const store_user *user, const error *failure) {
    reply_later *later = context;
    error err = {0};
    if (failure != NULL) {
        reply_later_fail(later, failure);
        return;
    }
    log_info("what a user keeps is to be erased", LOG_U64("by", later->user_id), LOG_U64("user", user->id));
    if (!erase_begin(later->pool, user->id, begun, later, &err)) {
        reply_later_fail(later, &err);
    }
}

void admin_user_erase(pool *p, http_request *request, const account *who, slice name) {
    error err = {0};
    reply_later *later = is_confirmed(p, request) ? new_later(p, request, who) : NULL;
    if (later != NULL && !store_user_get(p->store, name, user_found, later, &err)) {
        reply_later_fail(later, &err);
    }
}

/* In whole mebibytes: the exact figure tells more of what is written than anybody needs. */
static void write_user(json_writer *w, const store_vault_figures *user) {
    json_write_object_begin(w);
    json_add_u64(w, "id", user->user_id);
    json_add_text(w, "name", user->user_name);
    json_add_u64(w, "conversations", user->conversations);
    json_add_u64(w, "turns", user->turns);
    json_add_u64(w, "facts", user->facts);
    json_add_u64(w, "mebibytes", (user->bytes + MEBIBYTE - 1) / MEBIBYTE);
    json_add_bool(w, "erasing", user->wraps == 0);
    json_write_object_end(w);
}

static void write_retention(json_writer *w, const pool_settings *settings) {
    json_write_key(w, "retention");
    json_write_object_begin(w);
    json_add_u64(w, "conversation_days", settings->conversation_days);
    json_add_u64(w, "fact_days", settings->fact_days);
    json_add_u64(w, "receipt_days", settings->receipt_days);
    json_write_object_end(w);
}

static void counted(void *context, const store_vault_figures *users, size_t count, const error *failure) {
    reply_later later = reply_later_take(context);
    if (!reply_later_waits(&later, failure)) {
        return;
    }
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.privacy"));
    write_retention(&answer.w, &later.pool->settings);
    json_add_u64(&answer.w, "erasing", erase_count(later.pool));
    json_write_key(&answer.w, "users");
    json_write_array_begin(&answer.w);
    for (size_t i = 0; i < count; i++) {
        write_user(&answer.w, &users[i]);
    }
    json_write_array_end(&answer.w);
    json_add_bool(&answer.w, "has_more", count == USERS_AT_ONCE);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, later.request, 200);
}

void admin_privacy(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    uint64_t after = 0;
    reply_later *later = reply_later_page(p, request, who->user_id, &after);
    if (later != NULL && !store_vaults_count(p->store, after, USERS_AT_ONCE, counted, later, &err)) {
        reply_later_fail(later, &err);
    }
}
