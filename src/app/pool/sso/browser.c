#include "sso/browser.h"

#include "base/log.h"
#include "base/memory.h"
#include "codec/base64.h"
#include "codec/form.h"
#include "crypto/secret.h"
#include "os/clock.h"
#include "os/random.h"
#include "public_address.h"
#include "reply.h"
#include "sso/cookies.h"
#include "sso/entry.h"
#include "sso/identify.h"
#include "sso/oauth_reply.h"
#include "sso/strangers.h"

#include <stdio.h>

enum {
    WORD_SIZE = 32,
    WORD_LENGTH = BASE64URL_LENGTH(WORD_SIZE),
    RETURN_MAX = 512,
    URL_LIMIT = 8192,
    FORM_LIMIT = 16 * 1024,
    BEGUN_PER_SECOND = 100
};

/* A login under way. */
typedef struct going {
    list_node node;             /* in browsers.going, oldest first */
    uint8_t hash[HASH_SIZE];    /* of its state */
    uint8_t browser[HASH_SIZE]; /* of the cookie's value */
    provider *with;
    char nonce[WORD_LENGTH + 1];
    char verifier[WORD_LENGTH + 1];
    char return_to[RETURN_MAX + 1];
    uint64_t expires_ms; /* monotonic */
} going;

struct browsers {
    map *by_state;
    list_node going;
    uint64_t second;
    unsigned begun_in_second;
};

bool browsers_start(pool *p, error *err) {
    browsers *all = memory_allocate_zeroed(1, sizeof *all);
    map *by_state = map_new(p->map_seed);
    if (all == NULL || by_state == NULL) {
        memory_free(all);
        map_free(by_state);
        return error_memory(err);
    }
    all->by_state = by_state;
    list_init(&all->going);
    p->browsers = all;
    return true;
}

static void forget(browsers *all, going *g) {
    map_remove(all->by_state, slice_of(g->hash, sizeof g->hash));
    list_remove(&g->node);
    secret_wipe(g, sizeof *g);
    memory_free(g);
}

void browsers_free(browsers *all) {
    if (all == NULL) {
        return;
    }
    while (!list_is_empty(&all->going)) {
        forget(all, LIST_ENTRY(list_first(&all->going), going, node));
    }
    map_free(all->by_state);
    memory_free(all);
}

void browsers_keep_house(pool *p) {
    browsers *all = p->browsers;
    while (!list_is_empty(&all->going)) {
        going *g = LIST_ENTRY(list_first(&all->going), going, node);
        if (ev_now_ms(p->loop) < g->expires_ms) {
            return;
        }
        forget(all, g);
    }
}

/* A path of this pool and nothing else, so that nobody is sent elsewhere by a link to here: no scheme, no
 * host, no second slash or backslash that a browser takes for one. */
static bool is_own_path(slice path) {
    if (path.length == 0 || path.length > RETURN_MAX || path.data[0] != '/' ||
        (path.length > 1 && path.data[1] == '/')) {
        return false;
    }
    for (size_t i = 0; i < path.length; i++) {
        uint8_t c = path.data[i];
        if (c <= ' ' || c >= 0x7F || c == '\\') {
            return false;
        }
    }
    return true;
}

static bool draw_word(char word[WORD_LENGTH + 1], error *err) {
    uint8_t bytes[WORD_SIZE];
    bool drawn = random_bytes(bytes, sizeof bytes, err);
    base64url_encode(slice_of(bytes, sizeof bytes), word);
    secret_wipe(bytes, sizeof bytes);
    return drawn;
}

/* Makes a login of this browser. The oldest gives way where there are too many: it can be begun again. */
static going *add_going(pool *p, provider *with, slice return_to, char state[WORD_LENGTH + 1],
                        char browser[WORD_LENGTH + 1], error *err) {
    browsers *all = p->browsers;
    going *g = memory_allocate_zeroed(1, sizeof *g);
    if (g == NULL) {
        error_memory(err);
        return NULL;
    }
    if (map_count(all->by_state) >= BROWSERS_MAX) {
        forget(all, LIST_ENTRY(list_first(&all->going), going, node));
    }
    *g = (going){.with = with, .expires_ms = ev_now_ms(p->loop) + BROWSER_LIFE_MS};
    memcpy(g->return_to, return_to.data, return_to.length);
    bool made = draw_word(state, err) && draw_word(browser, err) && draw_word(g->nonce, err) &&
                draw_word(g->verifier, err) && hash_sha256(slice_of_text(state), g->hash, err) &&
                hash_sha256(slice_of_text(browser), g->browser, err) &&
                (map_put(all->by_state, slice_of(g->hash, sizeof g->hash), g) || error_memory(err));
    if (!made) {
        memory_free(g);
        return NULL;
    }
    list_append(&all->going, &g->node);
    return g;
}

static bool add_redirect(pool *p, buffer *form, error *err) {
    char address[AUTH_ADDRESS_MAX + 1];
    char url[AUTH_ADDRESS_MAX + 64];
    if (!pool_public_address(p, address, err)) {
        return false;
    }
    snprintf(url, sizeof url, "https://%s/auth/callback", address);
    return form_add(form, "redirect_uri", slice_of_text(url)) || error_memory(err);
}

static bool write_url(pool *p, const going *g, const char *state, buffer *url, error *err) {
    uint8_t digest[HASH_SIZE];
    char challenge[WORD_LENGTH + 1];
    buffer query = buffer_make(URL_LIMIT);
    bool made = hash_sha256(slice_of_text(g->verifier), digest, err);
    base64url_encode(slice_of(digest, sizeof digest), challenge);
    form_add(&query, "response_type", SLICE_LITERAL("code"));
    form_add(&query, "client_id", g->with->client.client_id);
    form_add(&query, "scope", slice_of_text(g->with->scopes));
    form_add(&query, "state", slice_of_text(state));
    form_add(&query, "nonce", slice_of_text(g->nonce));
    form_add(&query, "code_challenge", slice_of_text(challenge));
    form_add(&query, "code_challenge_method", SLICE_LITERAL("S256"));
    made = made && add_redirect(p, &query, err);
    slice endpoint = g->with->metadata.authorization_endpoint;
    buffer_append(url, endpoint);
    buffer_append_byte(url, slice_find(endpoint, '?') == SIZE_MAX ? '?' : '&');
    buffer_append(url, buffer_slice(&query));
    made = made && (!(buffer_failed(&query) || buffer_failed(url)) || error_memory(err));
    buffer_free(&query);
    return made;
}

static const http_header no_store = {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store")};
static const http_header no_referrer = {SLICE_LITERAL("Referrer-Policy"), SLICE_LITERAL("no-referrer")};

/* A request to log in, until the provider's metadata are there. */
typedef struct beginning {
    reply_later *later;
    char return_to[RETURN_MAX + 1];
} beginning;

static void send_off(pool *p, http_request *request, provider *with, slice return_to) {
    error err = {0};
    char state[WORD_LENGTH + 1];
    char browser[WORD_LENGTH + 1];
    char cookie[COOKIE_TEXT_MAX];
    buffer url = buffer_make(URL_LIMIT);
    going *g = add_going(p, with, return_to, state, browser, &err);
    if (g == NULL || !write_url(p, g, state, &url, &err)) {
        reply_failure(request, &err);
    } else {
        const http_header headers[] = {
            {SLICE_LITERAL("Location"), buffer_slice(&url)},
            {SLICE_LITERAL("Set-Cookie"), cookie_set(cookie, COOKIE_LOGIN, browser, BROWSER_LIFE_MS / 1000)},
            no_store,
            no_referrer};
        http_respond(request, 303, headers, sizeof headers / sizeof headers[0], (slice){NULL, 0});
    }
    buffer_free(&url);
}

static void ready_to_begin(void *context, provider *with, const error *failure) {
    beginning b = *(beginning *)context;
    memory_free(context);
    reply_later later = reply_later_take(b.later);
    if (later.request == NULL) {
        return;
    }
    if (failure != NULL) {
        reply_failure(later.request, failure);
    } else {
        send_off(later.pool, later.request, with, slice_of_text(b.return_to));
    }
}

static bool may_begin(pool *p) {
    browsers *all = p->browsers;
    uint64_t second = ev_now_ms(p->loop) / 1000;
    if (second != all->second) {
        all->second = second;
        all->begun_in_second = 0;
    }
    return all->begun_in_second++ < BEGUN_PER_SECOND;
}

void browser_login(pool *p, http_request *request) {
    error err = {0};
    slice name;
    slice return_to;
    slice query = http_request_query(request);
    arena *a = http_request_arena(request);
    if (!form_get(query, "provider", a, &name, &err) || !form_get(query, "return", a, &return_to, &err)) {
        reply_unreadable(request, NULL, &err);
        return;
    }
    return_to = return_to.length == 0 ? SLICE_LITERAL("/") : return_to;
    if (!is_own_path(return_to)) {
        reply_error(request, 400, "return", NULL, "return must be a path of this pool: /…");
        return;
    }
    provider *with = providers_find(p->providers, name);
    if (with == NULL) {
        reply_error(request, 404, "provider", "no_provider",
                    "this site has no such single sign-on; use a key that the admin gives you");
        return;
    }
    if (strangers_begin(p, http_request_peer(request), STRANGERS_BROWSER) || !may_begin(p)) {
        reply_error(request, 429, NULL, "too_many_logins",
                    "too many logins begin now; try again in a moment");
        return;
    }
    reply_later *later = reply_later_new(p, request, 0);
    if (later == NULL) {
        return;
    }
    beginning *b = memory_allocate_zeroed(1, sizeof *b);
    if (b == NULL) {
        error_memory(&err);
        reply_later_fail(later, &err);
        return;
    }
    b->later = later;
    memcpy(b->return_to, return_to.data, return_to.length);
    provider_prepare(with, (slice){NULL, 0}, ready_to_begin, b);
}

/* An answer that has come back, until the session is made. */
typedef struct coming {
    reply_later *later;
    provider *with;
    char nonce[WORD_LENGTH + 1];
    char return_to[RETURN_MAX + 1];
} coming;

static void reply_refused(http_request *request, const error *why) {
    reply_error(request,
                why->code == ERROR_DENIED || why->code == ERROR_CONFLICT ? 403 : reply_status_of(why->code),
                NULL, "login_refused", "%s", why->text);
}

static void set_cookies(http_request *request, unsigned status, const http_header *first,
                        const login_grant *grant, slice body) {
    char access[COOKIE_TEXT_MAX];
    char refresh[COOKIE_TEXT_MAX];
    char login_over[COOKIE_TEXT_MAX];
    uint64_t now = clock_unix_ms();
    uint64_t left_s = grant->session->expires_ms > now ? (grant->session->expires_ms - now) / 1000 : 1;
    const http_header headers[] = {
        *first,
        {SLICE_LITERAL("Set-Cookie"), cookie_set(access, COOKIE_ACCESS, grant->access, grant->expires_in_s)},
        {SLICE_LITERAL("Set-Cookie"), cookie_set(refresh, COOKIE_REFRESH, grant->refresh, left_s)},
        {SLICE_LITERAL("Set-Cookie"), cookie_set(login_over, COOKIE_LOGIN, "", 0)},
        no_store,
        no_referrer};
    http_respond(request, status, headers, sizeof headers / sizeof headers[0], body);
    secret_wipe(access, sizeof access);
    secret_wipe(refresh, sizeof refresh);
}

static void session_made(void *context, const login_grant *grant, const error *failure) {
    coming c = *(coming *)context;
    memory_free(context);
    reply_later later = reply_later_take(c.later);
    if (later.request == NULL) {
        return;
    }
    if (failure != NULL) {
        reply_refused(later.request, failure);
        return;
    }
    http_header location = {SLICE_LITERAL("Location"), slice_of_text(c.return_to)};
    set_cookies(later.request, 303, &location, grant, (slice){NULL, 0});
}

static void tokens_came(void *context, const http_client_answer *answer) {
    coming *c = context;
    error err = {0};
    if (answer->cause == NULL && answer->status == 200) {
        entry_begin(c->with, answer->body, slice_of_text(c->nonce), session_made, c);
        return;
    }
    error_set(&err, answer->cause == NULL ? ERROR_DENIED : ERROR_IO,
              "the identity provider doesn't take the code of this login; begin again");
    session_made(c, NULL, &err);
}

static void exchange(pool *p, http_request *request, const going *g, slice code) {
    error err = {0};
    buffer form = buffer_make(FORM_LIMIT);
    reply_later *later = reply_later_new(p, request, 0);
    if (later == NULL) {
        return;
    }
    coming *c = memory_allocate_zeroed(1, sizeof *c);
    if (c == NULL) {
        error_memory(&err);
        reply_later_fail(later, &err);
        return;
    }
    *c = (coming){.later = later, .with = g->with};
    memcpy(c->nonce, g->nonce, sizeof c->nonce);
    memcpy(c->return_to, g->return_to, sizeof c->return_to);
    form_add(&form, "grant_type", SLICE_LITERAL("authorization_code"));
    form_add(&form, "code", code);
    form_add(&form, "code_verifier", slice_of_text(g->verifier));
    if (!add_redirect(p, &form, &err) ||
        !provider_post(g->with, g->with->metadata.token_endpoint, &form, tokens_came, c, &err)) {
        session_made(c, NULL, &err);
    }
    buffer_wipe(&form);
}

/* What the provider has the browser bring. */
typedef struct answer_fields {
    slice state;
    slice code;
    slice issuer;
    slice failure;
} answer_fields;

static bool read_fields(http_request *request, answer_fields *fields, error *err) {
    slice query = http_request_query(request);
    arena *a = http_request_arena(request);
    return form_get(query, "state", a, &fields->state, err) &&
           form_get(query, "code", a, &fields->code, err) &&
           form_get(query, "iss", a, &fields->issuer, err) &&
           form_get(query, "error", a, &fields->failure, err);
}

/* The login that this answer is of; it counts once. NULL: of none that this browser began. */
static going *take_going(pool *p, const http_request *request, slice state) {
    error err = {0};
    uint8_t state_hash[HASH_SIZE];
    uint8_t browser_hash[HASH_SIZE];
    slice cookie;
    if (state.length != WORD_LENGTH || !hash_sha256(state, state_hash, &err) ||
        !cookie_get(request, COOKIE_LOGIN, &cookie) || !hash_sha256(cookie, browser_hash, &err)) {
        return NULL;
    }
    going *g = map_get(p->browsers->by_state, slice_of(state_hash, sizeof state_hash));
    bool fits = g != NULL && hash_equal(g->browser, browser_hash, sizeof browser_hash) &&
                ev_now_ms(p->loop) < g->expires_ms;
    return fits ? g : NULL;
}

/* RFC 9207 §2.4: an answer of another provider than the one that was asked. */
static bool is_of_issuer(const going *g, slice issuer) {
    return issuer.length == 0 ? !g->with->metadata.names_issuer : slice_equal(issuer, g->with->client.issuer);
}

void browser_callback(pool *p, http_request *request) {
    error err = {0};
    answer_fields fields;
    if (!read_fields(request, &fields, &err)) {
        reply_unreadable(request, NULL, &err);
        return;
    }
    going *g = take_going(p, request, fields.state);
    if (g == NULL) {
        reply_error(request, 400, "state", "login_refused",
                    "this login wasn't begun in this browser, is over, or took too long; begin again");
        return;
    }
    going taken = *g;
    forget(p->browsers, g);
    if (!is_of_issuer(&taken, fields.issuer)) {
        log_warning("a login's answer names another issuer", LOG_TEXT("provider", taken.with->name));
        reply_error(request, 403, "iss", "login_refused", "the answer is of another identity provider");
    } else if (fields.code.length == 0) {
        reply_error(request, 403, "error", "login_refused",
                    "the identity provider has logged nobody in: %.*s",
                    SLICE_FORMAT(slice_part(fields.failure, 0, 64)));
    } else {
        exchange(p, request, &taken, fields.code);
    }
    secret_wipe(&taken, sizeof taken);
}

static const http_header json_type = {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")};

static void refreshed(void *context, const login_grant *grant, const error *failure) {
    reply_later later = reply_later_take(context);
    if (later.request == NULL) {
        return;
    }
    if (failure != NULL) {
        oauth_reply_not_refreshed(later.pool, later.request, failure);
    } else {
        set_cookies(later.request, 200, &json_type, grant, SLICE_LITERAL("{\"done\":true}"));
    }
}

static bool check_own(http_request *request) {
    if (!cookie_request_is_own(request)) {
        reply_error(request, 403, NULL, "cross_site", "this comes from another site's page");
        return false;
    }
    return true;
}

void browser_refresh(pool *p, http_request *request) {
    error err = {0};
    slice token;
    if (!check_own(request)) {
        return;
    }
    if (!cookie_get(request, COOKIE_REFRESH, &token)) {
        oauth_reply_error(request, 400, "invalid_grant", "this browser isn't logged in");
        return;
    }
    reply_later *later = reply_later_new(p, request, 0);
    if (later != NULL && !logins_refresh(p, token, refreshed, later, &err)) {
        reply_later taken = reply_later_take(later);
        oauth_reply_not_refreshed(p, taken.request, &err);
    }
}

static void logged_out(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    char access[COOKIE_TEXT_MAX];
    char refresh[COOKIE_TEXT_MAX];
    if (later.request == NULL) {
        return;
    }
    if (failure != NULL) {
        reply_shut_out(later.request, failure, later.shut_out);
        return;
    }
    const http_header headers[] = {json_type,
                                   {SLICE_LITERAL("Set-Cookie"), cookie_set(access, COOKIE_ACCESS, "", 0)},
                                   {SLICE_LITERAL("Set-Cookie"), cookie_set(refresh, COOKIE_REFRESH, "", 0)},
                                   no_store};
    http_respond(later.request, 200, headers, sizeof headers / sizeof headers[0],
                 SLICE_LITERAL("{\"done\":true}"));
}

/* The session that either cookie is of: the access token may have expired. */
static bool find_own_session(pool *p, const http_request *request, uint8_t id[STORE_SESSION_ID_SIZE]) {
    error ignored = {0};
    uint8_t digest[HASH_SIZE];
    slice token;
    const account *who = identify(p, request, &ignored);
    if (who != NULL && who->login != 0) {
        memcpy(id, ((const login *)(const void *)who)->id, STORE_SESSION_ID_SIZE);
        return true;
    }
    if (!cookie_get(request, COOKIE_REFRESH, &token) || !auth_refresh_read(token, id, digest, &ignored)) {
        return false;
    }
    const login *l = logins_find(p->logins, id);
    return l != NULL && hash_equal(l->refresh_hash, digest, sizeof digest);
}

void browser_logout(pool *p, http_request *request) {
    error err = {0};
    uint8_t id[STORE_SESSION_ID_SIZE];
    store_session_choice choice = {.id = id};
    if (!check_own(request)) {
        return;
    }
    reply_later *later = reply_later_new(p, request, 0);
    if (later == NULL) {
        return;
    }
    if (!find_own_session(p, request, id)) {
        logged_out(later, NULL);
        return;
    }
    later->shut_out = logins_end(p, id) > 0;
    if (!store_sessions_end(p->store, &choice, clock_unix_ms(), logged_out, later, &err)) {
        logged_out(later, &err);
    }
}
