#include "sso/device.h"

#include "base/memory.h"
#include "codec/base64.h"
#include "codec/form.h"
#include "codec/json.h"
#include "crypto/secret.h"
#include "os/random.h"
#include "reply.h"
#include "sso/entry.h"
#include "sso/oauth_reply.h"
#include "sso/strangers.h"

#include <stdio.h>

enum {
    CODE_SIZE = 32,
    CODE_LENGTH = 3 + BASE64URL_LENGTH(CODE_SIZE),
    PROVIDER_CODE_MAX = 2048,
    LIFE_MAX_S = 1800,
    LIFE_USUAL_S = 600,
    INTERVAL_S = 5,
    INTERVAL_MAX_S = 60,
    FORM_LIMIT = 16 * 1024,
    ANSWER_DEPTH = 8,
    ANSWER_VALUES = 64
};

static const char device_grant[] = "urn:ietf:params:oauth:grant-type:device_code";

/* One login under way. */
typedef struct device {
    uint8_t hash[HASH_SIZE]; /* of the code that the program has */
    provider *with;
    char *code;           /* the provider's */
    uint64_t interval_ms; /* between two polls at least */
    uint64_t next_ms;     /* monotonic */
    uint64_t expires_ms;
    bool is_asking; /* the provider is being asked, or the session is being made */
} device;

struct devices {
    map *by_hash;
    uint64_t second;
    unsigned begun_in_second;
};

bool devices_start(pool *p, error *err) {
    devices *all = memory_allocate_zeroed(1, sizeof *all);
    map *by_hash = map_new(p->map_seed);
    if (all == NULL || by_hash == NULL) {
        memory_free(all);
        map_free(by_hash);
        return error_memory(err);
    }
    all->by_hash = by_hash;
    p->devices = all;
    return true;
}

static void forget(devices *all, device *d) {
    map_remove(all->by_hash, slice_of(d->hash, sizeof d->hash));
    secret_wipe(d->code, strlen(d->code));
    memory_free(d->code);
    memory_free(d);
}

void devices_free(devices *all) {
    void *value = NULL;
    if (all == NULL) {
        return;
    }
    for (size_t i = 0; map_next(all->by_hash, &i, NULL, &value);) {
        forget(all, value);
    }
    map_free(all->by_hash);
    memory_free(all);
}

void devices_keep_house(pool *p) {
    void *value = NULL;
    for (size_t i = 0; map_next(p->devices->by_hash, &i, NULL, &value);) {
        device *d = value;
        if (!d->is_asking && ev_now_ms(p->loop) >= d->expires_ms) {
            forget(p->devices, d);
        }
    }
}

/* What the provider said of a new login. */
typedef struct authorization {
    slice device_code;
    slice user_code;
    slice verification_uri;
    slice verification_uri_complete;
    uint64_t expires_in;
    uint64_t interval;
} authorization;

static json_value *parse_answer(slice body, error *err) {
    return json_parse(
        body, (json_limits){.size = AUTH_OIDC_DOCUMENT_MAX, .depth = ANSWER_DEPTH, .values = ANSWER_VALUES},
        err);
}

static bool read_authorization(const json_value *root, authorization *a, error *err) {
    slice none = {NULL, 0};
    return json_get_text(root, "device_code", &a->device_code, err) &&
           json_get_text(root, "user_code", &a->user_code, err) &&
           json_get_text(root, "verification_uri", &a->verification_uri, err) &&
           json_get_text_or(root, "verification_uri_complete", none, &a->verification_uri_complete, err) &&
           json_get_u64_or(root, "expires_in", 1, UINT32_MAX, LIFE_USUAL_S, &a->expires_in, err) &&
           json_get_u64_or(root, "interval", 0, INTERVAL_MAX_S, INTERVAL_S, &a->interval, err) &&
           ((a->device_code.length > 0 && a->device_code.length <= PROVIDER_CODE_MAX &&
             auth_oidc_url_is_safe(a->verification_uri) &&
             (a->verification_uri_complete.length == 0 ||
              auth_oidc_url_is_safe(a->verification_uri_complete))) ||
            error_set(err, ERROR_DENIED, "an address of the provider isn't https"));
}

/* Adds the login under a code of our own, whose text is given. */
static bool add_device(pool *p, provider *with, const authorization *a, char code[CODE_LENGTH + 1],
                       error *err) {
    uint8_t secret[CODE_SIZE] = {0};
    device *d = memory_allocate_zeroed(1, sizeof *d);
    uint64_t life_s = a->expires_in < LIFE_MAX_S ? a->expires_in : LIFE_MAX_S;
    if (d == NULL) {
        return error_memory(err);
    }
    d->code = memory_allocate_zeroed(1, a->device_code.length + 1);
    if (d->code == NULL) {
        memory_free(d);
        return error_memory(err);
    }
    bool made = random_bytes(secret, sizeof secret, err);
    memcpy(code, "cd_", 3);
    base64url_encode(slice_of(secret, sizeof secret), code + 3);
    secret_wipe(secret, sizeof secret);
    memcpy(d->code, a->device_code.data, a->device_code.length);
    d->with = with;
    d->interval_ms = (a->interval == 0 ? 1 : a->interval) * 1000;
    d->next_ms = ev_now_ms(p->loop) + d->interval_ms;
    d->expires_ms = ev_now_ms(p->loop) + life_s * 1000;
    made = made && hash_sha256(slice_of(code, CODE_LENGTH), d->hash, err) &&
           (map_put(p->devices->by_hash, slice_of(d->hash, sizeof d->hash), d) || error_memory(err));
    if (!made) {
        memory_free(d->code);
        memory_free(d);
    }
    return made;
}

/* A request to begin, until the provider has answered. */
typedef struct beginning {
    reply_later *later;
    provider *with;
} beginning;

static void reply_authorization(http_request *request, const authorization *a, const char *code) {
    static const http_header headers[] = {{SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")},
                                          {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-store")}};
    buffer body = buffer_make(FORM_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "device_code", slice_of_text(code));
    json_add_text(&w, "user_code", a->user_code);
    json_add_text(&w, "verification_uri", a->verification_uri);
    if (a->verification_uri_complete.length > 0) {
        json_add_text(&w, "verification_uri_complete", a->verification_uri_complete);
    }
    json_add_u64(&w, "expires_in", a->expires_in < LIFE_MAX_S ? a->expires_in : LIFE_MAX_S);
    json_add_u64(&w, "interval", a->interval == 0 ? 1 : a->interval);
    json_write_object_end(&w);
    if (buffer_failed(&body)) {
        reply_out_of_memory(request);
    } else {
        http_respond(request, 200, headers, sizeof headers / sizeof headers[0], buffer_slice(&body));
    }
    buffer_wipe(&body);
}

static void end_beginning(beginning *b, const error *failure) {
    reply_later later = reply_later_take(b->later);
    memory_free(b);
    if (later.request != NULL) {
        oauth_reply_failure(later.request, failure);
    }
}

static void authorized(void *context, const http_client_answer *answer) {
    beginning *b = context;
    error err = {0};
    authorization a = {0};
    char code[CODE_LENGTH + 1] = "";
    bool answered = answer->cause == NULL && answer->status == 200;
    if (!answered) {
        error_set(&err, ERROR_IO, "the provider begins no login: %s",
                  answer->cause != NULL ? answer->cause->text
                                        : "is the device flow allowed for this client?");
    }
    json_value *root = answered ? parse_answer(answer->body, &err) : NULL;
    if (root == NULL || !read_authorization(root, &a, &err) ||
        !add_device(b->later->pool, b->with, &a, code, &err)) {
        end_beginning(b, &err);
    } else {
        reply_later later = reply_later_take(b->later);
        memory_free(b);
        if (later.request != NULL) {
            reply_authorization(later.request, &a, code);
        }
    }
    secret_wipe(code, sizeof code);
    json_free(root);
}

static void ready_to_begin(void *context, provider *with, const error *failure) {
    beginning *b = context;
    error err = {0};
    buffer form = buffer_make(FORM_LIMIT);
    if (failure == NULL && with->metadata.device_endpoint.length == 0) {
        error_set(&err, ERROR_UNSUPPORTED, "the identity provider has no device flow");
        failure = &err;
    }
    if (failure == NULL) {
        form_add(&form, "scope", slice_of_text(with->scopes));
        if (with->secret != NULL && !with->metadata.secret_in_body) {
            form_add(&form, "client_id", with->client.client_id); /* RFC 8628 §3.1 wants it there */
        }
        failure =
            provider_post(with, with->metadata.device_endpoint, &form, authorized, b, &err) ? NULL : &err;
    }
    buffer_wipe(&form);
    if (failure != NULL) {
        end_beginning(b, failure);
    }
}

/* Anybody may ask, from many addresses: so that nobody has the pool ask the provider without end. */
static bool may_begin(pool *p) {
    devices *all = p->devices;
    uint64_t second = ev_now_ms(p->loop) / 1000;
    if (second != all->second) {
        all->second = second;
        all->begun_in_second = 0;
    }
    return map_count(all->by_hash) < DEVICES_MAX && all->begun_in_second++ < DEVICES_PER_SECOND;
}

void device_authorize(pool *p, http_request *request) {
    error err = {0};
    slice name;
    if (!form_get(http_request_body(request), "provider", http_request_arena(request), &name, &err)) {
        oauth_reply_failure(request, &err);
        return;
    }
    provider *with = providers_find(p->providers, name);
    if (with == NULL) {
        oauth_reply_error(request, 400, "invalid_request",
                          providers_count(p->providers) == 0
                              ? "this site has no single sign-on; use a key that the admin gives you"
                              : "there is no identity provider of this name");
        return;
    }
    if (strangers_begin(p, http_request_peer(request), STRANGERS_DEVICE) || !may_begin(p)) {
        oauth_reply_error(request, 429, "slow_down", "too many logins begin now; try again in a moment");
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
    *b = (beginning){.later = later, .with = with};
    provider_prepare(with, (slice){NULL, 0}, ready_to_begin, b);
}

/* A request that asks how it stands. */
typedef struct polling {
    reply_later *later;
    uint8_t hash[HASH_SIZE];
} polling;

static device *device_of(const polling *poll) {
    return map_get(poll->later->pool->devices->by_hash, slice_of(poll->hash, sizeof poll->hash));
}

static http_request *end_polling(polling *poll) {
    reply_later later = reply_later_take(poll->later);
    memory_free(poll);
    return later.request;
}

static void granted(void *context, const login_grant *grant, const error *failure) {
    polling *poll = context;
    device *d = device_of(poll);
    if (d != NULL) {
        forget(poll->later->pool->devices, d); /* the provider's code is spent */
    }
    http_request *request = end_polling(poll);
    if (request == NULL) {
        return;
    }
    if (grant != NULL) {
        oauth_reply_grant(request, 200, grant, NULL);
    } else if (failure->code == ERROR_DENIED || failure->code == ERROR_CONFLICT) {
        oauth_reply_error(request, 400, "access_denied", failure->text);
    } else {
        oauth_reply_failure(request, failure);
    }
}

/* RFC 8628 §3.5: whether it is only to wait. */
static void reply_pending(polling *poll, slice code) {
    devices *all = poll->later->pool->devices;
    device *d = device_of(poll);
    bool pending = slice_equal_text(code, "authorization_pending");
    bool slower = slice_equal_text(code, "slow_down");
    if (d != NULL && (pending || slower)) {
        d->is_asking = false;
        d->interval_ms += slower ? (uint64_t)INTERVAL_S * 1000 : 0;
        d->next_ms = ev_now_ms(poll->later->pool->loop) + d->interval_ms;
    } else if (d != NULL) {
        forget(all, d);
    }
    http_request *request = end_polling(poll);
    if (request == NULL) {
        return;
    }
    if (pending || slower) {
        oauth_reply_error(request, 400, pending ? "authorization_pending" : "slow_down",
                          "the person has not logged in yet");
    } else if (slice_equal_text(code, "access_denied")) {
        oauth_reply_error(request, 400, "access_denied", "the login was refused");
    } else {
        oauth_reply_error(request, 400, "expired_token", "the login took too long; begin again");
    }
}

static void polled(void *context, const http_client_answer *answer) {
    polling *poll = context;
    device *d = device_of(poll);
    error err = {0};
    if (d == NULL) {
        reply_pending(poll, SLICE_LITERAL("expired_token"));
        return;
    }
    if (answer->cause == NULL && answer->status == 200) {
        entry_begin(d->with, answer->body, (slice){NULL, 0}, granted, poll);
        return;
    }
    json_value *root = answer->cause == NULL ? parse_answer(answer->body, &err) : NULL;
    slice code = json_text_of(json_find(root, "error"));
    /* One that doesn't answer now may do so later. */
    reply_pending(poll, root == NULL || answer->status >= 500 ? SLICE_LITERAL("slow_down") : code);
    json_free(root);
}

static bool ask_provider(device *d, polling *poll, error *err) {
    buffer form = buffer_make(FORM_LIMIT);
    form_add(&form, "grant_type", slice_of_text(device_grant));
    form_add(&form, "device_code", slice_of_text(d->code));
    bool asked = provider_post(d->with, d->with->metadata.token_endpoint, &form, polled, poll, err);
    buffer_wipe(&form);
    return asked;
}

void device_poll(pool *p, http_request *request, slice device_code) {
    error err = {0};
    uint8_t code_hash[HASH_SIZE];
    uint64_t now = ev_now_ms(p->loop);
    if (device_code.length != CODE_LENGTH || !hash_sha256(device_code, code_hash, &err)) {
        oauth_reply_error(request, 400, "invalid_grant", "this is not the code of a login");
        return;
    }
    device *d = map_get(p->devices->by_hash, slice_of(code_hash, sizeof code_hash));
    if (d == NULL || now >= d->expires_ms) {
        oauth_reply_error(request, 400, "expired_token", "this login is over, or took too long; begin again");
        return;
    }
    if (d->is_asking || now < d->next_ms) {
        oauth_reply_error(request, 400, d->is_asking ? "authorization_pending" : "slow_down",
                          "ask no more often than was said");
        return;
    }
    reply_later *later = reply_later_new(p, request, 0);
    if (later == NULL) {
        return;
    }
    polling *poll = memory_allocate_zeroed(1, sizeof *poll);
    if (poll == NULL) {
        error_memory(&err);
        reply_later_fail(later, &err);
        return;
    }
    poll->later = later;
    memcpy(poll->hash, code_hash, sizeof poll->hash);
    d->is_asking = true;
    if (!ask_provider(d, poll, &err)) {
        d->is_asking = false;
        http_request *waiting = end_polling(poll);
        oauth_reply_failure(waiting, &err);
    }
}
