#include "sso/oauth_reply.h"

#include "reply.h"
#include "sso/strangers.h"

enum { ERROR_LIMIT_SIZE = 4096 };

static const http_header headers[] = {{SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")},
                                      {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store")}};

static void send_and_wipe(http_request *request, unsigned status, buffer *body) {
    if (buffer_failed(body)) {
        reply_out_of_memory(request);
    } else {
        http_respond(request, status, headers, sizeof headers / sizeof headers[0], buffer_slice(body));
    }
    buffer_wipe(body);
}

bool oauth_reply_reserve(reply_later *later, error *err) {
    return reply_later_reserve(later, ERROR_LIMIT_SIZE, err);
}

void oauth_reply_grant(http_request *request, unsigned status, const login_grant *grant, buffer *room) {
    char id[LOGIN_ID_HEX_SIZE];
    buffer body = buffer_make(ERROR_LIMIT_SIZE);
    if (room != NULL) {
        body = *room;
        *room = buffer_make(0);
    }
    (void)!buffer_reserve(&body, ERROR_LIMIT_SIZE); /* no copy stays behind */
    json_writer w = json_writer_make(&body);
    hex_encode(slice_of(grant->session->id, sizeof grant->session->id), id);
    json_write_object_begin(&w);
    json_add_text(&w, "access_token", slice_of_text(grant->access));
    json_add_text(&w, "token_type", SLICE_LITERAL("Bearer"));
    json_add_u64(&w, "expires_in", grant->expires_in_s);
    json_add_text(&w, "refresh_token", slice_of_text(grant->refresh));
    json_add_text(&w, "session", slice_of_text(id));
    json_add_u64(&w, "session_expires_ms", grant->session->expires_ms);
    json_add_text(&w, "user", slice_of_text(grant->session->account.user_name));
    json_add_text(&w, "role", slice_of_text(auth_role_name(grant->session->account.role)));
    json_write_object_end(&w);
    send_and_wipe(request, status, &body);
}

void oauth_reply_error(http_request *request, unsigned status, const char *code, const char *description) {
    buffer body = buffer_make(ERROR_LIMIT_SIZE);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "error", slice_of_text(code));
    json_add_text(&w, "error_description", slice_of_text(description));
    json_write_object_end(&w);
    send_and_wipe(request, status, &body);
}

void oauth_reply_failure(http_request *request, const error *failure) {
    switch (failure->code) {
    case ERROR_DENIED:
    case ERROR_NOT_FOUND:
        oauth_reply_error(request, 400, "invalid_grant", failure->text);
        return;
    case ERROR_INVALID:
    case ERROR_UNSUPPORTED:
        oauth_reply_error(request, 400, "invalid_request", failure->text);
        return;
    default:
        oauth_reply_error(request, reply_status_of(failure->code), "temporarily_unavailable", failure->text);
    }
}

void oauth_reply_not_refreshed(pool *p, http_request *request, const error *failure) {
    if (failure->code == ERROR_DENIED && strangers_failed(p, http_request_peer(request))) {
        oauth_reply_error(request, 429, "slow_down", "too many tokens from this address that nobody has");
    } else {
        oauth_reply_failure(request, failure);
    }
}
