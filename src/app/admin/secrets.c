#include "call.h"

#include <stdio.h>
#include <string.h>

/* `cellule admin secrets`: the pool's own. */

static void print_pair(const char *what, const json_value *pair) {
    char since[32];
    char until[32];
    printf("%-7s since %s, until %s\n", what, admin_date(admin_number(pair, "begins_ms"), since),
           admin_date(admin_number(pair, "expires_ms"), until));
}

static void print_key(const json_value *key) {
    char since[32];
    uint64_t keys = key == NULL ? 0 : admin_number(key, "keys");
    if (keys > 1) {
        printf("%-7s key number %llu, since %s\n", "pool", (unsigned long long)keys,
               admin_date(admin_number(key, "begins_ms"), since));
    } else if (keys == 1) {
        printf("%-7s its first key\n", "pool");
    }
}

static void print_secrets(const json_value *answer) {
    const json_value *ca = json_find(answer, "ca");
    const json_value *server = json_find(answer, "server");
    if (ca == NULL || server == NULL) { /* one that has nothing to show */
        admin_print_done(answer);
        return;
    }
    print_key(json_find(answer, "pool"));
    print_pair("server", server);
    print_pair("ca", ca);
    printf("        %llu of %llu workers know it, %llu are not connected\n",
           (unsigned long long)admin_number(ca, "know"), (unsigned long long)admin_number(ca, "workers"),
           (unsigned long long)admin_number(ca, "away"));
    if (admin_flag(ca, "former")) {
        printf("        the one before is still good for those who trust it; when all know the new one:\n"
               "        cellule admin secrets rotate ca --finish\n");
    }
}

static int show(int argc, char **argv) {
    static const admin_request request = {
        "show",
        NULL,
        "Says how old the pool's certificates are, and which workers know the site's authority.",
        "GET",
        "/v1/admin/secrets",
        "",
        print_secrets,
        NULL};
    return admin_run_request("cellule admin secrets", &request, 1, argc, argv);
}

static int rotate(int argc, char **argv) {
    static const char program[] = "cellule admin secrets rotate";
    admin_options options = {0};
    bool finish = false;
    bool now = false;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"finish", OPTION_FLAG, &finish, NULL, "ca: the one before isn't presented any more", 0, 0},
        {"now", OPTION_FLAG, &now, NULL, "session: refuse every token made before", 0, 0},
    };
    const option_table table = {
        .usage = "cellule admin secrets rotate [options] ca|server|pool|session|database",
        .summary =
            "Exchanges a secret of the pool's while it serves: its authority, the server's certificate, "
            "its own\nkey, which signs receipts and the audit log, or the key of session tokens. A database "
            "that is a\nfile has none.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true};
    const char *kind = NULL;
    char path[128];
    int status = 0;
    if (!options_parse(&table, argc, argv, &kind, &status)) {
        return status;
    }
    if (!admin_word_is_plain(program, kind)) {
        return OPTIONS_WRONG_USAGE;
    }
    if ((finish && strcmp(kind, "ca") != 0) || (now && strcmp(kind, "session") != 0)) {
        fprintf(stderr, "%s: --finish goes with ca, --now with session\n", program);
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/admin/secrets/%.64s/rotate", kind);
    admin_call call = {.program = program,
                       .method = "POST",
                       .path = path,
                       .body = finish ? SLICE_LITERAL("{\"finish\":true}")
                               : now  ? SLICE_LITERAL("{\"at_once\":true}")
                                      : SLICE_LITERAL("{}"),
                       .print = print_secrets};
    return admin_run(&options, &call);
}

int admin_secrets_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"show", show, "say how old they are, and who knows them"},
        {"rotate", rotate, "exchange one, while the pool serves"},
    };
    return options_run_verb("cellule admin secrets", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
