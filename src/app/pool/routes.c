#include "routes.h"

#include "admin_users.h"
#include "admin_workers.h"
#include "audit/api.h"
#include "audit/gate.h"
#include "auth/token.h"
#include "base/log.h"
#include "chat.h"
#include "observe.h"
#include "os/clock.h"
#include "proof/admin.h"
#include "receipts.h"
#include "reply.h"
#include "session.h"

#include <stdio.h>

enum { STRANGER_BODY_MAX = 16384 }; /* bytes from whoever has no right here: more than any enrolment */

typedef struct route {
    const char *method;
    const char *path; /* one segment may be "*": the handler gets it */
    auth_action action;
    audit_subject subject; /* what its entry in the audit log names */
    void (*handle)(pool *p, http_request *request, const account *who, slice segment);
} route;

static const route routes[] = {
    {"POST", "/v1/chat/completions", AUTH_ASK, AUDIT_OF_NOTHING, chat_completions},
    {"GET", "/v1/models", AUTH_MODELS_LIST, AUDIT_OF_NOTHING, observe_models},
    {"GET", "/v1/models/*", AUTH_MODELS_LIST, AUDIT_OF_SEGMENT, observe_model},
    {"GET", "/v1/receipts/*", AUTH_RECEIPT_READ_OWN, AUDIT_OF_SEGMENT, receipts_get},
    {"GET", "/metrics", AUTH_METRICS_READ, AUDIT_OF_NOTHING, observe_metrics},
    {"GET", "/v1/admin/status", AUTH_METRICS_READ, AUDIT_OF_NOTHING, observe_status},
    {"POST", "/v1/admin/users", AUTH_USER_ADD, AUDIT_OF_NAME, admin_user_add},
    {"GET", "/v1/admin/users", AUTH_USER_LIST, AUDIT_OF_NOTHING, admin_user_list},
    {"POST", "/v1/admin/users/*/disable", AUTH_USER_DISABLE, AUDIT_OF_PERSON, admin_user_disable},
    {"POST", "/v1/admin/users/*/keys", AUTH_KEY_ADD, AUDIT_OF_PERSON, admin_key_add},
    {"GET", "/v1/admin/users/*/keys", AUTH_KEY_LIST, AUDIT_OF_PERSON, admin_key_list},
    {"POST", "/v1/admin/keys/*/revoke", AUTH_KEY_REVOKE, AUDIT_OF_SEGMENT, admin_key_revoke},
    {"POST", "/v1/admin/keys/*/verify", AUTH_KEY_ADD, AUDIT_OF_SEGMENT, admin_key_set_verify},
    {"POST", "/v1/admin/join-tokens", AUTH_WORKER_TOKEN_ADD, AUDIT_OF_OWNER, admin_join_token_add},
    {"GET", "/v1/admin/workers", AUTH_WORKER_LIST, AUDIT_OF_NOTHING, admin_worker_list},
    {"POST", "/v1/admin/workers/*/revoke", AUTH_WORKER_REVOKE, AUDIT_OF_SEGMENT, admin_worker_revoke},
    {"GET", "/v1/admin/standings", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_standing_list},
    {"GET", "/v1/admin/workers/*/standing", AUTH_PROOF_READ, AUDIT_OF_SEGMENT, admin_standing_get},
    {"GET", "/v1/admin/workers/*/evidence", AUTH_PROOF_READ, AUDIT_OF_SEGMENT, admin_evidence_get},
    {"POST", "/v1/admin/workers/*/clear", AUTH_WORKER_CLEAR, AUDIT_OF_SEGMENT, admin_worker_clear},
    {"GET", "/v1/admin/blacklist", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_blacklist_get},
    {"POST", "/v1/admin/blacklist", AUTH_BLACKLIST_CHANGE, AUDIT_OF_LISTED, admin_blacklist_add},
    {"POST", "/v1/admin/blacklist/remove", AUTH_BLACKLIST_CHANGE, AUDIT_OF_LISTED, admin_blacklist_remove},
    {"GET", "/v1/admin/verifications", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_verification_list},
    {"GET", "/v1/admin/disputes", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_dispute_list},
    {"GET", "/v1/admin/verifications/*", AUTH_PROOF_READ, AUDIT_OF_SEGMENT, admin_verification_get},
    {"POST", "/v1/admin/verifications/*/decide", AUTH_WORKER_CLEAR, AUDIT_OF_SEGMENT,
     admin_verification_decide},
    {"POST", "/v1/admin/verifications/*/judge", AUTH_WORKER_CLEAR, AUDIT_OF_SEGMENT,
     admin_verification_judge},
    {"GET", "/v1/admin/honeytokens", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_honeytoken_list},
    {"POST", "/v1/admin/honeytokens/check", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_honeytoken_check},
    {"GET", "/v1/admin/notices", AUTH_PROOF_READ, AUDIT_OF_NOTHING, admin_notice_list},
    {"GET", "/v1/audit/checkpoint", AUTH_LOG_VERIFY, AUDIT_OF_NOTHING, audit_get_checkpoint},
    {"GET", "/v1/audit/proof/inclusion", AUTH_LOG_VERIFY, AUDIT_OF_NOTHING, audit_get_inclusion},
    {"GET", "/v1/audit/proof/consistency", AUTH_LOG_VERIFY, AUDIT_OF_NOTHING, audit_get_consistency},
    {"GET", "/v1/audit/entries", AUTH_AUDIT_READ, AUDIT_OF_NOTHING, audit_get_entries},
    {"POST", "/v1/audit/persons/*/erase", AUTH_PERSON_ERASE, AUDIT_OF_PERSON, audit_post_erase},
};

/* These carry their own proof, or tell nothing that a stranger may not know. */
typedef struct public_route {
    const char *method;
    const char *path;
    void (*handle)(pool *p, http_request *request);
} public_route;

static const public_route public_routes[] = {
    {"GET", "/healthz", observe_health},       {"GET", "/readyz", observe_ready},
    {"GET", "/v1/pool", observe_pool},         {"GET", "/v1/worker", session_accept},
    {"POST", "/v1/worker/enrol", admin_enrol},
};

static slice next_segment(slice *path) {
    slice rest = slice_after(*path, 1);
    size_t end = slice_find(rest, '/');
    slice segment = slice_part(rest, 0, end);
    *path = end == SIZE_MAX ? (slice){0} : slice_after(rest, end);
    return segment;
}

static bool path_matches(const char *pattern, slice path, slice *wild) {
    slice expected = slice_of_text(pattern);
    while (expected.length > 0 && path.length > 0) {
        slice want = next_segment(&expected);
        slice have = next_segment(&path);
        if (slice_equal_text(want, "*") && have.length > 0) {
            *wild = have;
        } else if (!slice_equal(want, have)) {
            return false;
        }
    }
    return expected.length == 0 && path.length == 0;
}

/* Whose key the request has; NULL if none, or if `err` is set. */
static const account *identify(const pool *p, const http_request *request, error *err) {
    slice field;
    slice token;
    uint8_t token_hash[AUTH_HASH_SIZE];
    if (http_request_header_count(request, "authorization") != 1 ||
        !http_request_header(request, "authorization", &field) || !auth_bearer_parse(field, &token) ||
        !auth_user_key_hash(token, token_hash, err)) {
        return NULL;
    }
    return accounts_find(p->accounts, token_hash, clock_unix_ms());
}

/* Only a key that was looked for and not found is called invalid. */
static void refuse_stranger(pool *p, http_request *request, const error *failure) {
    if (failure->code != ERROR_NONE && failure->code != ERROR_DENIED) {
        reply_failure(request, failure);
        return;
    }
    p->counters.unauthorized++;
    if (http_request_header_count(request, "authorization") != 1) {
        reply_error(request, 401, NULL, "missing_api_key",
                    "no key: send the header Authorization: Bearer ck_… once");
    } else {
        reply_error(
            request, 401, NULL, "invalid_api_key",
            "this key is not valid here: it is mistyped, expired or revoked; ask the admin for a new one");
    }
}

static void refuse_role(pool *p, http_request *request, const account *who, auth_action action) {
    p->counters.unauthorized++;
    reply_error(request, 403, NULL, "not_allowed", "the role %s may not do this (%s)",
                auth_role_name(who->role), auth_action_name(action));
}

/* What the table says of a request: one of `open` and `found`, or neither and the methods that the path
 * takes. */
typedef struct match {
    const public_route *open;
    const route *found;
    slice segment;
    char allowed[32]; /* for the field Allow (RFC 9110 §15.5.6); empty: no such path */
} match;

static void allow_method(match *m, const char *method) {
    size_t length = strlen(m->allowed);
    snprintf(m->allowed + length, sizeof m->allowed - length, "%s%s", length == 0 ? "" : ", ", method);
}

static match find_match(const http_request *request) {
    match m = {0};
    slice method = http_request_method(request);
    slice path = http_request_path(request);
    if (slice_equal_text(method, "HEAD")) {
        method = SLICE_LITERAL("GET"); /* the server leaves the body out */
    }
    for (size_t i = 0; i < sizeof public_routes / sizeof public_routes[0]; i++) {
        if (!slice_equal_text(path, public_routes[i].path)) {
            continue;
        }
        if (slice_equal_text(method, public_routes[i].method)) {
            m.open = &public_routes[i];
            return m;
        }
        allow_method(&m, public_routes[i].method);
    }
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!path_matches(routes[i].path, path, &m.segment)) {
            continue;
        }
        if (slice_equal_text(method, routes[i].method)) {
            m.found = &routes[i];
            return m;
        }
        allow_method(&m, routes[i].method);
    }
    return m;
}

static void refuse_address(http_request *request, const match *m) {
    if (m->allowed[0] == '\0') {
        reply_error(request, 404, NULL, "not_found",
                    "there is nothing at this address; the API is under /v1");
    } else {
        reply_not_allowed(request, m->allowed);
    }
}

static audit_act act_of(const match *m, const account *who) {
    return (audit_act){.method = m->found->method,
                       .pattern = m->found->path,
                       .action = m->found->action,
                       .subject = m->found->subject,
                       .segment = m->segment,
                       .who = who};
}

/* The caller may have lost the right while the entry was written. */
static void go_on(pool *p, http_request *request, const void *what, slice segment) {
    const route *found = what;
    error err = {0};
    const account *who = identify(p, request, &err);
    if (who == NULL) {
        refuse_stranger(p, request, &err);
    } else if (!auth_allowed(who->role, found->action)) {
        refuse_role(p, request, who, found->action);
    } else {
        found->handle(p, request, who, segment);
    }
}

static void handle_found(pool *p, http_request *request, const match *m) {
    error err = {0};
    const account *who = identify(p, request, &err);
    audit_act act = act_of(m, who);
    bool privileged = auth_is_privileged(m->found->action);
    if (who == NULL) {
        if (privileged) {
            audit_refusal(p, request, &act, "no valid key");
        }
        refuse_stranger(p, request, &err);
    } else if (!privileged) {
        go_on(p, request, m->found, m->segment);
    } else {
        bool allowed = auth_allowed(who->role, m->found->action);
        audit_gate(p, request, &act, allowed ? AUDIT_ALLOWED : AUDIT_REFUSED, go_on, m->found);
    }
}

void routes_handle(pool *p, http_request *request) {
    match m = find_match(request);
    p->counters.requests++;
    if (m.open != NULL) {
        m.open->handle(p, request);
    } else if (m.found == NULL) {
        refuse_address(request, &m);
    } else {
        handle_found(p, request, &m);
    }
}

/* 0 if it comes in chunks. */
static uint64_t declared_length(const http_request *request) {
    slice text;
    uint64_t length = 0;
    return http_request_header(request, "content-length", &text) && slice_to_u64(text, &length) ? length : 0;
}

http_body_mode routes_expect_body(void *context, http_request *request) {
    pool *p = context;
    error err = {0};
    match m = find_match(request);
    const account *who = m.found == NULL ? NULL : identify(p, request, &err);
    if (who != NULL && auth_allowed(who->role, m.found->action)) {
        return HTTP_BODY_COLLECT;
    }
    uint64_t length = declared_length(request);
    http_request_limit_body(request, STRANGER_BODY_MAX);
    if (m.open != NULL || length <= STRANGER_BODY_MAX || length > p->settings.body_limit) {
        return HTTP_BODY_COLLECT; /* what is too long for anybody is said to be so */
    }
    p->counters.requests++;
    if (m.found != NULL && auth_is_privileged(m.found->action)) {
        audit_act act = act_of(&m, who);
        audit_refusal(p, request, &act, who == NULL ? "no valid key" : "no right to it");
    }
    if (m.found == NULL) {
        refuse_address(request, &m);
    } else if (who == NULL) {
        refuse_stranger(p, request, &err);
    } else {
        refuse_role(p, request, who, m.found->action);
    }
    return HTTP_BODY_COLLECT;
}

slice routes_error_body(void *context, unsigned status, const char *reason, const char **media_type) {
    static uint8_t bytes[1024];
    (void)context;
    buffer body = buffer_make(sizeof bytes);
    reply_write_error(&body, status, NULL, NULL, slice_of_text(reason));
    *media_type = "application/json";
    slice written = buffer_failed(&body) ? (slice){NULL, 0} : buffer_slice(&body);
    if (written.length > 0) {
        memcpy(bytes, written.data, written.length);
    }
    buffer_free(&body);
    return slice_of(bytes, written.length);
}
