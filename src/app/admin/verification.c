#include "call.h"

#include "codec/json_writer.h"

#include <stdio.h>

/* Checks of answers, and what an admin decides of those that nobody else could settle. */

enum { BODY_LIMIT = 16384, PATH_SIZE = 512 };

static void print_head(void) {
    printf("%-32s %-32s %-32s %-32s %-8s %-14s %s\n", "ID", "JOB", "WORKER", "VERIFIER", "MODE", "STATE",
           "INDEPENDENCE");
}

static void print_verification(const json_value *one) {
    slice state = admin_flag(one, "doubtful") ? SLICE_LITERAL("doubtful") : admin_text(one, "state");
    printf("%-32.*s %-32.*s %-32.*s %-32.*s %-8.*s %-14.*s %.*s\n", SLICE_FORMAT(admin_text(one, "id")),
           SLICE_FORMAT(admin_text(one, "job")), SLICE_FORMAT(admin_text(one, "worker")),
           SLICE_FORMAT(admin_text(one, "verifier")), SLICE_FORMAT(admin_text(one, "mode")),
           SLICE_FORMAT(state), SLICE_FORMAT(admin_text(one, "independence")));
}

static void print_verifications(const json_value *answer) {
    const json_value *all = json_find(answer, "verifications");
    print_head();
    for (size_t i = 0; i < json_count(all); i++) {
        print_verification(json_at(all, i));
    }
}

static int verification_list(int argc, char **argv) {
    admin_options options = {0};
    bool open = false;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"open", OPTION_FLAG, &open, NULL, "only disputes that an admin has to decide", 0, 0},
    };
    const option_table table = {.usage = "cellule admin verification list [options]",
                                .summary = "Lists the newest checks of answers.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    admin_call call = {.program = "cellule admin verification list",
                       .method = "GET",
                       .path = open ? "/v1/admin/disputes" : "/v1/admin/verifications",
                       .print = print_verifications};
    return admin_run(&options, &call);
}

static void print_line(const json_value *one, const char *name, const char *title) {
    slice text = admin_text(one, name);
    if (text.length > 0) {
        printf("%-13s %.*s\n", title, SLICE_FORMAT(text));
    }
}

static void print_one(const json_value *one) {
    slice state = admin_text(one, "state");
    print_line(one, "id", "verification");
    print_line(one, "job", "job");
    print_line(one, "worker", "worker");
    print_line(one, "verifier", "verifier");
    print_line(one, "independence", "independence");
    print_line(one, "referee", "referee");
    print_line(one, "model", "model");
    print_line(one, "mode", "mode");
    print_line(one, "state", "state");
    if (json_find(one, "token") != NULL) {
        printf("%-13s token %llu of the answer\n", "differs at",
               (unsigned long long)admin_number(one, "token"));
    }
    if (slice_equal_text(state, "open")) {
        puts("\nWorker and verifier say different things, one of them is wrong, and both are out of service "
             "until you\n"
             "decide (cellule admin verification decide) or a referee can (enrol one; then\n"
             "cellule admin verification judge).");
    } else if (admin_flag(one, "doubtful")) {
        puts("\nThe verifier agreed, but was convicted since: that it agreed proves nothing.");
    }
}

static const admin_request requests[] = {
    {"show", "ID", "Shows one check, and who is who in it.", "GET", "/v1/admin/verifications/", "", print_one,
     NULL},
    {"judge", "ID", "Has an open dispute judged once more, now that there is a referee.", "POST",
     "/v1/admin/verifications/", "/judge", admin_print_done, NULL},
};

static int run_request(int argc, char **argv) {
    return admin_run_request("cellule admin verification", requests, sizeof requests / sizeof requests[0],
                             argc, argv);
}

static int verification_decide(int argc, char **argv) {
    static const char program[] = "cellule admin verification decide";
    admin_options options = {0};
    const char *guilty = NULL;
    const char *reason = NULL;
    const char *id = "";
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"guilty", OPTION_REQUIRED, &guilty, "WHO", "worker, verifier or nobody", 0, 0},
        {"reason", OPTION_REQUIRED, &reason, "TEXT", "why: it stands in the evidence, for all to read", 0, 0},
    };
    const option_table table = {
        .usage = "cellule admin verification decide --guilty WHO --reason TEXT [options] ID",
        .summary =
            "Decides an open dispute: whoever is guilty is convicted as if a referee had said so, and the\n"
            "other serves again. If nobody is, both do.",
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
    snprintf(path, sizeof path, "/v1/admin/verifications/%s/decide", id);
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "guilty", slice_of_text(guilty));
    json_add_text(&w, "reason", slice_of_text(reason));
    json_write_object_end(&w);
    admin_call call = {
        .program = program, .method = "POST", .path = path, .written = &body, .print = admin_print_done};
    status = admin_run(&options, &call);
    buffer_free(&body);
    return status;
}

static void print_notices(const json_value *answer) {
    static const admin_column columns[] = {{"USER", "user", 8, ADMIN_NUMBER},
                                           {"JOB", "job", 32, ADMIN_TEXT},
                                           {"WORKER", "worker", 32, ADMIN_TEXT},
                                           {"FOUND", "created_ms", 12, ADMIN_DATE},
                                           {"TOLD", "told_ms", 0, ADMIN_DATE}};
    admin_print_table(answer, "notices", columns, sizeof columns / sizeof columns[0]);
}

static int verification_wrong(int argc, char **argv) {
    static const admin_request list = {
        "wrong",
        NULL,
        "Lists the answers that were proved wrong, and whether who asked was told.",
        "GET",
        "/v1/admin/notices",
        "",
        print_notices,
        "notices"};
    return admin_run_request("cellule admin verification", &list, 1, argc, argv);
}

int admin_verification_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"list", verification_list, "list the newest checks"},
        {"show", run_request, "show one check"},
        {"decide", verification_decide, "decide a dispute that nobody could settle"},
        {"judge", run_request, "have such a dispute judged once more"},
        {"wrong", verification_wrong, "list answers proved wrong"},
    };
    return options_run_verb("cellule admin verification", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
