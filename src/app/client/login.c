#include "client/client.h"

#include "client/api.h"
#include "codec/form.h"
#include "codec/json_writer.h"
#include "crypto/secret.h"
#include "options/terminal.h"
#include "os/clock.h"
#include "os/file.h"
#include "session_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The device flow (RFC 8628), with the pool between here and the identity provider. */

enum { FORM_LIMIT = 4096, CODE_SIZE = 256, ANSWER_LIMIT = 16384, INTERVAL_MAX_S = 600, LIFE_MAX_S = 3600 };

typedef struct login_options {
    api_options pool;
    const char *provider;
} login_options;

/* A login under way. */
typedef struct waiting {
    char code[CODE_SIZE];
    uint64_t interval_s;
    uint64_t until_ms; /* monotonic */
} waiting;

static bool refused(const api_answer *answer, error *err) {
    slice text = json_text_of(json_find(answer->json, "error_description"));
    if (text.length == 0) {
        text = json_text_of(json_find(json_find(answer->json, "error"), "message"));
    }
    return text.length > 0 ? error_set(err, ERROR_DENIED, "%.*s", SLICE_FORMAT(text))
                           : error_set(err, ERROR_IO, "the pool answered with status %u", answer->status);
}

static void print_line(const char *before, slice text) {
    printf("%s", before);
    terminal_write(stdout, text);
    printf("\n");
}

static bool begin(api *a, const char *provider, waiting *w, error *err) {
    api_answer answer = {0};
    slice code;
    slice address;
    uint64_t life_s = 0;
    buffer form = buffer_make(FORM_LIMIT);
    if (provider != NULL) {
        form_add(&form, "provider", slice_of_text(provider));
    }
    bool begun = (!buffer_failed(&form) || error_set(err, ERROR_LIMIT, "the provider's name is too long")) &&
                 api_post_form(a, "/auth/device", buffer_slice(&form), &answer, err) &&
                 (answer.status == 200 || refused(&answer, err)) &&
                 json_get_text(answer.json, "device_code", &code, err) &&
                 json_get_text(answer.json, "verification_uri", &address, err) &&
                 json_get_u64(answer.json, "expires_in", 1, LIFE_MAX_S, &life_s, err) &&
                 json_get_u64(answer.json, "interval", 1, INTERVAL_MAX_S, &w->interval_s, err) &&
                 (code.length < sizeof w->code || error_set(err, ERROR_IO, "the pool's code is too long"));
    if (begun) {
        slice whole = json_text_of(json_find(answer.json, "verification_uri_complete"));
        memcpy(w->code, code.data, code.length);
        w->until_ms = clock_monotonic_ms() + life_s * 1000;
        print_line("Open this address in a browser and log in there:\n  ",
                   whole.length > 0 ? whole : address);
        print_line("It shows this code, or asks for it: ", json_text_of(json_find(answer.json, "user_code")));
        fflush(stdout);
    }
    json_free(answer.json);
    buffer_free(&form);
    return begun;
}

static bool keep(api *a, const login_options *options, const api_answer *answer, error *err) {
    char path[SESSION_PATH_SIZE];
    char ca[SESSION_PATH_SIZE];
    buffer json = buffer_make(ANSWER_LIMIT);
    session_file *session = secret_allocate(sizeof *session, err);
    if (session == NULL) {
        return false;
    }
    (void)!buffer_reserve(&json, ANSWER_LIMIT);
    json_writer w = json_writer_make(&json);
    json_write_value(&w, answer->json);
    snprintf(session->url, sizeof session->url, "%s", api_url(a));
    /* It may be used from another folder. */
    snprintf(session->ca, sizeof session->ca, "%s",
             realpath(api_ca_path(a), ca) != NULL ? ca : api_ca_path(a));
    bool kept = (!buffer_failed(&json) || error_memory(err)) &&
                session_file_take(session, buffer_slice(&json), clock_unix_ms(), err) &&
                session_file_path(options->pool.site, "", path, err) &&
                session_file_write(path, session, err);
    buffer_wipe(&json);
    secret_free(session);
    return kept;
}

static void greet(const api_answer *answer) {
    printf("logged in as ");
    terminal_write(stdout, json_text_of(json_find(answer->json, "user")));
    printf(" (");
    terminal_write(stdout, json_text_of(json_find(answer->json, "role")));
    printf(")\n");
}

/* One question how it stands. True: *done says whether it is over. */
static bool ask_once(api *a, const login_options *options, waiting *w, bool *done, error *err) {
    api_answer answer = {0};
    buffer form = buffer_make(FORM_LIMIT);
    form_add(&form, "grant_type", SLICE_LITERAL("urn:ietf:params:oauth:grant-type:device_code"));
    form_add(&form, "device_code", slice_of_text(w->code));
    bool good = (!buffer_failed(&form) || error_memory(err)) &&
                api_post_form(a, "/auth/token", buffer_slice(&form), &answer, err);
    slice code = good ? json_text_of(json_find(answer.json, "error")) : (slice){NULL, 0};
    if (good && answer.status == 200) {
        *done = true;
        good = keep(a, options, &answer, err);
        if (good) {
            greet(&answer);
        }
    } else if (good && slice_equal_text(code, "slow_down")) {
        w->interval_s += 5; /* RFC 8628 §3.5 */
    } else if (good && !slice_equal_text(code, "authorization_pending")) {
        good = refused(&answer, err);
    }
    json_free(answer.json);
    buffer_wipe(&form);
    return good;
}

static bool wait_for_login(api *a, const login_options *options, waiting *w, error *err) {
    for (bool done = false; !done;) {
        if (clock_monotonic_ms() >= w->until_ms) {
            return error_set(err, ERROR_TIMEOUT, "nobody has logged in; begin again");
        }
        sleep((unsigned)w->interval_s);
        if (!ask_once(a, options, w, &done, err)) {
            return false;
        }
    }
    return true;
}

int login_main(int argc, char **argv) {
    login_options options = {.provider = NULL};
    const option_row rows[] = {
        API_OPTION_ROWS(&options.pool),
        {"provider", OPTION_TEXT, &options.provider, "NAME",
         "which identity provider, where there are several", 0, 0},
    };
    const option_table table = {
        .usage = "cellule login [options]",
        .summary =
            "Logs in by single sign-on: shows an address to open in a browser, and waits until somebody has\n"
            "logged in there. What ask and admin then use stands in session.json, beside client.json.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    error err = {0};
    waiting w = {.interval_s = 0};
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    api *a = api_open_stranger(&options.pool, &err);
    bool done = a != NULL && begin(a, options.provider, &w, &err) && wait_for_login(a, &options, &w, &err);
    secret_wipe(&w, sizeof w);
    api_close(a);
    return done ? 0 : options_fail("cellule login", &err);
}

static bool log_out(const api_options *options, error *err) {
    char path[SESSION_PATH_SIZE];
    api_answer answer = {0};
    if (!session_file_path(options->site, "", path, err)) {
        return false;
    }
    if (!file_exists(path)) {
        return error_set(err, ERROR_NOT_FOUND, "you are not logged in");
    }
    /* A session that has ended already is what was wanted. */
    api *a = api_open_login(options, err);
    bool ended = a != NULL && api_call(a, "POST", "/v1/session/end", SLICE_LITERAL("{}"), &answer, err);
    ended = ended || err->code == ERROR_DENIED;
    json_free(answer.json);
    api_close(a);
    return ended && (unlink(path) == 0 || error_set(err, ERROR_IO, "%s can't be removed", path));
}

int logout_main(int argc, char **argv) {
    api_options options = {0};
    const option_row rows[] = {API_OPTION_ROWS(&options)};
    const option_table table = {.usage = "cellule logout [options]",
                                .summary = "Ends what cellule login began, here and at the pool.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    error err = {0};
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    return log_out(&options, &err) ? 0 : options_fail("cellule logout", &err);
}
