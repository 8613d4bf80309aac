#include "own_key.h"

#include "admin/admin.h"
#include "codec/json_writer.h"

#include <stdio.h>

/* `cellule key`: keys of one's own. */

enum { BODY_LIMIT = 2048, PATH_SIZE = 512 };

static void print_key(const json_value *answer) {
    printf("key %llu:\n%.*s\nIt is shown only now: keep it safe.%s\n",
           (unsigned long long)admin_number(answer, "key_id"), SLICE_FORMAT(admin_text(answer, "key")),
           admin_flag(answer, "opens_memory") ? " It opens what you keep at the pool." : "");
}

static const char *state_of(const json_value *key) {
    if (admin_number(key, "revoked_ms") > 0) {
        return "revoked";
    }
    return admin_flag(key, "current") ? "asks now" : "active";
}

static void print_keys(const json_value *answer) {
    const json_value *keys = json_find(answer, "keys");
    char added[32];
    char expires[32];
    printf("%-6s %-20s %-12s %-12s %-9s %-6s %s\n", "ID", "LABEL", "ADDED", "EXPIRES", "MADE WITH", "OPENS",
           "STATE");
    for (size_t i = 0; i < json_count(keys); i++) {
        const json_value *key = json_at(keys, i);
        printf("%-6llu %-20.*s %-12s %-12s %-9llu %-6s %s\n", (unsigned long long)admin_number(key, "id"),
               SLICE_FORMAT(admin_text(key, "label")), admin_date(admin_number(key, "created_ms"), added),
               admin_date(admin_number(key, "expires_ms"), expires),
               (unsigned long long)admin_number(key, "made_with"),
               admin_flag(key, "opens_memory") ? "yes" : "-", state_of(key));
    }
}

void own_key_write_wish(buffer *body, const own_key_wish *wish) {
    json_writer w = json_writer_make(body);
    json_write_object_begin(&w);
    json_add_text(&w, "label", slice_of_text(wish->label));
    json_add_u64(&w, "days", wish->days);
    json_add_bool(&w, "opens_memory", !wish->no_memory);
    json_write_object_end(&w);
}

static int key_add(int argc, char **argv) {
    admin_options options = {0};
    own_key_wish wish = {.label = ""};
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        OWN_KEY_WISH_ROWS(&wish),
    };
    const option_table table = {
        .usage = "cellule key add [options]",
        .summary =
            "Makes a further key of your own, which is printed once. It lasts no longer than the one that "
            "asks,\nand opens what you keep at the pool.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    buffer body = buffer_make(BODY_LIMIT);
    own_key_write_wish(&body, &wish);
    admin_call call = {.program = "cellule key add",
                       .method = "POST",
                       .path = "/v1/keys",
                       .written = &body,
                       .print = print_key};
    status = admin_run(&options, &call);
    buffer_free(&body);
    return status;
}

static int key_revoke(int argc, char **argv) {
    admin_options options = {0};
    bool with_made = false;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"with-made", OPTION_FLAG, &with_made, NULL,
         "with what was made with it, but not the key that asks and what that made", 0, 0},
    };
    const option_table table = {.usage = "cellule key revoke [options] KEY_ID",
                                .summary = "Revokes another key of your own at once; what it is asking ends "
                                           "with an error.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0],
                                .takes_word = true};
    const char *word = NULL;
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (!admin_word_is_plain("cellule key revoke", word)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/keys/%s/revoke", word);
    admin_call call = {.program = "cellule key revoke",
                       .method = "POST",
                       .path = path,
                       .body = with_made ? SLICE_LITERAL("{\"with_made\":true}") : SLICE_LITERAL("{}"),
                       .print = admin_print_revoked};
    return admin_run(&options, &call);
}

static int key_list(int argc, char **argv) {
    static const admin_request list = {
        "list",     NULL,  "Lists your own keys; never the keys themselves.", "GET", "/v1/keys", "",
        print_keys, "keys"};
    return admin_run_request("cellule key", &list, 1, argc, argv);
}

int key_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"list", key_list, "list your own keys"},
        {"add", key_add, "make a further one"},
        {"rotate", own_key_rotate_main, "exchange the one in client.json"},
        {"revoke", key_revoke, "revoke another one"},
    };
    return options_run_verb("cellule key", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
