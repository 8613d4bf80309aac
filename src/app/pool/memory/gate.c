#include "memory/gate.h"

#include "auth/token.h"
#include "base/memory.h"
#include "codec/json.h"
#include "reply.h"
#include "sso/identify.h"
#include "store/vaults.h"

enum { BODY_DEPTH = 4, BODY_VALUES = 16 };

/* A request that waits for the vault; freed by whatever comes first. */
typedef struct passage {
    pool *pool;
    http_request *request;
    memory_opened *go_on;
    void *context; /* in the request's arena */
    keyring_wait *wait;
    uint64_t user_id; /* who asks */
    uint64_t key_id;
    uint64_t login;
} passage;

void memory_refuse(http_request *request, const error *failure) {
    if (failure->code == ERROR_DENIED) {
        reply_error(request, 403, NULL, "key_opens_nothing", "%s", failure->text);
    } else {
        reply_failure(request, failure);
    }
}

static void client_left(void *context) {
    passage *pass = context;
    keyring_forget(pass->wait);
    memory_free(pass);
}

/* The caller may have lost the right meanwhile. */
static void opened(void *context, open_vault *v, const error *failure) {
    passage pass = *(passage *)context;
    error err = {0};
    memory_free(context);
    http_request_on_closed(pass.request, NULL, NULL);
    const account *who = identify(pass.pool, pass.request, &err);
    if (failure != NULL) {
        memory_refuse(pass.request, failure);
    } else if (who == NULL) {
        keyring_lock(pass.pool->keyring, pass.user_id, pass.key_id, pass.login);
        reply_error(pass.request, 401, NULL, "invalid_api_key", "this key or session has ended");
    } else {
        pass.go_on(pass.context, who, v);
    }
}

static void open_with(pool *p, http_request *request, const account *who, slice token, const passage *wanted,
                      memory_need need) {
    error err = {0};
    passage *pass = memory_allocate(sizeof *pass);
    if (pass == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *pass = *wanted;
    pass->user_id = who->user_id;
    pass->key_id = who->key_id;
    pass->login = who->login;
    pass->wait = keyring_open(p->keyring, who, token, need == MEMORY_MADE, opened, pass, &err);
    if (pass->wait == NULL) {
        memory_free(pass);
        memory_refuse(request, &err);
        return;
    }
    http_request_on_closed(request, client_left, pass);
}

bool memory_request_token(const http_request *request, slice *token) {
    slice field;
    return http_request_header_count(request, "authorization") == 1 &&
           http_request_header(request, "authorization", &field) && auth_bearer_parse(field, token) &&
           auth_user_key_check(*token);
}

static void refuse_locked(http_request *request) {
    reply_error(
        request, 403, NULL, "memory_locked",
        "what you keep opens with one of your keys, which a session doesn't bring: send one once, POST "
        "/v1/memory/unlock {\"key\":\"ck_...\"}");
}

static void looking_client_left(void *context) {
    ((passage *)context)->request = NULL; /* the store still answers */
}

static void looked(void *context, const store_vault *found, const error *failure) {
    passage pass = *(passage *)context;
    error err = failure == NULL ? (error){0} : *failure;
    memory_free(context);
    if (pass.request == NULL) {
        return;
    }
    http_request_on_closed(pass.request, NULL, NULL);
    const account *who = failure == NULL ? identify(pass.pool, pass.request, &err) : NULL;
    if (failure != NULL) {
        reply_failure(pass.request, failure);
    } else if (who == NULL) {
        reply_error(pass.request, 401, NULL, "invalid_api_key", "this key or session has ended");
    } else if (found != NULL) {
        refuse_locked(pass.request);
    } else {
        pass.go_on(pass.context, who, NULL);
    }
}

/* A session can't open one, but where there is none it needs to open nothing. */
static void look_for_vault(pool *p, http_request *request, const account *who, memory_opened *go_on,
                           void *context) {
    error err = {0};
    passage *pass = memory_allocate(sizeof *pass);
    if (pass == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *pass = (passage){.pool = p, .request = request, .go_on = go_on, .context = context};
    http_request_on_closed(request, looking_client_left, pass);
    if (!store_vault_get(p->store, who->user_id, looked, pass, &err)) {
        http_request_on_closed(request, NULL, NULL);
        memory_free(pass);
        reply_failure(request, &err);
    }
}

void memory_open(pool *p, http_request *request, const account *who, memory_need need, memory_opened *go_on,
                 void *context) {
    slice token;
    open_vault *v = keyring_find(p->keyring, who);
    if (v != NULL) {
        go_on(context, who, v);
    } else if (memory_request_token(request, &token)) {
        passage wanted = {.pool = p, .request = request, .go_on = go_on, .context = context};
        open_with(p, request, who, token, &wanted, need);
    } else if (need == MEMORY_IF_ANY) {
        look_for_vault(p, request, who, go_on, context);
    } else {
        refuse_locked(request);
    }
}

typedef struct entry {
    pool *pool;
    http_request *request;
    slice segment; /* lives as long as the request */
    memory_handler *handler;
} entry;

static void enter(void *context, const account *who, open_vault *v) {
    const entry *e = context;
    e->handler(e->pool, e->request, who, e->segment, v);
}

static entry *new_entry(pool *p, http_request *request, slice segment, memory_handler *handler) {
    entry *e = arena_allocate(http_request_arena(request), sizeof *e);
    if (e == NULL) {
        reply_out_of_memory(request);
        return NULL;
    }
    *e = (entry){.pool = p, .request = request, .segment = segment, .handler = handler};
    return e;
}

void memory_enter(pool *p, http_request *request, const account *who, slice segment, memory_need need,
                  memory_handler *handler) {
    entry *e = new_entry(p, request, segment, handler);
    if (e != NULL) {
        memory_open(p, request, who, need, enter, e);
    }
}

static void reply_unlocked(pool *p, http_request *request, const account *who, slice segment, open_vault *v) {
    reply_json answer;
    (void)p;
    (void)who;
    (void)segment;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.memory.unlocked"));
    json_add_bool(&answer.w, "unlocked", v != NULL);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

void memory_unlock(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    slice token = {0};
    slice body = http_request_body(request);
    json_value *root = json_parse(
        body, (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES},
        &err);
    if (root == NULL || !json_get_text(root, "key", &token, &err)) {
        json_free(root);
        reply_unreadable(request, "key", &err);
        return;
    }
    entry *e = new_entry(p, request, segment, reply_unlocked);
    if (e != NULL) {
        passage wanted = {.pool = p, .request = request, .go_on = enter, .context = e};
        open_with(p, request, who, token, &wanted, MEMORY_MADE); /* copies the token */
    }
    json_free(root);
}

void memory_lock(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    keyring_lock(p->keyring, who->user_id, who->key_id, who->login);
    reply_done(request);
}
