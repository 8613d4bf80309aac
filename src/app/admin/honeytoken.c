#include "call.h"

#include "os/file.h"

#include <stdio.h>

/* Markers that the pool sent to one worker each: where one turns up, that worker's prompts are read. */

enum { FILE_LIMIT = 4 * 1024 * 1024 };

static void print_honeytokens(const json_value *answer) {
    const json_value *all = json_find(answer, "honeytokens");
    char sent[32];
    char seen[32];
    printf("%-36s %-32s %-12s %-12s %s\n", "MARKER", "SENT TO", "SENT", "SEEN", "WHERE");
    for (size_t i = 0; i < json_count(all); i++) {
        const json_value *one = json_at(all, i);
        printf("%-36.*s %-32.*s %-12s %-12s %.*s\n", SLICE_FORMAT(admin_text(one, "marker")),
               SLICE_FORMAT(admin_text(one, "worker")), admin_date(admin_number(one, "created_ms"), sent),
               admin_date(admin_number(one, "seen_ms"), seen), SLICE_FORMAT(admin_text(one, "seen_where")));
    }
}

static int honeytoken_list(int argc, char **argv) {
    static const admin_request list = {"list",
                                       NULL,
                                       "Lists the markers that were seen where they shouldn't be.",
                                       "GET",
                                       "/v1/admin/honeytokens",
                                       "",
                                       print_honeytokens};
    return admin_run_request("cellule admin honeytoken", &list, 1, argc, argv);
}

static int honeytoken_check(int argc, char **argv) {
    static const char program[] = "cellule admin honeytoken check";
    admin_options options = {0};
    const char *path = "";
    error err = {0};
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options)};
    const option_table table = {
        .usage = "cellule admin honeytoken check [options] FILE",
        .summary =
            "Looks in a text that turned up somewhere for the pool's markers, and names the workers whose\n"
            "prompts it comes from.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true};
    int status = 0;
    if (!options_parse(&table, argc, argv, &path, &status)) {
        return status;
    }
    buffer text = buffer_make(FILE_LIMIT);
    if (file_read_all(path, &text, &err)) {
        admin_call call = {.program = program,
                           .method = "POST",
                           .path = "/v1/admin/honeytokens/check",
                           .body = buffer_slice(&text),
                           .print = print_honeytokens};
        status = admin_run(&options, &call);
    } else {
        status = options_fail(program, &err);
    }
    buffer_free(&text);
    return status;
}

int admin_honeytoken_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"list", honeytoken_list, "list markers that were seen"},
        {"check", honeytoken_check, "look for markers in a text"},
    };
    return options_run_verb("cellule admin honeytoken", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
