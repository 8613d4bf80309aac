#include "client/api.h"

#include "base/memory.h"
#include "codec/form.h"
#include "codec/json_writer.h"
#include "codec/sse.h"
#include "crypto/certificate.h"
#include "crypto/secret.h"
#include "crypto/start.h"
#include "http/client.h"
#include "net/egress.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "pool_release.h"
#include "session_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    FILE_LIMIT = 65536,
    TEXT_SIZE = 4096,
    KEY_SIZE = SESSION_TOKEN_SIZE,
    EVENT_LIMIT = 4 * 1024 * 1024,
    TIMEOUT_MS = 900000,
    FORM_LIMIT = 4096,
    REFRESH_BEFORE_MS = 30000,
    LOCK_TRIES = 100,
    LOCK_PAUSE_US = 100000
};

/* What a caller may be known by. */
typedef enum api_credential { API_ANY, API_LOGIN, API_NONE } api_credential;

struct api {
    char url[TEXT_SIZE];
    char ca_path[TEXT_SIZE];
    char release[TEXT_SIZE]; /* empty: any */
    bool is_public;          /* the pool may be at a public address */
    char *authorization;     /* secret memory; NULL: a stranger */
    session_file *session;   /* secret memory; what a login has left, where there is no key */
    api_credential credential;
    const char *site; /* whose folder has that login; NULL: none's */
    buffer ca_pem;
    ev_loop *loop;
    http_client *http;
};

/* Takes the text if the setting is still empty. */
static void take(char *setting, size_t size, slice text) {
    if (setting[0] == '\0' && text.length < size && text.length > 0) {
        memcpy(setting, text.data, text.length);
        setting[text.length] = '\0';
    }
}

/* One that is too long must not be taken for none. */
static void take_release(api *a, slice text) {
    take(a->release, sizeof a->release, text.length < sizeof a->release ? text : SLICE_LITERAL("too long"));
}

static void take_key(const api *a, char key[KEY_SIZE], slice text) {
    if (a->credential == API_ANY) {
        take(key, KEY_SIZE, text);
    }
}

/* Others of this user could read it in /proc for as long as the program runs. */
static void take_key_of_environment(const api *a, char key[KEY_SIZE]) {
    char *given = getenv("CELLULE_KEY");
    take_key(a, key, slice_of_text(given));
    if (given != NULL) {
        secret_wipe(given, strlen(given));
    }
}

static bool read_client_file(api *a, const char *path, char key[KEY_SIZE], error *err) {
    bool is_public = false;
    error ignored;
    buffer content = buffer_make(FILE_LIMIT);
    if (!file_read_private(path, &content, err)) {
        return false;
    }
    json_value *root = json_parse(buffer_slice(&content), (json_limits){.size = FILE_LIMIT, .depth = 2}, err);
    bool read = root != NULL;
    if (read) {
        take(a->url, sizeof a->url, json_text_of(json_find(root, "url")));
        take(a->ca_path, sizeof a->ca_path, json_text_of(json_find(root, "ca")));
        take_release(a, json_text_of(json_find(root, "pool_release")));
        take_key(a, key, json_text_of(json_find(root, "key")));
        a->is_public = a->is_public || (json_get_bool(root, "public", &is_public, &ignored) && is_public);
    }
    json_free(root);
    buffer_wipe(&content);
    return read || error_context(err, "reading %s", path);
}

static bool client_file(const api_options *options, char path[TEXT_SIZE]) {
    const char *home = getenv("HOME");
    int length = 0;
    if (options->site != NULL) {
        length = snprintf(path, TEXT_SIZE, "%s/client.json", options->site);
        return length > 0 && length < TEXT_SIZE;
    }
    length = home == NULL ? 0 : snprintf(path, TEXT_SIZE, "%s/.cellule/client.json", home);
    return length > 0 && length < TEXT_SIZE && file_exists(path);
}

/* What a login has left, if anything; the pool it names counts where no other was named. */
static bool read_session(api *a, const api_options *options, error *err) {
    char path[SESSION_PATH_SIZE];
    if (!session_file_path(options->site, "", path, err) || !file_exists(path)) {
        return true; /* what is missing is said later */
    }
    a->session = secret_allocate(sizeof *a->session, err);
    if (a->session == NULL || !session_file_read(path, a->session, err)) {
        return false;
    }
    take(a->url, sizeof a->url, slice_of_text(a->session->url));
    take(a->ca_path, sizeof a->ca_path, slice_of_text(a->session->ca));
    return strcmp(a->url, a->session->url) == 0 ||
           error_set(err, ERROR_DENIED, "you are logged in to %s, not to %s: cellule login", a->session->url,
                     a->url);
}

/* What SDKs take as their base URL is taken too: with /v1, and with a slash at its end. */
static bool trim_url(api *a, error *err) {
    static const char prefix[] = "https://";
    static const char base[] = "/v1";
    if (strncmp(a->url, prefix, sizeof prefix - 1) != 0) {
        return error_set(err, ERROR_INVALID, "the pool's address must begin with https://, not \"%s\"",
                         a->url);
    }
    slice host = slice_after(slice_of_text(a->url), sizeof prefix - 1);
    size_t slash = slice_find(host, '/');
    if (slash == SIZE_MAX) {
        return true;
    }
    slice path = slice_after(host, slash);
    while (path.length > 0 && path.data[path.length - 1] == '/') {
        path.length--;
    }
    if (path.length > 0 && !slice_equal_text(path, base)) {
        return error_set(err, ERROR_INVALID,
                         "the pool's address is https://HOST:PORT, and no more: not \"%s\"", a->url);
    }
    a->url[sizeof prefix - 1 + slash] = '\0';
    return true;
}

static bool settle(api *a, const api_options *options, char key[KEY_SIZE], error *err) {
    char path[TEXT_SIZE];
    take(a->url, sizeof a->url, slice_of_text(options->url));
    take(a->ca_path, sizeof a->ca_path, slice_of_text(options->ca));
    take_release(a, slice_of_text(options->release));
    if (options->site == NULL) {
        take(a->url, sizeof a->url, slice_of_text(getenv("CELLULE_URL")));
        take(a->ca_path, sizeof a->ca_path, slice_of_text(getenv("CELLULE_CA")));
        take_key_of_environment(a, key);
        take_release(a, slice_of_text(getenv("CELLULE_POOL_RELEASE")));
    }
    a->is_public = slice_equal_text(slice_of_text(getenv("CELLULE_PUBLIC")), "yes");
    bool complete =
        a->url[0] != '\0' && a->ca_path[0] != '\0' && (key[0] != '\0' || a->credential != API_ANY);
    if (!complete && client_file(options, path) && !read_client_file(a, path, key, err)) {
        return false;
    }
    if ((a->url[0] != '\0' && !trim_url(a, err)) ||
        (key[0] == '\0' && a->credential != API_NONE && !read_session(a, options, err))) {
        return false;
    }
    if (a->url[0] == '\0') {
        return error_set(err, ERROR_NOT_FOUND,
                         "which pool? give --url https://HOST:PORT, or set CELLULE_URL");
    }
    if (!trim_url(a, err)) { /* a login's, too */
        return false;
    }
    if (a->ca_path[0] == '\0') {
        return error_set(err, ERROR_NOT_FOUND,
                         "whom to trust? give --ca FILE (the site's ca.pem), or set CELLULE_CA");
    }
    return key[0] != '\0' || a->credential == API_NONE || a->session != NULL ||
           error_set(err, ERROR_NOT_FOUND,
                     "no key: log in with cellule login, or set CELLULE_KEY, or put "
                     "{\"url\":…,\"ca\":…,\"key\":…} into ~/.cellule/client.json (mode 0600)");
}

static bool set_credential(api *a, const char *token, error *err) {
    secret_free(a->authorization);
    a->authorization = secret_allocate(KEY_SIZE + 32, err);
    if (a->authorization == NULL) {
        return false;
    }
    snprintf(a->authorization, KEY_SIZE + 32, "Authorization: Bearer %s", token);
    return true;
}

static bool open_parts(api *a, const api_options *options, error *err) {
    char key[KEY_SIZE] = "";
    uint64_t seed = 0;
    if (!crypto_start(err) || !random_bytes(&seed, sizeof seed, err)) {
        return false;
    }
    json_start(seed);
    bool settled = settle(a, options, key, err) && (key[0] == '\0' || set_credential(a, key, err));
    secret_wipe(key, sizeof key);
    if (!settled) {
        return false;
    }
    if (!file_read_all(a->ca_path, &a->ca_pem, err)) {
        return error_context(err, "reading the site's CA");
    }
    if (certificate_count(buffer_slice(&a->ca_pem)) == 0) {
        return error_set(err, ERROR_INVALID, "%s holds no certificate; name the site's ca.pem", a->ca_path);
    }
    net_egress_begin("set CELLULE_PUBLIC=yes, or \"public\": true in client.json, if that is meant");
    if (!net_egress_allow_url(a->url, a->is_public, err)) {
        return false;
    }
    a->loop = ev_loop_new(err);
    a->http = a->loop == NULL ? NULL : http_client_new(a->loop, err);
    return a->http != NULL;
}

static bool check_release(api *a, error *err);

static api *open_as(const api_options *options, api_credential credential, error *err) {
    api *a = memory_allocate_zeroed(1, sizeof *a);
    if (a == NULL) {
        error_memory(err);
        return NULL;
    }
    a->ca_pem = buffer_make(FILE_LIMIT);
    a->credential = credential;
    a->site = options->site;
    if (!open_parts(a, options, err) || !check_release(a, err)) {
        api_close(a);
        return NULL;
    }
    return a;
}

api *api_open_stranger(const api_options *options, error *err) {
    return open_as(options, API_NONE, err);
}

bool api_use_key(api *a, const char *key, error *err) {
    return set_credential(a, key, err);
}

const char *api_url(const api *a) {
    return a->url;
}

const char *api_ca_path(const api *a) {
    return a->ca_path;
}

void api_close(api *a) {
    if (a == NULL) {
        return;
    }
    http_client_free(a->http);
    ev_loop_free(a->loop);
    buffer_free(&a->ca_pem);
    secret_free(a->authorization);
    secret_free(a->session);
    memory_free(a);
    crypto_stop();
}

/* One call under way. */
typedef struct call {
    api *api;
    const char *header; /* NULL: no further one */
    api_answer *answer;
    http_exchange *exchange;
    sse_reader events;
    bool (*on_event)(void *context, slice data);
    bool (*on_bytes)(void *context, slice bytes, error *err);
    void *context;
    bool is_form; /* a refusal is an answer too */
    bool ended_by_us;
    bool keyless; /* the key isn't shown */
    bool done;
    error failure;
} call;

static void end_call(call *c, bool done) {
    c->done = done;
    ev_loop_stop(c->api->loop);
}

static void keep_headers(call *c, const http_exchange *exchange) {
    slice job;
    slice notice;
    if (c->answer->job[0] == '\0' && http_exchange_header(exchange, "x-cellule-job", &job)) {
        take(c->answer->job, sizeof c->answer->job, job);
    }
    if (c->answer->notice[0] == '\0' && http_exchange_header(exchange, "x-cellule-notice", &notice)) {
        take(c->answer->notice, sizeof c->answer->notice, notice);
    }
}

/* {"error":{"message":…}}, or nothing that can be read. */
static void tell_refusal(call *c, unsigned status) {
    slice message = json_text_of(json_find(json_find(c->answer->json, "error"), "message"));
    error_code code = status == 401 || status == 403 ? ERROR_DENIED
                      : status == 404                ? ERROR_NOT_FOUND
                      : status == 429                ? ERROR_LIMIT
                                                     : ERROR_IO;
    if (message.length > 0) {
        error_set(&c->failure, code, "%.*s", SLICE_FORMAT(message));
    } else {
        error_set(&c->failure, code, "the pool answered with status %u", status);
    }
}

static void answered(void *context, const http_client_answer *answer) {
    call *c = context;
    c->exchange = NULL;
    if (c->ended_by_us) {
        end_call(c, c->failure.code == ERROR_NONE);
        return;
    }
    if (answer->cause != NULL) {
        c->failure = *answer->cause;
        error_context(&c->failure, "asking %s", c->api->url);
        end_call(c, false);
        return;
    }
    keep_headers(c, answer->exchange);
    c->answer->status = answer->status;
    bool refused = !c->is_form && (answer->status < 200 || answer->status > 299);
    if (answer->body.length > 0) {
        c->answer->json = json_parse(answer->body, (json_limits){.size = SIZE_MAX, .depth = 32}, &c->failure);
    }
    if (refused) {
        tell_refusal(c, answer->status);
    }
    bool whole = (c->is_form && c->answer->json != NULL) || c->on_event != NULL || answer->body.length == 0 ||
                 c->answer->json != NULL;
    end_call(c, !refused && whole);
}

static bool take_events(void *context, slice bytes) {
    call *c = context;
    if (c->exchange != NULL) {
        keep_headers(c, c->exchange);
    }
    while (bytes.length > 0) {
        size_t consumed = 0;
        slice text;
        sse_kind kind = sse_reader_feed(&c->events, bytes, &consumed, &text, &c->failure);
        if (kind == SSE_BAD) {
            c->ended_by_us = true;
            return false;
        }
        if (kind == SSE_DATA && !c->on_event(c->context, text)) {
            c->ended_by_us = true;
            return false;
        }
        bytes = slice_after(bytes, consumed);
    }
    return true;
}

static bool take_bytes(void *context, slice bytes) {
    call *c = context;
    c->ended_by_us = !c->on_bytes(c->context, bytes, &c->failure);
    return !c->ended_by_us;
}

static bool run_call(call *c, const char *method, const char *path, slice body, error *err) {
    api *a = c->api;
    char url[2 * TEXT_SIZE];
    const char *headers[] = {c->is_form ? "Content-Type: application/x-www-form-urlencoded"
                                        : "Content-Type: application/json",
                             c->is_form || c->keyless ? NULL : a->authorization, c->header, NULL};
    http_client_options options = {.ca_pem = buffer_slice(&a->ca_pem), .timeout_ms = TIMEOUT_MS};
    if (c->on_event != NULL) {
        options.on_data = take_events;
    } else if (c->on_bytes != NULL) {
        options.on_data = take_bytes;
    }
    *c->answer = (api_answer){0};
    if (snprintf(url, sizeof url, "%s%s", a->url, path) >= (int)sizeof url) {
        return error_set(err, ERROR_LIMIT, "the address is too long");
    }
    c->exchange = http_client_request(a->http, method, url, headers, body, &options, answered, c, err);
    if (c->exchange == NULL) {
        return false;
    }
    ev_loop_run(a->loop);
    if (!c->done) {
        *err = c->failure;
        json_free(c->answer->json);
        c->answer->json = NULL;
    }
    return c->done;
}

bool api_call(api *a, const char *method, const char *path, slice body, api_answer *answer, error *err) {
    call c = {.api = a, .answer = answer};
    return run_call(&c, method, path, body, err);
}

bool api_download(api *a, const char *path, bool (*on_bytes)(void *context, slice bytes, error *err),
                  void *context, error *err) {
    api_answer answer = {0};
    call c = {.api = a, .answer = &answer, .on_bytes = on_bytes, .context = context};
    return run_call(&c, "GET", path, (slice){0}, err);
}

bool api_post_form(api *a, const char *path, slice form, api_answer *answer, error *err) {
    call c = {.api = a, .answer = answer, .is_form = true};
    bool done = run_call(&c, "POST", path, form, err);
    if (done && answer->json == NULL) {
        return error_set(err, ERROR_IO, "the pool gave an answer that is none");
    }
    return done;
}

/* Another program of the same person may be refreshing: a refresh token is good once. */
static file_lock *wait_for_lock(const char *path, error *err) {
    for (int i = 0; i < LOCK_TRIES; i++) {
        file_lock *lock = file_lock_take(path, err);
        if (lock != NULL || err->code != ERROR_CONFLICT) {
            return lock;
        }
        usleep(LOCK_PAUSE_US);
    }
    return NULL;
}

static bool is_fresh(const api *a) {
    return clock_unix_ms() + REFRESH_BEFORE_MS < a->session->access_expires_ms;
}

static bool take_refreshed(api *a, const char *path, const api_answer *answer, error *err) {
    buffer json = buffer_make(FILE_LIMIT);
    (void)!buffer_reserve(&json, FILE_LIMIT);
    json_writer w = json_writer_make(&json);
    json_write_value(&w, answer->json);
    bool taken = answer->status == 200
                     ? session_file_take(a->session, buffer_slice(&json), clock_unix_ms(), err) &&
                           session_file_write(path, a->session, err)
                     : error_set(err, ERROR_DENIED, "your login is over: log in again with cellule login");
    buffer_wipe(&json);
    return taken;
}

static bool refresh_locked(api *a, const char *path, error *err) {
    api_answer answer = {0};
    buffer form = buffer_make(FORM_LIMIT);
    if (!session_file_read(path, a->session, err)) {
        return false;
    }
    if (is_fresh(a)) {
        return true;
    }
    (void)!buffer_reserve(&form, FORM_LIMIT);
    form_add(&form, "grant_type", SLICE_LITERAL("refresh_token"));
    form_add(&form, "refresh_token", slice_of_text(a->session->refresh));
    bool done = (!buffer_failed(&form) || error_memory(err)) &&
                api_post_form(a, "/auth/token", buffer_slice(&form), &answer, err) &&
                take_refreshed(a, path, &answer, err);
    json_free(answer.json);
    buffer_wipe(&form);
    return done;
}

static bool use_session(api *a, error *err) {
    char path[SESSION_PATH_SIZE];
    char lock_path[SESSION_PATH_SIZE];
    if (!is_fresh(a)) {
        if (!session_file_path(a->site, "", path, err) ||
            !session_file_path(a->site, ".lock", lock_path, err)) {
            return false;
        }
        file_lock *lock = wait_for_lock(lock_path, err);
        bool refreshed = lock != NULL && refresh_locked(a, path, err);
        file_lock_release(lock);
        if (!refreshed) {
            return false;
        }
    }
    return set_credential(a, a->session->access, err);
}

static api *open_with_session(const api_options *options, api_credential credential, error *err) {
    api *a = open_as(options, credential, err);
    if (a != NULL && a->session != NULL && !use_session(a, err)) {
        api_close(a);
        return NULL;
    }
    return a;
}

bool api_renew(api *a, error *err) {
    return a->session == NULL || is_fresh(a) || use_session(a, err);
}

api *api_open(const api_options *options, error *err) {
    return open_with_session(options, API_ANY, err);
}

api *api_open_login(const api_options *options, error *err) {
    return open_with_session(options, API_LOGIN, err);
}

bool api_stream(api *a, const char *path, const char *header, slice body,
                bool (*on_event)(void *context, slice data), void *context, api_answer *answer, error *err) {
    call c = {.api = a,
              .header = header,
              .answer = answer,
              .events = sse_reader_make(EVENT_LIMIT),
              .on_event = on_event,
              .context = context};
    bool done = run_call(&c, "POST", path, body, err);
    sse_reader_free(&c.events);
    return done;
}

/* Before anything else is said to the pool. */
static bool check_release(api *a, error *err) {
    release_acceptance wanted;
    api_answer answer = {0};
    call c = {.api = a, .answer = &answer, .keyless = true};
    if (!release_acceptance_parse(slice_of_text(a->release), &wanted, err)) {
        return error_context(err, "--pool-release");
    }
    if (wanted.anything) {
        return true;
    }
    bool good = (run_call(&c, "GET", "/v1/release", (slice){0}, err) ||
                 error_context(err, "asking which program the pool runs")) &&
                pool_release_check(answer.json, &wanted, err);
    json_free(answer.json);
    return good;
}
