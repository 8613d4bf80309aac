#include "enrol/approvals.h"

#include "audit/audit.h"
#include "base/log.h"
#include "codec/json.h"
#include "os/clock.h"
#include "reply.h"

#include <stdio.h>

enum { BODY_DEPTH = 2, BODY_VALUES = 16, ANSWER_SIZE = 32 * 1024, HOUR_MS = 60 * CLOCK_MINUTE_MS };

bool approval_is_asked(const pool *p) {
    return strcmp(p->settings.approval, "off") != 0;
}

void approvals_announce(pool *p) {
    bool asked = approval_is_asked(p);
    log_info(asked ? "another person must approve each worker" : "one admin is enough to enrol a worker",
             LOG_TEXT("approval", p->settings.approval));
    audit_note_event(p, "pool_policy", asked ? SLICE_LITERAL("approval on") : SLICE_LITERAL("approval off"),
                     NULL);
}

const char *approval_name(uint64_t id, char name[APPROVAL_NAME_SIZE]) {
    name[0] = '\0';
    if (id != 0) {
        snprintf(name, APPROVAL_NAME_SIZE, "%llu", (unsigned long long)id);
    }
    return name;
}

bool approvals_check(const store_approval *a, error *err) {
    uint8_t digest[HASH_SIZE];
    return hash_sha256(a->request, digest, err) &&
           (hash_equal(digest, a->request_hash, sizeof digest) ||
            error_set(err, ERROR_CONFLICT, "this request was changed since it was made; refuse it"));
}

static void write_approval(json_writer *w, const store_approval *a) {
    char hex[HASH_HEX_SIZE];
    error ignored = {0};
    hex_encode(slice_of(a->request_hash, sizeof a->request_hash), hex);
    bool over = clock_unix_ms() >= a->expires_ms &&
                (slice_equal_text(a->state, "waiting") || slice_equal_text(a->state, "approved"));
    json_write_object_begin(w);
    json_add_text(w, "object", SLICE_LITERAL("cellule.approval"));
    json_add_u64(w, "id", a->id);
    json_add_text(w, "kind", a->kind);
    json_add_text(w, "state", over ? SLICE_LITERAL("expired") : a->state);
    json_add_text(w, "request", a->request);
    json_add_text(w, "hash", slice_of_text(hex));
    json_add_bool(w, "altered", !approvals_check(a, &ignored));
    json_add_text(w, "requested_by", a->requester);
    json_add_u64(w, "requested_ms", a->requested_ms);
    json_add_u64(w, "expires_ms", a->expires_ms);
    json_add_text(w, "decided_by", a->decider);
    json_add_u64(w, "decided_ms", a->decided_ms);
    json_add_u64(w, "used_ms", a->used_ms);
    json_write_object_end(w);
}

static void answer_with(reply_later *later, const store_approval *a, unsigned status) {
    reply_json answer;
    reply_json_begin_in(&answer, later);
    write_approval(&answer.w, a);
    reply_json_end(&answer, later->request, status);
}

/* What was asked for is in the log by its hash, so that nobody can have approved something else. */
static void approval_added(void *context, const store_approval *a, const error *failure) {
    reply_later later = reply_later_take(context);
    char hex[HASH_HEX_SIZE];
    char target[32 + HASH_HEX_SIZE];
    char number[APPROVAL_NAME_SIZE];
    if (failure == NULL) {
        hex_encode(slice_of(a->request_hash, sizeof a->request_hash), hex);
        snprintf(target, sizeof target, "sha256 %s", hex);
        audit_note(later.pool, &(audit_record){.outcome = AUDIT_NOTED,
                                               .action = "approval_asked",
                                               .actor = a->requester,
                                               .target = slice_of_text(target),
                                               .approval = approval_name(a->id, number)});
        log_info("approval asked for", LOG_U64("by", later.user_id), LOG_U64("approval", a->id),
                 LOG_SLICE("kind", a->kind));
    }
    if (reply_later_waits(&later, failure)) {
        answer_with(&later, a, 201);
    }
    reply_later_end(&later);
}

void approvals_ask(pool *p, http_request *request, const account *who, const char *kind, slice exact) {
    error err = {0};
    uint64_t now = clock_unix_ms();
    store_approval a = {.kind = slice_of_text(kind),
                        .request = exact,
                        .requested_by = who->user_id,
                        .requested_ms = now,
                        .expires_ms = now + p->settings.approval_hours * HOUR_MS};
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL &&
        (!hash_sha256(exact, a.request_hash, &err) || !reply_later_reserve(later, ANSWER_SIZE, &err) ||
         !store_approval_add(p->store, &a, approval_added, later, &err))) {
        reply_later_fail(later, &err);
    }
}

static void approvals_listed(void *context, const store_approval *approvals, size_t count,
                             const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        reply_list_begin(&answer, "approvals");
        for (size_t i = 0; i < count; i++) {
            write_approval(&answer.w, &approvals[i]);
        }
        reply_list_end(&answer, later.request, count == STORE_LIST_MAX);
    }
    reply_later_end(&later);
}

/* The newest first; ?after=ID goes on below that one. */
static void list(pool *p, http_request *request, const account *who, uint64_t requested_by, bool waiting) {
    error err = {0};
    uint64_t after = 0;
    reply_later *later = reply_later_page(p, request, who->user_id, &after);
    if (later != NULL && !store_approval_list(p->store, requested_by, waiting ? clock_unix_ms() : 0, after,
                                              STORE_LIST_MAX, approvals_listed, later, &err)) {
        reply_later_fail(later, &err);
    }
}

void approvals_list_own(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    list(p, request, who, who->user_id, false);
}

void approvals_list(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    list(p, request, who, 0, slice_equal_text(http_request_query(request), "waiting"));
}

/* NULL: the request has been answered. */
static reply_later *begin(pool *p, http_request *request, const account *who, slice id, uint64_t *number) {
    error err = {0};
    if (!slice_to_u64(id, number) || *number == 0 || *number > INT64_MAX) {
        reply_error(request, 404, NULL, "not_found", "a request's id is a number; the list shows it");
        return NULL;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL && !reply_later_reserve(later, ANSWER_SIZE, &err)) {
        reply_later_fail(later, &err);
        return NULL;
    }
    return later;
}

static void approval_given(void *context, const store_approval *a, const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        answer_with(&later, a, 200);
    }
    reply_later_end(&later);
}

void approvals_get(pool *p, http_request *request, const account *who, slice id) {
    uint64_t number = 0;
    error err = {0};
    reply_later *later = begin(p, request, who, id, &number);
    if (later != NULL && !store_approval_get(p->store, number, approval_given, later, &err)) {
        reply_later_fail(later, &err);
    }
}

static void approval_decided(void *context, const store_approval *a, const error *failure) {
    if (failure == NULL) {
        log_info("request decided", LOG_U64("by", a->decided_by), LOG_U64("approval", a->id),
                 LOG_SLICE("state", a->state));
    }
    approval_given(context, a, failure);
}

static bool decide(reply_later *later, const store_approval *a, bool approve, error *err) {
    const store_approval_act act = {
        .id = a->id, .request = a->request, .user_id = later->user_id, .now_ms = clock_unix_ms()};
    return store_approval_decide(later->pool->store, &act, approve, approval_decided, later, err);
}

/* What the approver was shown, by its hash, must be what is stored. */
static bool is_what_was_shown(const reply_later *later, const store_approval *a, error *err) {
    return approvals_check(a, err) &&
           (hash_equal(later->bytes, a->request_hash, sizeof a->request_hash) ||
            error_set(err, ERROR_CONFLICT,
                      "this hash is not the request's; look at the request again before you approve it"));
}

/* A client that has left decides nothing. */
static void found_to_approve(void *context, const store_approval *a, const error *failure) {
    reply_later *later = context;
    error err = {0};
    if (failure != NULL || later->request == NULL) {
        approval_given(later, a, failure);
    } else if (!is_what_was_shown(later, a, &err) || !decide(later, a, true, &err)) {
        reply_later_fail(later, &err);
    }
}

static void found_to_refuse(void *context, const store_approval *a, const error *failure) {
    reply_later *later = context;
    error err = {0};
    if (failure != NULL || later->request == NULL) {
        approval_given(later, a, failure);
    } else if (!decide(later, a, false, &err)) {
        reply_later_fail(later, &err);
    }
}

static bool read_hash(const pool *p, http_request *request, uint8_t digest[HASH_SIZE], error *err) {
    slice text = {NULL, 0};
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    bool read = root != NULL && json_get_text(root, "hash", &text, err) &&
                (hex_decode(text, digest, HASH_SIZE) ||
                 error_set(err, ERROR_INVALID, "hash: must be the 64 hex digits that the request shows"));
    json_free(root);
    return read;
}

void approvals_approve(pool *p, http_request *request, const account *who, slice id) {
    uint64_t number = 0;
    uint8_t digest[HASH_SIZE];
    error err = {0};
    if (!read_hash(p, request, digest, &err)) {
        reply_unreadable(request, "hash", &err);
        return;
    }
    reply_later *later = begin(p, request, who, id, &number);
    if (later == NULL) {
        return;
    }
    memcpy(later->bytes, digest, sizeof digest);
    if (!store_approval_get(p->store, number, found_to_approve, later, &err)) {
        reply_later_fail(later, &err);
    }
}

void approvals_refuse(pool *p, http_request *request, const account *who, slice id) {
    uint64_t number = 0;
    error err = {0};
    reply_later *later = begin(p, request, who, id, &number);
    if (later != NULL && !store_approval_get(p->store, number, found_to_refuse, later, &err)) {
        reply_later_fail(later, &err);
    }
}
