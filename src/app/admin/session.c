#include "call.h"

#include <stdio.h>

/* Sessions of people and services. */

static void print_sessions(const json_value *answer) {
    static const admin_column columns[] = {{"SESSION", "session", 32, ADMIN_TEXT},
                                           {"KEY", "key_id", 6, ADMIN_NUMBER},
                                           {"SINCE", "created_ms", 12, ADMIN_DATE},
                                           {"UNTIL", "expires_ms", 12, ADMIN_DATE},
                                           {"PROVIDER", "issuer", 0, ADMIN_TEXT}};
    admin_print_table(answer, "sessions", columns, sizeof columns / sizeof columns[0]);
}

static const admin_request requests[] = {
    {"list", "NAME", "Lists the sessions of a user that go on.", "GET", "/v1/admin/users/", "/sessions",
     print_sessions, NULL},
    {"end", "ID", "Ends a session at once, with what it asks.", "POST", "/v1/admin/sessions/", "/end",
     admin_print_done, NULL},
};

static int run_request(int argc, char **argv) {
    return admin_run_request("cellule admin session", requests, sizeof requests / sizeof requests[0], argc,
                             argv);
}

static int rotate_key(int argc, char **argv) {
    admin_options options = {0};
    bool now = false;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"now", OPTION_FLAG, &now, NULL, "refuse every token made before; sessions go on by refreshing", 0,
         0},
    };
    const option_table table = {
        .usage = "cellule admin session rotate-key [options]",
        .summary =
            "Makes a new key for session tokens. It is published first, and the old one is good until its\n"
            "tokens have expired.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    admin_call call = {.program = "cellule admin session rotate-key",
                       .method = "POST",
                       .path = "/v1/admin/session-keys/rotate",
                       .body = now ? SLICE_LITERAL("{\"at_once\":true}") : SLICE_LITERAL("{}"),
                       .print = admin_print_done};
    return admin_run(&options, &call);
}

int admin_session_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"list", run_request, "list a user's sessions"},
        {"end", run_request, "end a session at once"},
        {"rotate-key", rotate_key, "change the key that signs session tokens"},
    };
    return options_run_verb("cellule admin session", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
