#include "admin/admin.h"
#include "download.h"
#include "erasing.h"

/* `cellule privacy`: what a pool keeps of oneself. */

static int privacy_export(int argc, char **argv) {
    admin_options options = {0};
    const option_row rows[] = {API_OPTION_ROWS(&options.pool)};
    const option_table table = {
        .usage = "cellule privacy export [options] FILE",
        .summary = "Writes all that the pool keeps of you, decrypted, into one JSON file that only you can\n"
                   "read; \"-\" is standard output. It is whole if \"complete\" stands at its end.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true};
    const char *file = NULL;
    int status = 0;
    if (!options_parse(&table, argc, argv, &file, &status)) {
        return status;
    }
    return admin_download(&options, "cellule privacy export", "/v1/privacy/export", file);
}

static int privacy_erase(int argc, char **argv) {
    admin_options options = {0};
    bool yes = false;
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options), ERASING_YES_ROW(&yes)};
    const option_table table = {
        .usage = "cellule privacy erase [options]",
        .summary = "Erases all that you keep at the pool: conversations and facts, for good. Works also when "
                   "no key of\nyours opens it. What the pool needs to work with you (your name, keys, "
                   "receipts) stays.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    return admin_run_erasing(&options, "cellule privacy erase", "/v1/privacy/erase", NULL, yes);
}

int privacy_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"export", privacy_export, "write all that the pool keeps of you into a file"},
        {"erase", privacy_erase, "erase all that you keep"},
    };
    return options_run_verb("cellule privacy", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
