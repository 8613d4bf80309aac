#include "base/log.h"
#include "codec/json.h"
#include "reply.h"
#include "secrets/secrets.h"
#include "sso/session_api.h"
#include "store/server.h"

#include <stdio.h>

enum { BODY_DEPTH = 4, BODY_VALUES = 16 };

static void write_dates(json_writer *w, uint64_t begins_ms, uint64_t expires_ms) {
    json_add_u64(w, "begins_ms", begins_ms);
    json_add_u64(w, "expires_ms", expires_ms);
}

static void write_secrets(const pool *p, http_request *request) {
    secrets_progress progress;
    reply_json answer;
    secrets_describe(p, &progress);
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.secrets"));
    json_write_key(&answer.w, "pool");
    json_write_object_begin(&answer.w);
    json_add_u64(&answer.w, "keys", progress.keys);
    json_add_u64(&answer.w, "begins_ms", progress.key_begins_ms);
    json_write_object_end(&answer.w);
    json_write_key(&answer.w, "server");
    json_write_object_begin(&answer.w);
    write_dates(&answer.w, progress.server_begins_ms, progress.server_expires_ms);
    json_write_object_end(&answer.w);
    json_write_key(&answer.w, "ca");
    json_write_object_begin(&answer.w);
    write_dates(&answer.w, progress.ca_begins_ms, progress.ca_expires_ms);
    json_add_bool(&answer.w, "former", progress.former);
    json_add_u64(&answer.w, "workers", progress.workers);
    json_add_u64(&answer.w, "know", progress.know);
    json_add_u64(&answer.w, "away", progress.away);
    json_write_object_end(&answer.w);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

void admin_secrets(pool *p, http_request *request, const account *who, slice segment) {
    (void)who;
    (void)segment;
    write_secrets(p, request);
}

static void exchanged(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    if (failure == NULL) {
        log_warning("a secret was exchanged", LOG_TEXT("secret", later.name), LOG_U64("by", later.user_id));
    } else {
        log_error("a secret was not exchanged", LOG_TEXT("secret", later.name), LOG_CAUSE(failure));
    }
    if (reply_later_waits(&later, failure)) {
        write_secrets(later.pool, later.request);
    }
    reply_later_end(&later);
}

static reply_later *begin(pool *p, http_request *request, const account *who, slice kind) {
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL) {
        snprintf(later->name, sizeof later->name, "%.*s", SLICE_FORMAT(kind));
    }
    return later;
}

static void exchange_secret(pool *p, http_request *request, const account *who, slice kind, secrets_act act) {
    error err = {0};
    reply_later *later = begin(p, request, who, kind);
    if (later != NULL && !secrets_exchange(p, act, exchanged, later, &err)) {
        reply_later_fail(later, &err);
    }
}

static void exchange_key(pool *p, http_request *request, const account *who, slice kind) {
    error err = {0};
    reply_later *later = begin(p, request, who, kind);
    if (later != NULL && !secrets_succeed(p, exchanged, later, &err)) {
        reply_later_fail(later, &err);
    }
}

/* {"finish": true}; no body is none of it. False: the request has been answered. */
static bool read_finish(pool *p, http_request *request, bool *finish) {
    error err = {0};
    slice body = http_request_body(request);
    json_value *root = json_parse(
        body.length == 0 ? SLICE_LITERAL("{}") : body,
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, &err);
    bool read = root != NULL &&
                (json_kind_of(root) == JSON_KIND_OBJECT ||
                 error_set(&err, ERROR_INVALID, "the body must be a JSON object")) &&
                json_get_bool_or(root, "finish", false, finish, &err);
    json_free(root);
    if (!read) {
        reply_unreadable(request, "finish", &err);
    }
    return read;
}

void admin_secret_rotate(pool *p, http_request *request, const account *who, slice kind) {
    bool finish = false;
    if (slice_equal_text(kind, "session")) {
        session_api_rotate_key(p, request, who, kind);
    } else if (slice_equal_text(kind, "server")) {
        exchange_secret(p, request, who, kind, SECRETS_SERVER);
    } else if (slice_equal_text(kind, "pool")) {
        exchange_key(p, request, who, kind);
    } else if (slice_equal_text(kind, "ca")) {
        if (read_finish(p, request, &finish)) {
            exchange_secret(p, request, who, kind, finish ? SECRETS_DROP_FORMER : SECRETS_AUTHORITY);
        }
    } else if (slice_equal_text(kind, "database")) {
        reply_error(
            request, 409, NULL, "conflict",
            store_path_is_server(p->database)
                ? "the database's password is its server's: change it there and in the pool's passfile, "
                  "then start the pool again"
                : "the database is a file of the pool's own: it has no credential to be exchanged");
    } else {
        reply_error(request, 404, NULL, "not_found",
                    "the secrets are ca, server, pool, session and database");
    }
}
