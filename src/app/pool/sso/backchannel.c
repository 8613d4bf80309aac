#include "sso/backchannel.h"

#include "audit/audit.h"
#include "base/log.h"
#include "base/memory.h"
#include "codec/form.h"
#include "crypto/hash.h"
#include "os/clock.h"
#include "reply.h"
#include "sso/logins.h"
#include "sso/oauth_reply.h"

enum { MEMORY_LIMIT = 256 * 1024 };

/* A token that was taken, until it has expired; whom it names lies behind it, in the same block. */
typedef struct taken_token {
    list_node node; /* oldest first */
    uint8_t digest[HASH_SIZE];
    uint64_t expires_s;
    uint64_t number; /* in the order of taking, from 1 */
    const provider *from;
    slice subject;
    slice provider_session;
} taken_token;

struct backchannel {
    map *by_digest;
    list_node taken;
    uint64_t count; /* of all that were ever taken */
};

bool backchannel_start(pool *p, error *err) {
    backchannel *all = memory_allocate_zeroed(1, sizeof *all);
    map *by_digest = map_new(p->map_seed);
    if (all == NULL || by_digest == NULL) {
        memory_free(all);
        map_free(by_digest);
        return error_memory(err);
    }
    all->by_digest = by_digest;
    list_init(&all->taken);
    p->backchannel = all;
    return true;
}

static void forget(backchannel *all, taken_token *token) {
    map_remove(all->by_digest, slice_of(token->digest, sizeof token->digest));
    list_remove(&token->node);
    memory_free(token);
}

void backchannel_free(backchannel *all) {
    if (all == NULL) {
        return;
    }
    while (!list_is_empty(&all->taken)) {
        forget(all, LIST_ENTRY(list_first(&all->taken), taken_token, node));
    }
    map_free(all->by_digest);
    memory_free(all);
}

void backchannel_keep_house(pool *p) {
    backchannel *all = p->backchannel;
    uint64_t now_s = clock_unix_ms() / 1000;
    list_node *next = NULL;
    for (list_node *node = all->taken.next; node != &all->taken; node = next) {
        next = node->next;
        taken_token *token = LIST_ENTRY(node, taken_token, node);
        if (now_s > token->expires_s + AUTH_JWT_LEEWAY_S) {
            forget(all, token);
        }
    }
}

/* A request whose token waits for the provider's keys. */
typedef struct leaving {
    reply_later *later;
    arena *memory; /* holds all of it */
    slice token;
} leaving;

/* NULL: memory is out. */
static taken_token *taken_new(const provider *from, const auth_oidc_logout *logout) {
    slice subject = logout->subject;
    slice named = logout->provider_session;
    taken_token *token = memory_allocate_zeroed(1, sizeof *token + subject.length + named.length);
    if (token == NULL) {
        return NULL;
    }
    uint8_t *texts = (uint8_t *)(token + 1);
    if (subject.length > 0) {
        memcpy(texts, subject.data, subject.length);
    }
    if (named.length > 0) {
        memcpy(texts + subject.length, named.data, named.length);
    }
    token->expires_s = logout->expires_s;
    token->from = from;
    token->subject = slice_of(texts, subject.length);
    token->provider_session = slice_of(texts + subject.length, named.length);
    return token;
}

/* Notes the token by issuer and "jti". ERROR_DENIED: it was taken before. */
static bool take_once(backchannel *all, const provider *from, const auth_oidc_logout *logout, arena *a,
                      error *err) {
    uint8_t digest[HASH_SIZE];
    size_t length = from->client.issuer.length;
    uint8_t *both = arena_allocate(a, length + 1 + logout->id.length);
    if (both == NULL) {
        return error_memory(err);
    }
    memcpy(both, from->client.issuer.data, length);
    both[length] = 0;
    memcpy(both + length + 1, logout->id.data, logout->id.length);
    if (!hash_sha256(slice_of(both, length + 1 + logout->id.length), digest, err)) {
        return false;
    }
    if (map_get(all->by_digest, slice_of(digest, sizeof digest)) != NULL) {
        return error_set(err, ERROR_DENIED, "this logout token was taken before");
    }
    if (map_count(all->by_digest) >= BACKCHANNEL_KNOWN_MAX) {
        forget(all, LIST_ENTRY(list_first(&all->taken), taken_token, node));
    }
    taken_token *token = taken_new(from, logout);
    if (token == NULL || !map_put(all->by_digest, slice_of(digest, sizeof digest), token)) {
        memory_free(token);
        return error_memory(err);
    }
    memcpy(token->digest, digest, sizeof digest);
    token->number = ++all->count;
    list_append(&all->taken, &token->node);
    return true;
}

uint64_t backchannel_count(const pool *p) {
    return p->backchannel->count;
}

bool backchannel_named_since(const pool *p, uint64_t count, const provider *from, slice subject,
                             slice provider_session) {
    const list_node *all = &p->backchannel->taken;
    for (const list_node *node = all->previous; node != all; node = node->previous) {
        const taken_token *token = LIST_ENTRY(node, const taken_token, node);
        if (token->number <= count) {
            return false;
        }
        if (token->from == from &&
            logins_are_named(token->subject, token->provider_session, subject, provider_session)) {
            return true;
        }
    }
    return false;
}

static void sessions_ended(void *context, const error *failure) {
    static const http_header headers[] = {{SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")},
                                          {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store")}};
    reply_later later = reply_later_take(context);
    if (later.request == NULL) {
        return;
    }
    if (failure != NULL) {
        /* Not 200: a provider may say it again. */
        reply_shut_out(later.request, failure, later.shut_out);
    } else {
        http_respond(later.request, 200, headers, sizeof headers / sizeof headers[0],
                     SLICE_LITERAL("{\"done\":true}"));
    }
}

static void end_sessions(reply_later *later, const provider *from, const auth_oidc_logout *logout) {
    error err = {0};
    pool *p = later->pool;
    store_session_choice choice = {.issuer = from->client.issuer,
                                   .subject = logout->subject,
                                   .provider_session = logout->provider_session};
    size_t count = logins_end_provided(p, choice.issuer, choice.subject, choice.provider_session);
    later->shut_out = count > 0;
    log_info("logged out by the provider", LOG_TEXT("provider", from->name), LOG_U64("sessions", count));
    audit_note_event(p, "logout_by_provider", slice_of_text(from->name),
                     count > 0 ? "ended" : "none went on");
    if (!store_sessions_end(p->store, &choice, clock_unix_ms(), sessions_ended, later, &err)) {
        sessions_ended(later, &err);
    }
}

static void refuse(leaving *l, const error *why) {
    reply_later later = reply_later_take(l->later);
    bool denied = why->code == ERROR_DENIED || why->code == ERROR_INVALID;
    if (later.request != NULL && denied) {
        later.pool->counters.unauthorized++;
        oauth_reply_error(later.request, 400, "invalid_request", why->text);
    } else if (later.request != NULL) {
        oauth_reply_failure(later.request, why);
    }
}

static void provider_is_ready(void *context, provider *from, const error *failure) {
    leaving *l = context;
    arena *memory = l->memory;
    error err = {0};
    auth_oidc_logout logout;
    bool good = failure == NULL &&
                auth_oidc_read_logout_token(l->token, &from->client, from->keys, clock_unix_ms() / 1000,
                                            memory, &logout, &err) &&
                take_once(l->later->pool->backchannel, from, &logout, memory, &err);
    if (good) {
        end_sessions(l->later, from, &logout);
    } else {
        refuse(l, failure != NULL ? failure : &err);
    }
    arena_free(memory);
}

/* What is to be read, kept beyond the request: its client may leave. */
static leaving *leaving_new(slice token, error *err) {
    arena *memory = arena_new(MEMORY_LIMIT);
    leaving *l = memory == NULL ? NULL : arena_allocate(memory, sizeof *l);
    if (l == NULL || !arena_copy(memory, token, &l->token)) {
        arena_free(memory);
        error_memory(err);
        return NULL;
    }
    l->memory = memory;
    return l;
}

void backchannel_logout(pool *p, http_request *request) {
    error err = {0};
    slice token;
    if (!form_get(http_request_body(request), "logout_token", http_request_arena(request), &token, &err)) {
        oauth_reply_failure(request, &err);
        return;
    }
    provider *from =
        providers_find_issuer(p->providers, auth_oidc_issuer(token, http_request_arena(request)));
    if (from == NULL) {
        oauth_reply_error(request, 400, "invalid_request", "no identity provider of this site says so");
        return;
    }
    leaving *l = leaving_new(token, &err);
    if (l == NULL) {
        oauth_reply_failure(request, &err);
        return;
    }
    l->later = reply_later_new(p, request, 0);
    if (l->later == NULL) {
        arena_free(l->memory);
        return;
    }
    provider_prepare(from, auth_oidc_key_id(token, l->memory), provider_is_ready, l);
}
