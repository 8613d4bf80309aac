#include "admin/admin.h"

#include "client/api.h"
#include "codec/json_writer.h"

#include <stdio.h>
#include <time.h>

enum { BODY_LIMIT = 16384, PATH_SIZE = 512 };

/* What every admin verb knows; each adds its own options. */
typedef struct admin_options {
    api_options pool;
    bool json;
} admin_options;

#define ADMIN_OPTION_ROWS(o)                                                                                 \
    API_OPTION_ROWS(&(o)->pool), {                                                                           \
        "json", OPTION_FLAG, &(o)->json, NULL, "print the pool's answer as JSON", 0, 0                       \
    }

/* One verb: how to call it, what to ask the pool, how to print the answer. */
typedef struct admin_call {
    const char *program; /* "cellule admin user add" */
    const char *method;
    const char *path;
    slice body;
    void (*print)(const json_value *answer);
} admin_call;

static void print_raw(const json_value *answer) {
    buffer text = buffer_make(64 * 1024 * 1024);
    json_writer w = json_writer_make(&text);
    json_write_value(&w, answer);
    fwrite(buffer_slice(&text).data, 1, buffer_length(&text), stdout);
    fputc('\n', stdout);
    buffer_wipe(&text);
}

static int run_call(const admin_options *options, const admin_call *call) {
    error err = {0};
    api_answer answer = {0};
    api *a = api_open(&options->pool, &err);
    bool done = a != NULL && api_call(a, call->method, call->path, call->body, &answer, &err);
    if (done && options->json) {
        print_raw(answer.json);
    } else if (done) {
        call->print(answer.json);
    }
    json_free(answer.json);
    api_close(a);
    return done ? 0 : options_fail(call->program, &err);
}

static slice text(const json_value *object, const char *name) {
    return json_text_of(json_find(object, name));
}

static uint64_t number(const json_value *object, const char *name) {
    uint64_t value = 0;
    error ignored = {0};
    return json_get_u64(object, name, 0, UINT64_MAX >> 11, &value, &ignored) ? value : 0;
}

static bool flag(const json_value *object, const char *name) {
    bool value = false;
    error ignored = {0};
    return json_get_bool(object, name, &value, &ignored) && value;
}

/* "2026-03-01", or "-" for 0. */
static const char *date(uint64_t unix_ms, char out[32]) {
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    if (unix_ms == 0 || gmtime_r(&seconds, &parts) == NULL || strftime(out, 32, "%Y-%m-%d", &parts) == 0) {
        snprintf(out, 32, "-");
    }
    return out;
}

static void print_done(const json_value *answer) {
    (void)answer;
    printf("done\n");
}

static void print_key(const json_value *answer) {
    printf("key %llu of %.*s (%.*s):\n%.*s\nIt is shown only now: hand it over safely.\n",
           (unsigned long long)number(answer, "key_id"), SLICE_FORMAT(text(answer, "user")),
           SLICE_FORMAT(text(answer, "role")), SLICE_FORMAT(text(answer, "key")));
}

static void print_users(const json_value *answer) {
    const json_value *users = json_find(answer, "users");
    char day[32];
    printf("%-24s %-18s %-12s %s\n", "NAME", "ROLE", "ADDED", "STATE");
    for (size_t i = 0; i < json_count(users); i++) {
        const json_value *user = json_at(users, i);
        printf("%-24.*s %-18.*s %-12s %s\n", SLICE_FORMAT(text(user, "name")),
               SLICE_FORMAT(text(user, "role")), date(number(user, "created_ms"), day),
               flag(user, "disabled") ? "disabled" : "active");
    }
}

static void print_keys(const json_value *answer) {
    const json_value *keys = json_find(answer, "keys");
    char added[32];
    char expires[32];
    printf("%-6s %-20s %-20s %-12s %-12s %s\n", "ID", "USER", "LABEL", "ADDED", "EXPIRES", "STATE");
    for (size_t i = 0; i < json_count(keys); i++) {
        const json_value *key = json_at(keys, i);
        printf("%-6llu %-20.*s %-20.*s %-12s %-12s %s\n", (unsigned long long)number(key, "id"),
               SLICE_FORMAT(text(key, "user")), SLICE_FORMAT(text(key, "label")),
               date(number(key, "created_ms"), added), date(number(key, "expires_ms"), expires),
               number(key, "revoked_ms") > 0 ? "revoked" : "active");
    }
}

static void print_token(const json_value *answer) {
    printf("On the machine, within %llu minutes:\n\ncellule worker join %.*s\n",
           (unsigned long long)number(answer, "minutes"), SLICE_FORMAT(text(answer, "token")));
}

static void print_workers(const json_value *answer) {
    const json_value *workers = json_find(answer, "workers");
    char expires[32];
    printf("%-32s %-20s %-16s %-9s %-12s %-7s %s\n", "ID", "NAME", "OWNER", "STATE", "EXPIRES", "JOBS",
           "SESSION");
    for (size_t i = 0; i < json_count(workers); i++) {
        const json_value *worker = json_at(workers, i);
        char jobs[32] = "-";
        if (flag(worker, "connected")) {
            snprintf(jobs, sizeof jobs, "%llu/%llu", (unsigned long long)number(worker, "running"),
                     (unsigned long long)number(worker, "slots"));
        }
        slice session = flag(worker, "connected") ? text(worker, "session") : SLICE_LITERAL("not connected");
        printf("%-32.*s %-20.*s %-16.*s %-9.*s %-12s %-7s %.*s\n", SLICE_FORMAT(text(worker, "id")),
               SLICE_FORMAT(text(worker, "name")), SLICE_FORMAT(text(worker, "owner")),
               SLICE_FORMAT(text(worker, "state")), date(number(worker, "expires_ms"), expires), jobs,
               SLICE_FORMAT(session));
    }
}

static void print_status(const json_value *answer) {
    printf("pool     %.*s, version %.*s\nworkers  %llu connected of %llu enrolled, %llu slots\n"
           "jobs     %llu running, %llu queued, %llu answered since the start\n",
           SLICE_FORMAT(text(answer, "pool_id")), SLICE_FORMAT(text(answer, "version")),
           (unsigned long long)number(answer, "workers_connected"),
           (unsigned long long)number(answer, "workers_enrolled"),
           (unsigned long long)number(answer, "slots"), (unsigned long long)number(answer, "jobs_running"),
           (unsigned long long)number(answer, "jobs_queued"), (unsigned long long)number(answer, "answers"));
}

/* A segment of a path: names and ids need no escape, so whatever would is refused before it is sent. */
static bool segment_is_plain(const char *segment) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ._@-";
    return segment[0] != '\0' && segment[strspn(segment, plain)] == '\0';
}

/* Verbs whose only word goes into the path: "prefix WORD suffix". */
static int call_with_word(int argc, char **argv, const char *program, const char *usage, const char *summary,
                          const char *method, const char *prefix, const char *suffix,
                          void (*print)(const json_value *answer), int least_words) {
    admin_options options = {0};
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options)};
    const option_table table = {.usage = usage,
                                .summary = summary,
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .least_arguments = least_words,
                                .most_arguments = least_words};
    char **words = NULL;
    int count = 0;
    char path[PATH_SIZE];
    options_result parsed = options_parse(&table, argc, argv, &words, &count);
    if (parsed != OPTIONS_RUN) {
        return parsed == OPTIONS_HELP ? 0 : 2;
    }
    const char *word = count > 0 ? words[0] : "";
    if (count > 0 && !segment_is_plain(word)) {
        fprintf(stderr, "%s: \"%s\" is not a name or an id; the list shows them\n", program, word);
        return 2;
    }
    snprintf(path, sizeof path, "%s%s%s", prefix, word, suffix);
    admin_call call = {.program = program, .method = method, .path = path, .print = print};
    return run_call(&options, &call);
}

/* Users and keys. */

typedef struct key_options {
    admin_options common;
    const char *role;
    const char *label;
    uint64_t days;
} key_options;

static int send_key_wish(const key_options *options, const char *program, const char *path,
                         const char *name) {
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    if (name != NULL) {
        json_add_text(&w, "name", slice_of_text(name));
        json_add_text(&w, "role", slice_of_text(options->role));
    }
    json_add_text(&w, "label", slice_of_text(options->label));
    json_add_u64(&w, "days", options->days);
    json_write_object_end(&w);
    admin_call call = {
        .program = program, .method = "POST", .path = path, .body = buffer_slice(&body), .print = print_key};
    int status = run_call(&options->common, &call);
    buffer_free(&body);
    return status;
}

static int user_add(int argc, char **argv) {
    key_options options = {.role = "employee", .label = ""};
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options.common),
        {"role", OPTION_TEXT, &options.role, "ROLE", "employee, worker_owner, it_admin or security_officer",
         0, 0},
        {"days", OPTION_U64, &options.days, "N", "days until the key expires; 0: never", 0, 3650},
    };
    const option_table table = {.usage = "cellule admin user add [options] NAME",
                                .summary = "Adds a user with a first key, which is printed once.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .least_arguments = 1,
                                .most_arguments = 1};
    char **words = NULL;
    int count = 0;
    options_result parsed = options_parse(&table, argc, argv, &words, &count);
    if (parsed != OPTIONS_RUN) {
        return parsed == OPTIONS_HELP ? 0 : 2;
    }
    return send_key_wish(&options, "cellule admin user add", "/v1/admin/users", words[0]);
}

static int user_key(int argc, char **argv) {
    key_options options = {.label = ""};
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options.common),
        {"label", OPTION_TEXT, &options.label, "TEXT", "what the key is for", 0, 0},
        {"days", OPTION_U64, &options.days, "N", "days until the key expires; 0: never", 0, 3650},
    };
    const option_table table = {.usage = "cellule admin user key [options] NAME",
                                .summary = "Gives a user a further key, which is printed once.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .least_arguments = 1,
                                .most_arguments = 1};
    char **words = NULL;
    int count = 0;
    char path[PATH_SIZE];
    options_result parsed = options_parse(&table, argc, argv, &words, &count);
    if (parsed != OPTIONS_RUN) {
        return parsed == OPTIONS_HELP ? 0 : 2;
    }
    if (!segment_is_plain(words[0])) {
        fprintf(stderr, "cellule admin user key: \"%s\" is not a user's name\n", words[0]);
        return 2;
    }
    snprintf(path, sizeof path, "/v1/admin/users/%s/keys", words[0]);
    return send_key_wish(&options, "cellule admin user key", path, NULL);
}

static int user_list(int argc, char **argv) {
    return call_with_word(argc, argv, "cellule admin user list", "cellule admin user list [options]",
                          "Lists the users.", "GET", "/v1/admin/users", "", print_users, 0);
}

static int user_keys(int argc, char **argv) {
    return call_with_word(argc, argv, "cellule admin user keys", "cellule admin user keys [options] NAME",
                          "Lists a user's keys; never the keys themselves.", "GET", "/v1/admin/users/",
                          "/keys", print_keys, 1);
}

static int user_revoke(int argc, char **argv) {
    return call_with_word(argc, argv, "cellule admin user revoke",
                          "cellule admin user revoke [options] KEY_ID",
                          "Revokes one key at once; what it is asking ends with an error.", "POST",
                          "/v1/admin/keys/", "/revoke", print_done, 1);
}

static int user_disable(int argc, char **argv) {
    return call_with_word(argc, argv, "cellule admin user disable",
                          "cellule admin user disable [options] NAME",
                          "Shuts a user out at once, with all his keys.", "POST", "/v1/admin/users/",
                          "/disable", print_done, 1);
}

/* Workers. */

static int worker_token(int argc, char **argv) {
    admin_options options = {0};
    const char *owner = NULL;
    uint64_t days = 0;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"owner", OPTION_TEXT, &owner, "NAME", "whose machine it is; must be given", 0, 0},
        {"days", OPTION_U64, &days, "N", "days that the worker is enrolled for; 0: as configured", 0, 3650},
    };
    const option_table table = {.usage = "cellule admin worker token --owner NAME [options]",
                                .summary = "Makes a join token: one machine may enrol with it, once, soon.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    char **words = NULL;
    int count = 0;
    options_result parsed = options_parse(&table, argc, argv, &words, &count);
    if (parsed != OPTIONS_RUN) {
        return parsed == OPTIONS_HELP ? 0 : 2;
    }
    if (owner == NULL) {
        fprintf(stderr, "cellule admin worker token: say whose machine it is: --owner NAME\n");
        return 2;
    }
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "owner", slice_of_text(owner));
    if (days > 0) {
        json_add_u64(&w, "days", days);
    }
    json_write_object_end(&w);
    admin_call call = {.program = "cellule admin worker token",
                       .method = "POST",
                       .path = "/v1/admin/join-tokens",
                       .body = buffer_slice(&body),
                       .print = print_token};
    int status = run_call(&options, &call);
    buffer_free(&body);
    return status;
}

static int worker_list(int argc, char **argv) {
    return call_with_word(argc, argv, "cellule admin worker list", "cellule admin worker list [options]",
                          "Lists the enrolled workers and their sessions.", "GET", "/v1/admin/workers", "",
                          print_workers, 0);
}

static int worker_revoke(int argc, char **argv) {
    return call_with_word(argc, argv, "cellule admin worker revoke",
                          "cellule admin worker revoke [options] WORKER_ID",
                          "Shuts a worker out at once; its jobs go to others.", "POST", "/v1/admin/workers/",
                          "/revoke", print_done, 1);
}

static int user_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"add", user_add, "add a user with a first key"}, {"list", user_list, "list users"},
        {"key", user_key, "give a user a further key"},   {"keys", user_keys, "list a user's keys"},
        {"revoke", user_revoke, "revoke one key"},        {"disable", user_disable, "shut a user out"},
    };
    return options_run_verb("cellule admin user", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}

static int worker_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"token", worker_token, "make a join token"},
        {"list", worker_list, "list workers"},
        {"revoke", worker_revoke, "shut a worker out"},
    };
    return options_run_verb("cellule admin worker", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}

static int status_main(int argc, char **argv) {
    return call_with_word(argc, argv, "cellule admin status", "cellule admin status [options]",
                          "Says how the pool is.", "GET", "/v1/admin/status", "", print_status, 0);
}

int admin_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"status", status_main, "say how the pool is"},
        {"user", user_main, "users and their keys"},
        {"worker", worker_main, "workers and join tokens"},
    };
    return options_run_verb("cellule admin", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
