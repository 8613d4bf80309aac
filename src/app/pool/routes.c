#include "routes.h"

#include "reply.h"
#include "route_table.h"
#include "sso/identify.h"
#include "sso/strangers.h"

#include <stdio.h>

enum { STRANGER_BODY_MAX = 16384 }; /* bytes from whoever has no right here: more than any enrolment */

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

/* Only a key that was looked for and not found is called invalid. */
static void refuse_stranger(pool *p, http_request *request, const error *failure) {
    if (failure->code != ERROR_NONE && failure->code != ERROR_DENIED) {
        reply_failure(request, failure);
        return;
    }
    p->counters.unauthorized++;
    if (identify_tries_key(request) && strangers_failed(p, http_request_peer(request))) {
        reply_error(request, 429, NULL, "too_many_failures",
                    "too many keys from this address that nobody has; check the key, then wait a while");
        return;
    }
    if (http_request_header_count(request, "authorization") != 1) {
        reply_error(request, 401, NULL, "missing_api_key",
                    "no key: send the header Authorization: Bearer ck_… once");
    } else {
        reply_error(request, 401, NULL, "invalid_api_key", "%s", failure->text);
    }
}

static void refuse_role(pool *p, http_request *request, const account *who, auth_action action) {
    p->counters.unauthorized++;
    reply_error(request, 403, NULL, "not_allowed", "the role %s may not do this (%s)",
                auth_role_name(who->role), auth_action_name(action));
}

/* What the table says of a request: a route, or none and the methods that the path takes. */
typedef struct match {
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
    for (size_t i = 0; i < route_count; i++) {
        if (!path_matches(route_table[i].path, path, &m.segment)) {
            continue;
        }
        if (slice_equal_text(method, route_table[i].method)) {
            m.found = &route_table[i];
            return m;
        }
        allow_method(&m, route_table[i].method);
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

/* As its entry says, whatever has changed while that was written. */
static void go_on_refusing(pool *p, http_request *request, const void *what, slice segment) {
    const route *found = what;
    error err = {0};
    const account *who = identify(p, request, &err);
    (void)segment;
    if (who == NULL) {
        refuse_stranger(p, request, &err);
    } else {
        refuse_role(p, request, who, found->action);
    }
}

static void handle_found(pool *p, http_request *request, const match *m) {
    error err = {0};
    const account *who = identify(p, request, &err);
    audit_act act = act_of(m, who);
    bool privileged = auth_is_privileged(m->found->action);
    bool allowed = who != NULL && auth_allowed(who->role, m->found->action);
    if (who == NULL) {
        if (privileged) {
            audit_refusal(p, request, &act, "no valid key");
        }
        refuse_stranger(p, request, &err);
    } else if (!privileged || (allowed && !auth_is_entered(m->found->action))) {
        go_on(p, request, m->found, m->segment);
    } else {
        audit_gate(p, request, &act, allowed ? AUDIT_ALLOWED : AUDIT_REFUSED,
                   allowed ? go_on : go_on_refusing, m->found);
    }
}

void routes_handle(pool *p, http_request *request) {
    match m = find_match(request);
    p->counters.requests++;
    if (m.found == NULL) {
        refuse_address(request, &m);
    } else if (m.found->open != NULL) {
        m.found->open(p, request);
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
    bool open = m.found != NULL && m.found->open != NULL;
    const account *who = m.found == NULL || open ? NULL : identify(p, request, &err);
    if (who != NULL && auth_allowed(who->role, m.found->action)) {
        return HTTP_BODY_COLLECT;
    }
    uint64_t length = declared_length(request);
    http_request_limit_body(request, STRANGER_BODY_MAX);
    if (open || length <= STRANGER_BODY_MAX || length > p->settings.body_limit) {
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
