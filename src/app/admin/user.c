#include "call.h"

#include "codec/json_writer.h"

#include <stdio.h>

enum { BODY_LIMIT = 16384, PATH_SIZE = 512 };

static void print_key(const json_value *answer) {
    printf("key %llu of %.*s (%.*s):\n%.*s\nIt is shown only now: hand it over safely.\n",
           (unsigned long long)admin_number(answer, "key_id"), SLICE_FORMAT(admin_text(answer, "user")),
           SLICE_FORMAT(admin_text(answer, "role")), SLICE_FORMAT(admin_text(answer, "key")));
}

static void print_users(const json_value *answer) {
    const json_value *users = json_find(answer, "users");
    char day[32];
    printf("%-24s %-18s %-12s %s\n", "NAME", "ROLE", "ADDED", "STATE");
    for (size_t i = 0; i < json_count(users); i++) {
        const json_value *user = json_at(users, i);
        printf("%-24.*s %-18.*s %-12s %s\n", SLICE_FORMAT(admin_text(user, "name")),
               SLICE_FORMAT(admin_text(user, "role")), admin_date(admin_number(user, "created_ms"), day),
               admin_flag(user, "disabled") ? "disabled" : "active");
    }
}

static void print_keys(const json_value *answer) {
    const json_value *keys = json_find(answer, "keys");
    char added[32];
    char expires[32];
    printf("%-6s %-20s %-20s %-12s %-12s %-8s %s\n", "ID", "USER", "LABEL", "ADDED", "EXPIRES", "VERIFY",
           "STATE");
    for (size_t i = 0; i < json_count(keys); i++) {
        const json_value *key = json_at(keys, i);
        printf("%-6llu %-20.*s %-20.*s %-12s %-12s %-8.*s %s\n", (unsigned long long)admin_number(key, "id"),
               SLICE_FORMAT(admin_text(key, "user")), SLICE_FORMAT(admin_text(key, "label")),
               admin_date(admin_number(key, "created_ms"), added),
               admin_date(admin_number(key, "expires_ms"), expires), SLICE_FORMAT(admin_text(key, "verify")),
               admin_number(key, "revoked_ms") > 0 ? "revoked" : "active");
    }
}

typedef struct key_options {
    admin_options common;
    const char *role;
    const char *label;
    const char *verify;
    uint64_t days;
} key_options;

#define VERIFY_OPTION_ROW(target)                                                                            \
    {                                                                                                        \
        "verify", OPTION_TEXT, target, "MODE",                                                               \
            "how its answers are checked at least: off, spot, every, proved or required", 0, 0               \
    }

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
    json_add_text(&w, "verify", slice_of_text(options->verify));
    json_write_object_end(&w);
    admin_call call = {
        .program = program, .method = "POST", .path = path, .written = &body, .print = print_key};
    int status = admin_run(&options->common, &call);
    buffer_free(&body);
    return status;
}

static int user_add(int argc, char **argv) {
    key_options options = {.role = "employee", .label = "", .verify = "off"};
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options.common),
        {"role", OPTION_TEXT, &options.role, "ROLE", "employee, worker_owner, it_admin or security_officer",
         0, 0},
        {"days", OPTION_U64, &options.days, "N", "days until the key expires; 0: never", 0, 3650},
        VERIFY_OPTION_ROW(&options.verify),
    };
    const option_table table = {.usage = "cellule admin user add [options] NAME",
                                .summary = "Adds a user with a first key, which is printed once.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    const char *word = NULL;
    int status = 0;
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    return send_key_wish(&options, "cellule admin user add", "/v1/admin/users", word);
}

static int user_key(int argc, char **argv) {
    key_options options = {.label = "", .verify = "off"};
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options.common),
        {"label", OPTION_TEXT, &options.label, "TEXT", "what the key is for", 0, 0},
        {"days", OPTION_U64, &options.days, "N", "days until the key expires; 0: never", 0, 3650},
        VERIFY_OPTION_ROW(&options.verify),
    };
    const option_table table = {.usage = "cellule admin user key [options] NAME",
                                .summary = "Gives a user a further key, which is printed once.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    const char *word = NULL;
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (!admin_word_is_plain("cellule admin user key", word)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/admin/users/%s/keys", word);
    return send_key_wish(&options, "cellule admin user key", path, NULL);
}

static int user_verify(int argc, char **argv) {
    admin_options options = {0};
    const char *mode = NULL;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"mode", OPTION_REQUIRED, &mode, "MODE", "off, spot, every, proved or required", 0, 0},
    };
    const option_table table = {.usage = "cellule admin user verify --mode MODE [options] KEY_ID",
                                .summary = "Says how the answers to a key are checked at least.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    const char *word = NULL;
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (!admin_word_is_plain("cellule admin user verify", word)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/admin/keys/%s/verify", word);
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "verify", slice_of_text(mode));
    json_write_object_end(&w);
    admin_call call = {.program = "cellule admin user verify",
                       .method = "POST",
                       .path = path,
                       .written = &body,
                       .print = admin_print_done};
    status = admin_run(&options, &call);
    buffer_free(&body);
    return status;
}

static const admin_request requests[] = {
    {"list", NULL, "Lists the users.", "GET", "/v1/admin/users", "", print_users, "users"},
    {"keys", "NAME", "Lists a user's keys; never the keys themselves.", "GET", "/v1/admin/users/", "/keys",
     print_keys, "keys"},
    {"revoke", "KEY_ID",
     "Revokes one key at once, with those made with it; what they ask ends with an error.", "POST",
     "/v1/admin/keys/", "/revoke", admin_print_revoked, NULL},
    {"disable", "NAME", "Shuts a user out at once, with all keys.", "POST", "/v1/admin/users/", "/disable",
     admin_print_done, NULL},
};

static int run_request(int argc, char **argv) {
    return admin_run_request("cellule admin user", requests, sizeof requests / sizeof requests[0], argc,
                             argv);
}

int admin_user_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"add", user_add, "add a user with a first key"},
        {"list", run_request, "list users"},
        {"key", user_key, "give a user a further key"},
        {"keys", run_request, "list a user's keys"},
        {"revoke", run_request, "revoke one key"},
        {"disable", run_request, "shut a user out"},
        {"verify", user_verify, "say how a key's answers are checked"},
    };
    return options_run_verb("cellule admin user", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
