#include "base/log.h"
#include "codec/json.h"
#include "os/clock.h"
#include "proof/admin.h"
#include "proof/blacklist.h"
#include "reply.h"

#include <stdio.h>

/* What is being put on the list, or taken off, until the store has answered. */
enum { BODY_DEPTH = 4, BODY_VALUES = 64 };

typedef struct wish {
    json_value *root;
    slice kind, value, reason;
} wish;

/* Answers the request itself if it can't be read. */
static bool read_wish(pool *p, http_request *request, bool with_reason, wish *w) {
    error err = {0};
    *w = (wish){0};
    w->root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, &err);
    bool read = w->root != NULL && json_get_text(w->root, "kind", &w->kind, &err) &&
                json_get_text(w->root, "value", &w->value, &err) &&
                (!with_reason || json_get_text(w->root, "reason", &w->reason, &err));
    if (!read) {
        reply_unreadable(request, NULL, &err);
    } else if (!blacklist_is_valid(w->kind, w->value)) {
        reply_error(request, 400, "value", NULL,
                    "kind is worker or machine, with its id as value, or owner, with the name");
        read = false;
    } else if (with_reason && (w->reason.length == 0 || w->reason.length > STORE_REASON_MAX)) {
        reply_error(request, 400, "reason", NULL, "reason is 1 to %d bytes of text", STORE_REASON_MAX);
        read = false;
    }
    if (!read) {
        json_free(w->root);
        w->root = NULL;
    }
    return read;
}

/* "owner:name" for the log, and to find it again. */
static void remember(reply_later *later, const wish *w) {
    snprintf(later->name, sizeof later->name, "%.*s:%.*s", SLICE_FORMAT(w->kind), SLICE_FORMAT(w->value));
}

static void listed(void *context, uint64_t id, const error *failure) {
    reply_later later = reply_later_take(context);
    (void)id;
    if (failure == NULL) {
        log_warning("put on the blacklist", LOG_U64("by", later.user_id), LOG_TEXT("entry", later.name));
    } else if (failure->code == ERROR_CONFLICT) {
        failure = NULL; /* it was there */
    }
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        uint64_t workers = 0;
        memcpy(&workers, later.bytes, sizeof workers);
        reply_json_begin(&answer);
        json_write_object_begin(&answer.w);
        json_add_bool(&answer.w, "done", true);
        json_add_u64(&answer.w, "workers", workers);
        json_write_object_end(&answer.w);
        reply_json_end(&answer, later.request, 200);
    }
    reply_later_end(&later);
}

void admin_blacklist_add(pool *p, http_request *request, const account *who, slice segment) {
    wish w;
    error err = {0};
    (void)segment;
    if (!read_wish(p, request, true, &w)) {
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL) {
        const uint64_t workers = blacklist_count(p->proof, w.kind, w.value);
        remember(later, &w);
        memcpy(later->bytes, &workers, sizeof workers);
        const store_blacklisting row = {.kind = w.kind,
                                        .value = w.value,
                                        .reason = w.reason,
                                        .created_by = who->user_id,
                                        .created_ms = clock_unix_ms()};
        bool put = blacklist_put(p->proof->blacklist, w.kind, w.value, &err);
        if (put) {
            blacklist_enforce(p->proof); /* first shut out, then stored */
        }
        if (!put || !store_blacklist_add(p->store, &row, listed, later, &err)) {
            reply_later_fail(later, &err);
        }
    }
    json_free(w.root);
}

static void cleared(void *context, uint64_t id, const error *failure) {
    reply_later later = reply_later_take(context);
    slice entry = slice_of_text(later.name);
    size_t colon = slice_find(entry, ':');
    (void)id;
    if (failure == NULL || failure->code == ERROR_NOT_FOUND) {
        blacklist_drop(later.pool->proof->blacklist, slice_part(entry, 0, colon),
                       slice_after(entry, colon + 1));
    }
    if (failure == NULL) {
        log_warning("taken off the blacklist", LOG_U64("by", later.user_id), LOG_TEXT("entry", later.name));
    }
    if (reply_later_waits(&later, failure)) {
        reply_done(later.request);
    }
    reply_later_end(&later);
}

void admin_blacklist_remove(pool *p, http_request *request, const account *who, slice segment) {
    wish w;
    error err = {0};
    (void)segment;
    if (!read_wish(p, request, false, &w)) {
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL) {
        remember(later, &w);
        if (!store_blacklist_clear(p->store, w.kind, w.value, who->user_id, clock_unix_ms(), cleared, later,
                                   &err)) {
            reply_later_fail(later, &err);
        }
    }
    json_free(w.root);
}

static void entries_listed(void *context, const store_blacklisting *rows, size_t count,
                           const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        json_writer *w = &answer.w;
        reply_list_begin(&answer, "entries");
        for (size_t i = 0; i < count; i++) {
            json_write_object_begin(w);
            json_add_u64(w, "id", rows[i].id);
            json_add_text(w, "kind", rows[i].kind);
            json_add_text(w, "value", rows[i].value);
            json_add_text(w, "reason", rows[i].reason);
            json_add_u64(w, "created_ms", rows[i].created_ms);
            json_add_u64(w, "cleared_ms", rows[i].cleared_ms);
            json_write_object_end(w);
        }
        reply_list_end(&answer, later.request, count == STORE_LIST_MAX);
    }
    reply_later_end(&later);
}

void admin_blacklist_get(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    uint64_t after = 0;
    reply_later *later = reply_later_page(p, request, who->user_id, &after);
    if (later != NULL &&
        !store_blacklist_list(p->store, after, STORE_LIST_MAX, entries_listed, later, &err)) {
        reply_later_fail(later, &err);
    }
}
