#include "call.h"

#include "codec/json_writer.h"

#include <stdio.h>

/* `cellule admin revoke`: whatever is to end, at once. */

enum { BODY_LIMIT = 1024 };

static void print_owner(const json_value *answer) {
    printf("%llu workers and %llu join tokens revoked\n", (unsigned long long)admin_number(answer, "workers"),
           (unsigned long long)admin_number(answer, "join_tokens"));
}

static void print_everything(const json_value *answer) {
    printf("%llu workers, %llu keys and %llu join tokens revoked: nobody is let in any more\n"
           "but %.*s, with this key:\n%.*s\nIt is shown only now: keep it safe.\n"
           "Next: cellule admin user key NAME for each who is to come back, cellule admin worker token\n"
           "for each machine.\n",
           (unsigned long long)admin_number(answer, "workers"),
           (unsigned long long)admin_number(answer, "keys"),
           (unsigned long long)admin_number(answer, "join_tokens"), SLICE_FORMAT(admin_text(answer, "user")),
           SLICE_FORMAT(admin_text(answer, "key")));
}

static int send_text(const admin_options *options, admin_call *call, const char *name, const char *value) {
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, name, slice_of_text(value));
    json_write_object_end(&w);
    call->method = "POST";
    call->written = &body;
    int status = admin_run(options, call);
    buffer_free(&body);
    return status;
}

static int revoke_owner(int argc, char **argv) {
    admin_options options = {0};
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options)};
    const option_table table = {.usage = "cellule admin revoke owner [options] NAME",
                                .summary = "Shuts all workers of an owner out at once, with the join tokens "
                                           "for more; their jobs go to others.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    const char *word = NULL;
    int status = 0;
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    admin_call call = {
        .program = "cellule admin revoke owner", .path = "/v1/admin/revoke/owner", .print = print_owner};
    return send_text(&options, &call, "owner", word);
}

static int revoke_everything(int argc, char **argv) {
    admin_options options = {0};
    bool sure = false;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"yes", OPTION_FLAG, &sure, NULL, "really", 0, 0},
    };
    const option_table table = {
        .usage = "cellule admin revoke everything --yes [options]",
        .summary =
            "Shuts everybody out at once: all workers, all keys, all join tokens. Whoever asks gets the one\n"
            "key that counts from then on; should it be lost, there is cellule pool admin-key on the pool's\n"
            "machine.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    if (!sure) {
        fputs("cellule admin revoke everything: this ends all questions, workers and keys; say --yes if that "
              "is meant\n",
              stderr);
        return OPTIONS_WRONG_USAGE;
    }
    admin_call call = {.program = "cellule admin revoke everything",
                       .path = "/v1/admin/revoke/everything",
                       .print = print_everything};
    return send_text(&options, &call, "confirm", "everything");
}

static const admin_request requests[] = {
    {"worker", "WORKER_ID", "Shuts a worker out at once; its jobs go to others.", "POST",
     "/v1/admin/workers/", "/revoke", admin_print_done, NULL},
    {"key", "KEY_ID", "Revokes one key at once, with those made with it; what they ask ends with an error.",
     "POST", "/v1/admin/keys/", "/revoke", admin_print_revoked, NULL},
    {"user", "NAME", "Shuts a user out at once, with all keys.", "POST", "/v1/admin/users/", "/disable",
     admin_print_done, NULL},
};

static int run_request(int argc, char **argv) {
    return admin_run_request("cellule admin revoke", requests, sizeof requests / sizeof requests[0], argc,
                             argv);
}

int admin_revoke_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"worker", run_request, "shut a worker out"},
        {"key", run_request, "revoke one key"},
        {"user", run_request, "shut a user out"},
        {"owner", revoke_owner, "shut all workers of an owner out"},
        {"everything", revoke_everything, "shut everybody out, with a way back"},
    };
    return options_run_verb("cellule admin revoke", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
