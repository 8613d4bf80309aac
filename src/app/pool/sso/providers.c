#include "base/log.h"
#include "base/memory.h"
#include "codec/base64.h"
#include "codec/form.h"
#include "crypto/secret.h"
#include "net/egress.h"
#include "providers_internal.h"

#include <stdio.h>

enum {
    TIMEOUT_MS = 10000,
    PUBLISHED_LIMIT = 64 * 1024,
    WAITING_MAX = 1024,
    BASIC_SIZE = 4096,
    HEADER_SIZE = BASIC_SIZE * 2
};

static const char metadata_path[] = "/.well-known/openid-configuration";

/* A request under way. */
typedef struct call {
    list_node node;
    void (*done)(void *context, const http_client_answer *answer);
    void *context;
} call;

/* Somebody who waits for what a provider publishes. */
typedef struct waiter {
    list_node node;
    provider_ready *done;
    void *context;
} waiter;

/* What it publishes may name other hosts: those are asked only where the settings name them too. */
static bool allow_issuers(const providers *all, error *err) {
    char issuer[AUTH_OIDC_URL_MAX + 1];
    for (size_t i = 0; i < all->count; i++) {
        snprintf(issuer, sizeof issuer, "%.*s", SLICE_FORMAT(all->list[i].client.issuer));
        if (!net_egress_allow_url(issuer, false, err)) {
            return false;
        }
    }
    return true;
}

bool providers_load(pool *p, error *err) {
    char path[SITE_PATH_SIZE];
    if (!site_path(p->site.folder, SITE_SSO, path, err)) {
        return false;
    }
    p->providers = memory_allocate_zeroed(1, sizeof *p->providers);
    if (p->providers == NULL) {
        return error_memory(err);
    }
    p->providers->pool = p;
    list_init(&p->providers->calls);
    if (!file_exists(path)) {
        return true;
    }
    if (!providers_read(p->providers, p->site.folder, path, err) || !allow_issuers(p->providers, err)) {
        return false;
    }
    p->providers->http = http_client_new(p->loop, err);
    return p->providers->http != NULL;
}

pool *provider_pool(const provider *one) {
    return one->all->pool;
}

size_t providers_count(const providers *all) {
    return all->count;
}

provider *providers_at(providers *all, size_t index) {
    return index < all->count ? &all->list[index] : NULL;
}

provider *providers_find(providers *all, slice name) {
    for (size_t i = 0; i < all->count; i++) {
        if (name.length == 0 || slice_equal_text(name, all->list[i].name)) {
            return &all->list[i];
        }
    }
    return NULL;
}

provider *providers_find_issuer(providers *all, slice issuer) {
    for (size_t i = 0; i < all->count; i++) {
        if (slice_equal(issuer, all->list[i].client.issuer)) {
            return &all->list[i];
        }
    }
    return NULL;
}

static uint64_t now_of(const provider *one) {
    return ev_now_ms(one->all->pool->loop);
}

static void end_call(call *c, const http_client_answer *answer) {
    call taken = *c;
    list_remove(&c->node);
    memory_free(c);
    taken.done(taken.context, answer);
}

static void call_answered(void *context, const http_client_answer *answer) {
    end_call(context, answer);
}

/* What is old is still better than nothing while the provider can't be reached. */
static void end_fetch(provider *one, const error *failure) {
    one->is_fetching = false;
    if (failure != NULL && !one->all->closing) {
        log_warning("an identity provider doesn't answer", LOG_TEXT("provider", one->name),
                    LOG_CAUSE(failure));
        failure = one->keys != NULL && one->metadata_ms != 0 ? NULL : failure;
    }
    list_node ready;
    list_init(&ready);
    while (!list_is_empty(&one->waiting)) {
        list_node *node = list_first(&one->waiting);
        list_remove(node);
        list_append(&ready, node);
    }
    one->waiting_count = 0;
    while (!list_is_empty(&ready)) {
        waiter *w = LIST_ENTRY(list_first(&ready), waiter, node);
        list_remove(&w->node);
        provider_ready *done = w->done;
        void *context = w->context;
        memory_free(w);
        done(context, one, failure);
    }
}

void providers_stop(providers *all) {
    error stopping;
    http_client_answer none = {.cause = &stopping};
    if (all == NULL) {
        return;
    }
    error_set(&stopping, ERROR_IO, "the pool is stopping; try again in a moment");
    all->closing = true;
    http_client_free(all->http);
    all->http = NULL;
    while (!list_is_empty(&all->calls)) {
        end_call(LIST_ENTRY(list_first(&all->calls), call, node), &none);
    }
    for (size_t i = 0; i < all->count; i++) {
        auth_jwks_free(all->list[i].keys);
        all->list[i].keys = NULL; /* nothing to go by */
        end_fetch(&all->list[i], &stopping);
    }
}

void providers_free(providers *all) {
    for (size_t i = 0; all != NULL && i < all->count; i++) {
        provider_clear(&all->list[i]);
    }
    memory_free(all);
}

static bool check_answer(const http_client_answer *answer, error *err) {
    if (answer->cause != NULL) {
        *err = *answer->cause;
        return false;
    }
    return answer->status == 200 ||
           error_set(err, ERROR_IO, "the provider answered with status %u", answer->status);
}

static bool fetch(provider *one, slice url, void (*done)(void *context, const http_client_answer *answer),
                  error *err) {
    static const char *const headers[] = {"Accept: application/json", NULL};
    char text[AUTH_OIDC_URL_MAX + sizeof metadata_path];
    http_client_options options = {
        .ca_pem = buffer_slice(&one->ca_pem), .timeout_ms = TIMEOUT_MS, .max_bytes = AUTH_OIDC_DOCUMENT_MAX};
    snprintf(text, sizeof text, "%.*s", SLICE_FORMAT(url));
    return http_client_request(one->all->http, "GET", text, headers, (slice){NULL, 0}, &options, done, one,
                               err) != NULL;
}

static void keys_came(void *context, const http_client_answer *answer) {
    provider *one = context;
    error err = {0};
    if (!check_answer(answer, &err)) {
        end_fetch(one, &err);
        return;
    }
    auth_jwks *keys = auth_jwks_parse(answer->body, one->algorithms, &err);
    if (keys == NULL) {
        end_fetch(one, &err);
        return;
    }
    auth_jwks_free(one->keys);
    one->keys = keys;
    one->keys_ms = now_of(one);
    end_fetch(one, NULL);
}

static void fetch_keys(provider *one) {
    error err = {0};
    one->asked_ms = now_of(one);
    if (!fetch(one, one->metadata.jwks_uri, keys_came, &err)) {
        end_fetch(one, &err);
    }
}

static void metadata_came(void *context, const http_client_answer *answer) {
    provider *one = context;
    error err = {0};
    auth_oidc_metadata metadata;
    arena *published = arena_new(PUBLISHED_LIMIT);
    bool good = published != NULL || error_memory(&err);
    good = good && check_answer(answer, &err) &&
           auth_oidc_metadata_parse(answer->body, one->client.issuer, published, &metadata, &err);
    if (!good) {
        arena_free(published);
        end_fetch(one, &err);
        return;
    }
    arena_free(one->published);
    one->published = published;
    one->metadata = metadata;
    one->metadata_ms = now_of(one);
    fetch_keys(one);
}

static void fetch_metadata(provider *one) {
    error err = {0};
    char url[AUTH_OIDC_URL_MAX + sizeof metadata_path];
    slice issuer = one->client.issuer;
    while (issuer.length > 0 && issuer.data[issuer.length - 1] == '/') {
        issuer.length--; /* Discovery 1.0 §4.1 */
    }
    snprintf(url, sizeof url, "%.*s%s", SLICE_FORMAT(issuer), metadata_path);
    if (!fetch(one, slice_of_text(url), metadata_came, &err)) {
        end_fetch(one, &err);
    }
}

static bool has_key(const provider *one, slice key_id) {
    static const char *const names[] = {"EdDSA", "ES256", "RS256"};
    if (key_id.length == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (auth_jwks_find(one->keys, key_id, slice_of_text(names[i])) != NULL) {
            return true;
        }
    }
    return false;
}

static bool wants_keys(const provider *one, slice key_id) {
    uint64_t now = now_of(one);
    if (one->keys == NULL || now - one->keys_ms >= PROVIDER_KEYS_MS) {
        return one->keys == NULL || now - one->asked_ms >= PROVIDER_REFETCH_MS;
    }
    return !has_key(one, key_id) && now - one->asked_ms >= PROVIDER_REFETCH_MS;
}

void provider_prepare(provider *from, slice key_id, provider_ready *done, void *context) {
    error err = {0};
    if (from->all->closing) {
        error_set(&err, ERROR_IO, "the pool is stopping; try again in a moment");
        done(context, from, &err);
        return;
    }
    bool wants_metadata = from->metadata_ms == 0 || now_of(from) - from->metadata_ms >= PROVIDER_METADATA_MS;
    if (!from->is_fetching && !wants_metadata && !wants_keys(from, key_id)) {
        done(context, from, NULL);
        return;
    }
    waiter *w = from->waiting_count < WAITING_MAX ? memory_allocate_zeroed(1, sizeof *w) : NULL;
    if (w == NULL) {
        error_set(&err, ERROR_LIMIT, "too many wait for the identity provider; try again later");
        done(context, from, &err);
        return;
    }
    *w = (waiter){.done = done, .context = context};
    list_append(&from->waiting, &w->node);
    from->waiting_count++;
    if (from->is_fetching) {
        return;
    }
    from->is_fetching = true;
    if (wants_metadata) {
        fetch_metadata(from);
    } else {
        fetch_keys(from);
    }
}

static bool begin_call(provider *with, const char *method, slice url, const char *const *headers, slice body,
                       void (*done)(void *context, const http_client_answer *answer), void *context,
                       error *err) {
    char text[AUTH_OIDC_URL_MAX + 1];
    http_client_options options = {
        .ca_pem = buffer_slice(&with->ca_pem), .timeout_ms = TIMEOUT_MS, .max_bytes = AUTH_OIDC_DOCUMENT_MAX};
    if (with->all->closing) {
        return error_set(err, ERROR_IO, "the pool is stopping; try again in a moment");
    }
    call *c = memory_allocate_zeroed(1, sizeof *c);
    if (c == NULL) {
        return error_memory(err);
    }
    snprintf(text, sizeof text, "%.*s", SLICE_FORMAT(url));
    *c = (call){.done = done, .context = context};
    list_append(&with->all->calls, &c->node);
    if (http_client_request(with->all->http, method, text, headers, body, &options, call_answered, c, err) ==
        NULL) {
        list_remove(&c->node);
        memory_free(c);
        return false;
    }
    return true;
}

/* RFC 6749 §2.3.1: both parts are form-encoded before they are joined. */
static bool make_basic(const provider *to, char header[HEADER_SIZE], error *err) {
    static const char begin[] = "Authorization: Basic ";
    buffer pair = buffer_make(BASIC_SIZE);
    bool made = buffer_reserve(&pair, BASIC_SIZE) != NULL &&
                form_append_escaped(&pair, to->client.client_id) && buffer_append_byte(&pair, ':') &&
                form_append_escaped(&pair, slice_of_text(to->secret));
    if (made) {
        memcpy(header, begin, sizeof begin);
        base64_encode(buffer_slice(&pair), header + sizeof begin - 1);
    }
    buffer_wipe(&pair);
    return made || error_memory(err);
}

bool provider_post(provider *to, slice url, buffer *form,
                   void (*done)(void *context, const http_client_answer *answer), void *context, error *err) {
    char basic[HEADER_SIZE] = "";
    const char *headers[] = {"Content-Type: application/x-www-form-urlencoded", "Accept: application/json",
                             NULL, NULL};
    if (to->secret == NULL || to->metadata.secret_in_body) {
        form_add(form, "client_id", to->client.client_id);
    }
    if (to->secret != NULL && to->metadata.secret_in_body) {
        form_add(form, "client_secret", slice_of_text(to->secret));
    } else if (to->secret != NULL) {
        if (!make_basic(to, basic, err)) {
            return false;
        }
        headers[2] = basic;
    }
    bool sent = buffer_failed(form)
                    ? error_memory(err)
                    : begin_call(to, "POST", url, headers, buffer_slice(form), done, context, err);
    secret_wipe(basic, sizeof basic);
    return sent;
}

bool provider_get(provider *from, slice url, slice token,
                  void (*done)(void *context, const http_client_answer *answer), void *context, error *err) {
    char bearer[AUTH_JWS_SIZE_MAX + 64];
    const char *headers[] = {"Accept: application/json", bearer, NULL};
    if (token.length == 0 || token.length > AUTH_JWS_SIZE_MAX) {
        return error_set(err, ERROR_DENIED, "the provider's access token can't be used");
    }
    snprintf(bearer, sizeof bearer, "Authorization: Bearer %.*s", SLICE_FORMAT(token));
    bool sent = begin_call(from, "GET", url, headers, (slice){NULL, 0}, done, context, err);
    secret_wipe(bearer, sizeof bearer);
    return sent;
}
