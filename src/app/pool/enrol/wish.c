#include "enrol/wish.h"

#include "codec/json_writer.h"
#include "os/clock.h"
#include "proof/proof.h"
#include "proto/message.h"
#include "reply.h"

enum { BODY_DEPTH = 4, BODY_VALUES = 64, DAYS_MAX = 3650 };

/* Names what the canonical text is about, so that it can't pass for a request of another kind. */
#define WISH_KIND "enrolment"

typedef struct wish_body {
    machine_wish wish;
    uint64_t days; /* 0: not said */
} wish_body;

static bool read_body(const json_value *root, arena *memory, wish_body *body, error *err) {
    machine_wish *w = &body->wish;
    slice none = {NULL, 0};
    bool read = json_get_text(root, "owner", &w->owner, err) &&
                json_get_text_or(root, "class", none, &w->class_name, err) &&
                json_get_text_or(root, "tiers", none, &w->tiers, err) &&
                json_get_u64_or(root, "days", 1, DAYS_MAX, 0, &body->days, err) &&
                json_get_bool_or(root, "contractor", false, &w->contractor, err) &&
                json_get_bool_or(root, "referee", false, &w->referee, err);
    return read &&
           ((arena_copy(memory, w->owner, &w->owner) && arena_copy(memory, w->class_name, &w->class_name) &&
             arena_copy(memory, w->tiers, &w->tiers)) ||
            error_memory(err));
}

static bool class_is_known(slice name) {
    proto_class class_id;
    return name.length == 0 || proto_class_parse(name, &class_id);
}

/* A contractor's machine has an end that somebody has thought about. */
static bool check_days(const pool *p, http_request *request, wish_body *body) {
    if (body->wish.contractor && (body->days == 0 || body->days > p->settings.contractor_days)) {
        reply_error(request, 400, "days", NULL, "a contractor's worker needs days: 1 to %llu of them",
                    (unsigned long long)p->settings.contractor_days);
        return false;
    }
    body->days = body->days == 0 ? p->settings.worker_days : body->days;
    body->wish.expires_ms = clock_unix_ms() + body->days * CLOCK_DAY_MS;
    return true;
}

static bool check_wish(const pool *p, http_request *request, wish_body *body) {
    const machine_wish *w = &body->wish;
    if (w->tiers.length > STORE_TIERS_MAX) {
        reply_error(request, 400, "tiers", NULL, "tiers must be %d bytes at most", STORE_TIERS_MAX);
        return false;
    }
    if (!store_display_name_is_valid(w->owner)) {
        reply_error(request, 400, "owner", NULL, "owner must be 1 to 64 bytes without control characters");
        return false;
    }
    if (!class_is_known(w->class_name)) {
        reply_error(request, 400, "class", NULL, "class must be cpu, gpu or npu");
        return false;
    }
    if (proof_owner_is_blacklisted(p, w->owner)) {
        reply_error(request, 409, "owner", "blacklisted", "this owner is on the blacklist");
        return false;
    }
    return check_days(p, request, body);
}

bool machine_wish_read(pool *p, http_request *request, machine_wish *wish) {
    error err = {0};
    wish_body body = {0};
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, &err);
    bool read = root != NULL && read_body(root, http_request_arena(request), &body, &err);
    json_free(root);
    if (!read) {
        reply_unreadable(request, NULL, &err);
        return false;
    }
    read = check_wish(p, request, &body);
    *wish = body.wish;
    return read;
}

void machine_wish_write(const machine_wish *wish, slice requester, uint64_t now, buffer *out) {
    json_writer w = json_writer_make(out);
    json_write_object_begin(&w);
    json_add_text(&w, "class", wish->class_name);
    json_add_bool(&w, "contractor", wish->contractor);
    json_add_u64(&w, "expires_ms", wish->expires_ms);
    json_add_text(&w, "kind", SLICE_LITERAL(WISH_KIND));
    json_add_text(&w, "owner", wish->owner);
    json_add_bool(&w, "referee", wish->referee);
    json_add_text(&w, "requested_by", requester);
    json_add_u64(&w, "requested_ms", now);
    json_add_text(&w, "tiers", wish->tiers);
    json_write_object_end(&w);
}

bool machine_wish_parse(slice text, machine_wish *wish, json_value **root, error *err) {
    error cause = {0};
    slice kind;
    *wish = (machine_wish){.owner = {NULL, 0}};
    *root =
        json_parse(text, (json_limits){.size = MACHINE_WISH_MAX, .depth = 2, .values = BODY_VALUES}, &cause);
    bool read = *root != NULL && json_get_text(*root, "kind", &kind, &cause) &&
                json_get_text(*root, "owner", &wish->owner, &cause) &&
                json_get_text(*root, "class", &wish->class_name, &cause) &&
                json_get_text(*root, "tiers", &wish->tiers, &cause) &&
                json_get_u64(*root, "expires_ms", 1, INT64_MAX / 1024, &wish->expires_ms, &cause) &&
                json_get_bool(*root, "contractor", &wish->contractor, &cause) &&
                json_get_bool(*root, "referee", &wish->referee, &cause);
    if (cause.code == ERROR_MEMORY) {
        return error_memory(err);
    }
    return (read && slice_equal_text(kind, WISH_KIND) && class_is_known(wish->class_name)) ||
           error_set(err, ERROR_CORRUPT, "this is no request for an enrolment");
}
