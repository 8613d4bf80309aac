#include "memory/keys.h"

#include "auth/token.h"
#include "codec/json.h"
#include "memory/gate.h"
#include "reply.h"
#include "store/vaults.h"

enum { BODY_DEPTH = 4, BODY_VALUES = 16 };

/* In the request's arena. */
typedef struct key_change {
    pool *pool;
    http_request *request;
    slice token;
    uint64_t key_id;
} key_change;

static key_change *new_change(pool *p, http_request *request) {
    key_change *c = arena_allocate(http_request_arena(request), sizeof *c);
    if (c == NULL) {
        reply_out_of_memory(request);
        return NULL;
    }
    *c = (key_change){.pool = p, .request = request};
    return c;
}

static void added(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    if (!reply_later_waits(&later, failure)) {
        return;
    }
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.memory.key"));
    json_add_u64(&answer.w, "key_id", later.key_id);
    json_add_bool(&answer.w, "opens_memory", true);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, later.request, 200);
}

static void add(void *context, const account *who, open_vault *v) {
    const key_change *c = context;
    error err = {0};
    uint64_t key_id = 0;
    if (!keyring_key_of(c->pool->keyring, who->user_id, c->token, &key_id)) {
        reply_error(
            c->request, 403, "key", "not_your_key",
            "this isn't one of your keys, or it was revoked or has expired; GET /v1/keys lists yours");
        return;
    }
    reply_later *later = reply_later_new(c->pool, c->request, who->user_id);
    if (later == NULL) {
        return;
    }
    later->key_id = key_id;
    if (!keyring_wrap(v, key_id, c->token, added, later, &err)) {
        reply_later_fail(later, &err);
    }
}

/* The one in the body, or the one that asks. */
static bool read_token(pool *p, http_request *request, slice *token, error *err) {
    slice body = http_request_body(request);
    slice own = {NULL, 0};
    if (!memory_request_token(request, &own)) {
        own = (slice){NULL, 0};
    }
    json_value *root = json_parse(
        body.length == 0 ? SLICE_LITERAL("{}") : body,
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    bool read =
        root != NULL &&
        (json_kind_of(root) == JSON_KIND_OBJECT ||
         error_set(err, ERROR_INVALID, "the body must be a JSON object")) &&
        json_get_text_or(root, "key", own, token, err) &&
        (token->length > 0 || error_set(err, ERROR_INVALID, "key: which is to open what you keep?")) &&
        (arena_copy(http_request_arena(request), *token, token) || error_memory(err));
    json_free(root);
    return read;
}

void memory_key_add(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    key_change *c = new_change(p, request);
    if (c == NULL) {
        return;
    }
    if (!read_token(p, request, &c->token, &err)) {
        reply_unreadable(request, "key", &err);
    } else {
        memory_open(p, request, who, MEMORY_MADE, add, c);
    }
}

static void removed(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    if (failure == NULL) {
        keyring_lock(later.pool->keyring, later.user_id, later.key_id, 0);
    }
    if (reply_later_waits(&later, failure)) {
        reply_done(later.request);
    }
}

static void remove_wrap(void *context, const account *who, open_vault *v) {
    const key_change *c = context;
    error err = {0};
    if (v == NULL) {
        reply_error(c->request, 404, NULL, "not_found", "you keep nothing here");
        return;
    }
    reply_later *later = reply_later_new(c->pool, c->request, who->user_id);
    if (later == NULL) {
        return;
    }
    later->key_id = c->key_id;
    if (!store_wrap_remove(c->pool->store, who->user_id, c->key_id, removed, later, &err)) {
        reply_later_fail(later, &err);
    }
}

void memory_key_remove(pool *p, http_request *request, const account *who, slice key_id) {
    uint64_t id = 0;
    if (!slice_to_u64(key_id, &id)) {
        reply_error(request, 404, NULL, "not_found", "a key's id is a number; GET /v1/keys shows yours");
        return;
    }
    key_change *c = new_change(p, request);
    if (c != NULL) {
        c->key_id = id;
        memory_open(p, request, who, MEMORY_IF_ANY, remove_wrap, c);
    }
}
