#include "erasing.h"

#include <stdio.h>

enum { PATH_SIZE = 512 };

static void print_days(const char *what, uint64_t days) {
    if (days == 0) {
        printf("%-14s until their user deletes them\n", what);
    } else {
        printf("%-14s %llu days\n", what, (unsigned long long)days);
    }
}

static void print_status(const json_value *answer) {
    static const admin_column columns[] = {{"NAME", "name", 24, ADMIN_TEXT},
                                           {"CONVERSATIONS", "conversations", 14, ADMIN_NUMBER},
                                           {"TURNS", "turns", 10, ADMIN_NUMBER},
                                           {"FACTS", "facts", 10, ADMIN_NUMBER},
                                           {"MIB", "mebibytes", 10, ADMIN_NUMBER}};
    const json_value *retention = json_find(answer, "retention");
    printf("Kept:\n");
    print_days("conversations", admin_number(retention, "conversation_days"));
    print_days("facts", admin_number(retention, "fact_days"));
    print_days("receipts", admin_number(retention, "receipt_days"));
    printf("%-14s %llu\n\n", "being erased", (unsigned long long)admin_number(answer, "erasing"));
    admin_print_table(answer, "users", columns, sizeof columns / sizeof columns[0]);
}

static int gdpr_status(int argc, char **argv) {
    static const admin_request status = {"status",
                                         NULL,
                                         "Says how much users keep, and for how long; never what.",
                                         "GET",
                                         "/v1/admin/privacy",
                                         "",
                                         print_status,
                                         "users"};
    return admin_run_request("cellule admin gdpr", &status, 1, argc, argv);
}

static int gdpr_erase(int argc, char **argv) {
    admin_options options = {0};
    bool yes = false;
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options), ERASING_YES_ROW(&yes)};
    const option_table table = {
        .usage = "cellule admin gdpr erase [options] NAME",
        .summary = "Erases all that a user keeps, at that person's request. Disabling a user "
                   "doesn't.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true};
    const char *word = NULL;
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (!admin_word_is_plain("cellule admin gdpr erase", word)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/admin/users/%s/erase", word);
    return admin_run_erasing(&options, "cellule admin gdpr erase", path, word, yes);
}

int admin_gdpr_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"status", gdpr_status, "say how much users keep, and for how long"},
        {"erase", gdpr_erase, "erase what a user keeps, at that person's request"},
    };
    return options_run_verb("cellule admin gdpr", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
