#include "call.h"

#include "codec/json_writer.h"
#include "os/file.h"

#include <stdio.h>

/* What an admin sees and decides of proof: standings, blacklist, evidence, checks. */

enum { BODY_LIMIT = 16384, PATH_SIZE = 512, EVIDENCE_LIMIT = 4 * 1024 * 1024 };

static void print_standing(const json_value *one) {
    char changed[32];
    printf("%-32.*s %-20.*s %-16.*s %-12.*s %8llu %7llu %7llu %8llu %7llu %5.1f%% %s\n",
           SLICE_FORMAT(admin_text(one, "id")), SLICE_FORMAT(admin_text(one, "name")),
           SLICE_FORMAT(admin_text(one, "owner")), SLICE_FORMAT(admin_text(one, "state")),
           (unsigned long long)admin_number(one, "answers"), (unsigned long long)admin_number(one, "checks"),
           (unsigned long long)admin_number(one, "agreed"),
           (unsigned long long)admin_number(one, "mismatches"),
           (unsigned long long)admin_number(one, "evasions"), (double)admin_number(one, "spot_permille") / 10,
           admin_date(admin_number(one, "changed_ms"), changed));
}

static void print_standing_head(void) {
    printf("%-32s %-20s %-16s %-12s %8s %7s %7s %8s %7s %6s %s\n", "ID", "NAME", "OWNER", "STANDING",
           "ANSWERS", "CHECKS", "AGREED", "DIFFERED", "EVADED", "SPOT", "SINCE");
}

static void print_one_standing(const json_value *answer) {
    print_standing_head();
    print_standing(answer);
}

static void print_standings(const json_value *answer) {
    const json_value *all = json_find(answer, "standings");
    print_standing_head();
    for (size_t i = 0; i < json_count(all); i++) {
        print_standing(json_at(all, i));
    }
}

int admin_worker_standing(int argc, char **argv) {
    static const char program[] = "cellule admin worker standing";
    admin_options options = {0};
    const option_row rows[] = {ADMIN_OPTION_ROWS(&options)};
    option_words words = {.least = 0, .most = 1};
    const option_table table = {
        .usage = "cellule admin worker standing [options] [WORKER_ID]",
        .summary =
            "Says what the pool thinks of its workers, or of one: how its answers were checked and what\n"
            "came of it. DIFFERED counts its disputes, also those that it was right in; SPOT is the share of "
            "its\n"
            "answers that the mode spot checks now.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .words = &words};
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    if (words.count == 1 && !admin_word_is_plain(program, words.first[0])) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, words.count == 1 ? "/v1/admin/workers/%s/standing" : "/v1/admin/standings",
             words.count == 1 ? words.first[0] : "");
    admin_call call = {.program = program,
                       .method = "GET",
                       .path = path,
                       .print = words.count == 1 ? print_one_standing : print_standings};
    return admin_run(&options, &call);
}

/* The bundle is written as the pool gave it: what it says is signed. */
static const char *evidence_file;
static bool evidence_written;

static void write_evidence(const json_value *answer) {
    buffer text = buffer_make(EVIDENCE_LIMIT);
    json_writer w = json_writer_make(&text);
    error err = {0};
    json_write_value(&w, answer);
    buffer_append_byte(&text, '\n');
    evidence_written = !buffer_failed(&text) || error_memory(&err);
    if (evidence_written && evidence_file == NULL) {
        evidence_written = fwrite(text.bytes, 1, buffer_length(&text), stdout) == buffer_length(&text);
    } else if (evidence_written) {
        evidence_written = file_write_atomic(evidence_file, buffer_slice(&text), 0644, &err);
    }
    if (err.code != ERROR_NONE) {
        options_fail("cellule admin worker evidence", &err);
    }
    buffer_free(&text);
}

int admin_worker_evidence(int argc, char **argv) {
    static const char program[] = "cellule admin worker evidence";
    admin_options options = {0};
    const char *word = "";
    evidence_file = NULL;
    evidence_written = false;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"output", OPTION_TEXT, &evidence_file, "FILE", "write it there instead of printing it", 0, 0},
    };
    const option_table table = {
        .usage = "cellule admin worker evidence [options] WORKER_ID",
        .summary =
            "Gives the signed evidence that a worker was convicted on; cellule verify evidence checks it\n"
            "without the pool.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true};
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (!admin_word_is_plain(program, word)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/admin/workers/%s/evidence", word);
    admin_call call = {.program = program, .method = "GET", .path = path, .print = write_evidence};
    options.json = false;
    status = admin_run(&options, &call);
    return status == 0 && !evidence_written ? 1 : status;
}

static void print_shut_out(const json_value *answer) {
    unsigned long long count = (unsigned long long)admin_number(answer, "workers");
    printf("done: %llu enrolled worker%s shut out by it\n", count, count == 1 ? " is" : "s are");
}

static int change_blacklist(const char *program, const char *summary, const char *path, bool add, int argc,
                            char **argv) {
    admin_options options = {0};
    const char *kind = NULL;
    const char *reason = "";
    const char *value = "";
    char usage[160];
    snprintf(usage, sizeof usage, "%s --kind KIND [options] VALUE", program);
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"kind", OPTION_REQUIRED, &kind, "KIND", "worker (its id), machine (its id) or owner (the name)", 0,
         0},
        {"reason", OPTION_REQUIRED, &reason, "TEXT", "why", 0, 0},
    };
    const option_table table = {.usage = usage,
                                .summary = summary,
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0] - (add ? 0 : 1),
                                .takes_word = true};
    int status = 0;
    if (!options_parse(&table, argc, argv, &value, &status)) {
        return status;
    }
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "kind", slice_of_text(kind));
    json_add_text(&w, "value", slice_of_text(value));
    if (add) {
        json_add_text(&w, "reason", slice_of_text(reason));
    }
    json_write_object_end(&w);
    admin_call call = {.program = program,
                       .method = "POST",
                       .path = path,
                       .written = &body,
                       .print = add ? print_shut_out : admin_print_done};
    status = admin_run(&options, &call);
    buffer_free(&body);
    return status;
}

static int blacklist_add(int argc, char **argv) {
    return change_blacklist(
        "cellule admin worker blacklist add",
        "Shuts a worker, an owner's workers or a machine out at once, whatever key they come with.",
        "/v1/admin/blacklist", true, argc, argv);
}

static int blacklist_remove(int argc, char **argv) {
    return change_blacklist("cellule admin worker blacklist remove",
                            "Takes a worker, an owner or a machine off the blacklist.",
                            "/v1/admin/blacklist/remove", false, argc, argv);
}

static void print_blacklist(const json_value *answer) {
    static const admin_column columns[] = {{"KIND", "kind", 8, ADMIN_TEXT},
                                           {"VALUE", "value", 64, ADMIN_TEXT},
                                           {"SINCE", "created_ms", 12, ADMIN_DATE},
                                           {"CLEARED", "cleared_ms", 12, ADMIN_DATE},
                                           {"REASON", "reason", 0, ADMIN_TEXT}};
    admin_print_table(answer, "entries", columns, sizeof columns / sizeof columns[0]);
}

static int blacklist_list(int argc, char **argv) {
    static const admin_request list = {
        "list",          NULL,     "Lists who is and was on the blacklist.", "GET", "/v1/admin/blacklist", "",
        print_blacklist, "entries"};
    return admin_run_request("cellule admin worker blacklist", &list, 1, argc, argv);
}

int admin_worker_blacklist(int argc, char **argv) {
    static const verb verbs[] = {
        {"add", blacklist_add, "shut a worker, an owner or a machine out"},
        {"remove", blacklist_remove, "take one off the list"},
        {"list", blacklist_list, "list who is and was on it"},
    };
    return options_run_verb("cellule admin worker blacklist", verbs, sizeof verbs / sizeof verbs[0], argc,
                            argv);
}
