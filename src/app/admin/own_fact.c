#include "own_fact.h"

#include "call.h"
#include "codec/json_writer.h"
#include "options/terminal.h"

#include <stdio.h>

/* `cellule memory fact`: what one has the pool remember. */

enum { BODY_LIMIT = 64 * 1024, PATH_SIZE = 512 };

/* What follows a line break is indented, so that it isn't taken for the next fact. */
static void print_text(slice text) {
    while (text.length > 0) {
        size_t end = slice_find(text, '\n');
        terminal_write(stdout, slice_part(text, 0, end));
        text = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(text, end + 1);
        if (text.length > 0) {
            printf("\n    ");
        }
    }
    putchar('\n');
}

static void print_fact(const json_value *fact) {
    char day[32];
    printf("%.*s  %s  ", SLICE_FORMAT(admin_text(fact, "id")),
           admin_date(admin_number(fact, "created_ms"), day));
    print_text(admin_text(fact, "text"));
}

static void print_facts(const json_value *answer) {
    const json_value *all = json_find(answer, "facts");
    if (json_count(all) == 0) {
        printf("nothing was found\n");
    }
    for (size_t i = 0; i < json_count(all); i++) {
        print_fact(json_at(all, i));
    }
    if (admin_flag(answer, "has_more") && json_count(all) > 0) {
        printf("more: --after %.*s\n", SLICE_FORMAT(admin_text(json_at(all, json_count(all) - 1), "id")));
    }
}

static int fact_list(int argc, char **argv) {
    static const char program[] = "cellule memory fact list";
    admin_options options = {0};
    const char *after = NULL;
    uint64_t limit = 50;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"after", OPTION_TEXT, &after, "ID", "go on behind a page, with the id at its end", 0, 0},
        {"limit", OPTION_U64, &limit, "N", "at most so many", 1, 100},
    };
    const option_table table = {.usage = "cellule memory fact list [options]",
                                .summary = "Lists the facts that the pool remembers for you, oldest first.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    if (after != NULL && !admin_word_is_plain(program, after)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/memory/facts?limit=%llu%s%s", (unsigned long long)limit,
             after == NULL ? "" : "&after=", after == NULL ? "" : after);
    admin_call call = {.program = program, .method = "GET", .path = path, .print = print_facts};
    return admin_run(&options, &call);
}

/* POST {name: text}, with the limit if it isn't 0. */
static int send_text(const admin_options *options, admin_call *call, const char *name, const char *text,
                     uint64_t limit) {
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, name, slice_of_text(text));
    if (limit != 0) {
        json_add_u64(&w, "limit", limit);
    }
    json_write_object_end(&w);
    call->method = "POST";
    call->written = &body;
    int status = admin_run(options, call);
    buffer_wipe(&body);
    return status;
}

static int fact_search(int argc, char **argv) {
    admin_options options = {0};
    uint64_t limit = 10;
    const char *text = NULL;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"limit", OPTION_U64, &limit, "N", "at most so many", 1, 32},
    };
    const option_table table = {.usage = "cellule memory fact search [options] TEXT",
                                .summary = "Lists the facts that are nearest to a text, best first.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    int status = 0;
    if (!options_parse(&table, argc, argv, &text, &status)) {
        return status;
    }
    admin_call call = {
        .program = "cellule memory fact search", .path = "/v1/memory/search", .print = print_facts};
    return send_text(&options, &call, "query", text, limit);
}

static int fact_add(int argc, char **argv) {
    admin_options options = {0};
    const char *text = NULL;
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options)};
    const option_table table = {.usage = "cellule memory fact add [options] TEXT",
                                .summary = "Has the pool remember a fact for you, and prints it with its id.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    int status = 0;
    if (!options_parse(&table, argc, argv, &text, &status)) {
        return status;
    }
    admin_call call = {.program = "cellule memory fact add", .path = "/v1/memory/facts", .print = print_fact};
    return send_text(&options, &call, "text", text, 0);
}

static int fact_edit(int argc, char **argv) {
    static const char program[] = "cellule memory fact edit";
    admin_options options = {0};
    const char *text = NULL;
    const char *id = NULL;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"text", OPTION_REQUIRED, &text, "TEXT", "what it says from now on", 0, 0},
    };
    const option_table table = {.usage = "cellule memory fact edit --text TEXT [options] ID",
                                .summary = "Changes a fact's text.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, &id, &status)) {
        return status;
    }
    if (!admin_word_is_plain(program, id)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/memory/facts/%s", id);
    admin_call call = {.program = program, .path = path, .print = print_fact};
    return send_text(&options, &call, "text", text, 0);
}

static int fact_forget(int argc, char **argv) {
    static const admin_request request = {
        "forget",         "ID", "Forgets a fact, for good.", "DELETE", "/v1/memory/facts/", "",
        admin_print_done, NULL};
    return admin_run_request("cellule memory fact", &request, 1, argc, argv);
}

int own_fact_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"list", fact_list, "list what is remembered"},
        {"search", fact_search, "find what is near to a text"},
        {"add", fact_add, "have one remembered"},
        {"edit", fact_edit, "change one"},
        {"forget", fact_forget, "forget one"},
    };
    return options_run_verb("cellule memory fact", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
