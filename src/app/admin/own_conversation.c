#include "admin/admin.h"
#include "base/buffer.h"
#include "codec/json_writer.h"
#include "download.h"
#include "options/terminal.h"

#include <stdio.h>
#include <string.h>

/* `cellule conversation`: what one keeps. What is printed was written by people and models: it goes through
 * terminal_write. */

enum { BODY_LIMIT = 16384, PATH_SIZE = 512, QUERY_WORDS_MAX = 16 };

static void print_text(slice text) {
    terminal_write(stdout, text);
}

static void print_conversations(const json_value *answer) {
    const json_value *all = json_find(answer, "conversations");
    char day[32];
    printf("%-32s %-10s %5s  %s\n", "ID", "CHANGED", "TURNS", "TITLE");
    for (size_t i = 0; i < json_count(all); i++) {
        const json_value *one = json_at(all, i);
        printf("%-32.*s %-10s %5llu  ", SLICE_FORMAT(admin_text(one, "id")),
               admin_date(admin_number(one, "changed_ms"), day),
               (unsigned long long)admin_number(one, "turns"));
        print_text(admin_text(one, "title"));
        putchar('\n');
    }
    if (admin_flag(answer, "has_more")) {
        const json_value *last = json_at(all, json_count(all) - 1);
        printf("more: --after %llu\n", (unsigned long long)admin_number(last, "cursor"));
    }
}

static void print_turn(const json_value *turn) {
    const json_value *messages = json_find(turn, "messages");
    for (size_t i = 0; i < json_count(messages); i++) {
        const json_value *message = json_at(messages, i);
        printf("\n[");
        print_text(admin_text(message, "role"));
        printf("]\n");
        print_text(admin_text(message, "content"));
        putchar('\n');
    }
    printf("\n[answer");
    if (!slice_equal_text(admin_text(turn, "end"), "complete")) {
        printf(", ");
        print_text(admin_text(turn, "end"));
    }
    printf("]\n");
    print_text(admin_text(turn, "answer"));
    putchar('\n');
}

static void print_conversation(const json_value *answer) {
    const json_value *turns = json_find(answer, "turns");
    print_text(admin_text(answer, "title"));
    putchar('\n');
    for (size_t i = 0; i < json_count(turns); i++) {
        print_turn(json_at(turns, i));
    }
    if (admin_flag(answer, "has_more")) {
        printf("\nmore: --after %llu\n", (unsigned long long)admin_number(answer, "cursor"));
    }
}

static void print_found(const json_value *answer) {
    const json_value *all = json_find(answer, "found");
    if (json_count(all) == 0) {
        printf("nothing was found\n");
    }
    for (size_t i = 0; i < json_count(all); i++) {
        const json_value *one = json_at(all, i);
        printf("%.*s  ", SLICE_FORMAT(admin_text(one, "id")));
        print_text(admin_text(one, "title"));
        slice excerpt = admin_text(one, "excerpt");
        if (excerpt.length > 0) {
            printf("\n    ");
            print_text(excerpt);
        }
        putchar('\n');
    }
    if (admin_flag(answer, "has_more")) {
        printf("there may be more: say --limit N, or more words\n");
    }
}

/* A list, or one conversation: page by page. */
static int run_page(const option_table *wanted, const char *program, const char *prefix,
                    void (*print)(const json_value *answer), int argc, char **argv) {
    admin_options options = {0};
    uint64_t after = 0;
    uint64_t limit = 50;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        ADMIN_AFTER_ROW(&after),
        {"limit", OPTION_U64, &limit, "N", "at most so many", 1, 100},
    };
    option_table table = *wanted;
    table.rows = rows;
    table.row_count = sizeof rows / sizeof rows[0];
    const char *word = "";
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (table.takes_word && !admin_word_is_plain(program, word)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "%s%s?after=%llu&limit=%llu", prefix, word, (unsigned long long)after,
             (unsigned long long)limit);
    admin_call call = {.program = program, .method = "GET", .path = path, .print = print};
    return admin_run(&options, &call);
}

static int conversation_list(int argc, char **argv) {
    const option_table table = {.usage = "cellule conversation list [options]",
                                .summary = "Lists the conversations that you keep, the newest first."};
    return run_page(&table, "cellule conversation list", "/v1/conversations", print_conversations, argc,
                    argv);
}

static int conversation_show(int argc, char **argv) {
    const option_table table = {.usage = "cellule conversation show [options] ID",
                                .summary = "Shows a conversation from its beginning, page by page.",
                                .takes_word = true};
    return run_page(&table, "cellule conversation show", "/v1/conversations/", print_conversation, argc,
                    argv);
}

static int conversation_rename(int argc, char **argv) {
    admin_options options = {0};
    const char *title = NULL;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"title", OPTION_REQUIRED, &title, "TEXT", "its new title", 0, 0},
    };
    const option_table table = {.usage = "cellule conversation rename --title TEXT [options] ID",
                                .summary = "Gives a conversation another title.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    const char *word = NULL;
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (!admin_word_is_plain("cellule conversation rename", word)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/conversations/%s", word);
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "title", slice_of_text(title));
    json_write_object_end(&w);
    admin_call call = {.program = "cellule conversation rename",
                       .method = "POST",
                       .path = path,
                       .written = &body,
                       .print = admin_print_done};
    status = admin_run(&options, &call);
    buffer_wipe(&body);
    return status;
}

static int conversation_search(int argc, char **argv) {
    admin_options options = {0};
    uint64_t limit = 20;
    option_words words = {.least = 1, .most = QUERY_WORDS_MAX};
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options),
                               {"limit", OPTION_U64, &limit, "N", "at most so many", 1, 100}};
    const option_table table = {.usage = "cellule conversation search [options] WORDS",
                                .summary = "Finds the conversations in which all these words stand together: "
                                           "in the title, or in what was\nasked or answered at once.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .words = &words};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    buffer query = buffer_make(BODY_LIMIT);
    for (size_t i = 0; i < words.count; i++) {
        buffer_append_text(&query, i == 0 ? "" : " ");
        buffer_append_text(&query, words.first[i]);
    }
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "query", buffer_slice(&query));
    json_add_u64(&w, "limit", limit);
    json_write_object_end(&w);
    admin_call call = {.program = "cellule conversation search",
                       .method = "POST",
                       .path = "/v1/conversations/search",
                       .written = buffer_failed(&query) ? &query : &body,
                       .print = print_found};
    status = admin_run(&options, &call);
    buffer_wipe(&query);
    buffer_wipe(&body);
    return status;
}

static int conversation_export(int argc, char **argv) {
    admin_options options = {0};
    const char *format = "markdown";
    const char *file = "-";
    const option_row rows[] = {
        API_OPTION_ROWS(&options.pool),
        {"format", OPTION_TEXT, &format, "FORMAT", "markdown or json", 0, 0},
        {"output", OPTION_TEXT, &file, "FILE", "that only you can read; else standard output", 0, 0},
    };
    const option_table table = {.usage = "cellule conversation export [options] ID",
                                .summary = "Writes a conversation out, whole.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    static const char program[] = "cellule conversation export";
    const char *word = NULL;
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (!admin_word_is_plain(program, word) || !admin_word_is_plain(program, format)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/conversations/%s/export?format=%s", word, format);
    return admin_download(&options, program, path, file);
}

static int conversation_delete(int argc, char **argv) {
    static const admin_request request = {
        "delete",         "ID", "Deletes a conversation, for good.", "DELETE", "/v1/conversations/", "",
        admin_print_done, NULL};
    return admin_run_request("cellule conversation", &request, 1, argc, argv);
}

int conversation_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"list", conversation_list, "list those that you keep"},
        {"show", conversation_show, "read one"},
        {"search", conversation_search, "find words in them"},
        {"export", conversation_export, "write one out, as Markdown or JSON"},
        {"rename", conversation_rename, "give one another title"},
        {"delete", conversation_delete, "delete one"},
    };
    return options_run_verb("cellule conversation", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
