#include "call.h"

#include "codec/json_writer.h"
#include "crypto/hash.h"

#include <stdio.h>

/* What one person asks for and another approves. */

enum { BODY_LIMIT = 1024, PATH_SIZE = 512 };

/* The hash is of the bytes that are shown here, and computed here: what the pool says of them isn't asked. */
static bool hash_request(slice text, char hex[HASH_HEX_SIZE]) {
    uint8_t digest[HASH_SIZE];
    error err = {0};
    if (!hash_sha256(text, digest, &err)) {
        return false;
    }
    hex_encode(slice_of(digest, sizeof digest), hex);
    return true;
}

static void print_approval(const json_value *answer) {
    char hex[HASH_HEX_SIZE];
    char day[32];
    slice text = admin_text(answer, "request");
    unsigned long long id = (unsigned long long)admin_number(answer, "id");
    printf("request %llu (%.*s), %.*s\n  asked for by  %.*s, on %s\n  as written    %.*s\n", id,
           SLICE_FORMAT(admin_text(answer, "kind")), SLICE_FORMAT(admin_text(answer, "state")),
           SLICE_FORMAT(admin_text(answer, "requested_by")),
           admin_date(admin_number(answer, "requested_ms"), day), SLICE_FORMAT(text));
    if (admin_number(answer, "decided_ms") > 0) {
        printf("  decided by    %.*s, on %s\n", SLICE_FORMAT(admin_text(answer, "decided_by")),
               admin_date(admin_number(answer, "decided_ms"), day));
    }
    if (hash_request(text, hex)) {
        printf("  its SHA-256   %s\n", hex);
    }
    if (admin_flag(answer, "altered")) {
        printf("THIS REQUEST WAS CHANGED SINCE IT WAS MADE: it can't be approved\n");
    }
}

static void print_to_approve(const json_value *answer) {
    char hex[HASH_HEX_SIZE];
    print_approval(answer);
    if (slice_equal_text(admin_text(answer, "state"), "waiting") &&
        hash_request(admin_text(answer, "request"), hex)) {
        printf("Another person approves exactly this with:\n\n"
               "cellule admin approval approve %llu --hash %s\n",
               (unsigned long long)admin_number(answer, "id"), hex);
    }
}

static void print_approvals(const json_value *answer) {
    static const admin_column columns[] = {
        {"ID", "id", 6, ADMIN_NUMBER},          {"KIND", "kind", 12, ADMIN_TEXT},
        {"STATE", "state", 10, ADMIN_TEXT},     {"ASKED BY", "requested_by", 16, ADMIN_TEXT},
        {"ON", "requested_ms", 12, ADMIN_DATE}, {"DECIDED BY", "decided_by", 16, ADMIN_TEXT},
        {"ON", "decided_ms", 12, ADMIN_DATE},
    };
    admin_print_table(answer, "approvals", columns, sizeof columns / sizeof columns[0]);
}

static int approval_approve(int argc, char **argv) {
    admin_options options = {0};
    const char *digest = NULL;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"hash", OPTION_REQUIRED, &digest, "SHA256", "of the request, as `approval show` prints it", 0, 0},
    };
    const option_table table = {
        .usage = "cellule admin approval approve --hash SHA256 [options] ID",
        .summary = "Approves exactly what was shown. Nobody approves a request of one's own.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true};
    const char *word = NULL;
    int status = 0;
    char path[PATH_SIZE];
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    if (!admin_word_is_plain("cellule admin approval approve", word)) {
        return OPTIONS_WRONG_USAGE;
    }
    snprintf(path, sizeof path, "/v1/admin/approvals/%s/approve", word);
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "hash", slice_of_text(digest));
    json_write_object_end(&w);
    admin_call call = {.program = "cellule admin approval approve",
                       .method = "POST",
                       .path = path,
                       .written = &body,
                       .print = print_approval};
    status = admin_run(&options, &call);
    buffer_free(&body);
    return status;
}

static const admin_request approvals[] = {
    {"list", NULL, "Lists what was asked for and what became of it, the newest first.", "GET",
     "/v1/admin/approvals", "", print_approvals, "approvals"},
    {"show", "ID", "Shows a request exactly as it was written, and its hash.", "GET", "/v1/admin/approvals/",
     "", print_to_approve, NULL},
    {"refuse", "ID", "Refuses a request.", "POST", "/v1/admin/approvals/", "/refuse", print_approval, NULL},
};

static int run_approval(int argc, char **argv) {
    return admin_run_request("cellule admin approval", approvals, sizeof approvals / sizeof approvals[0],
                             argc, argv);
}

int admin_approval_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"list", run_approval, "list requests"},
        {"show", run_approval, "show one exactly, with its hash"},
        {"approve", approval_approve, "approve another person's request"},
        {"refuse", run_approval, "refuse a request"},
    };
    return options_run_verb("cellule admin approval", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}

static int enrolment_request(int argc, char **argv) {
    static const admin_machine_call asked = {
        .program = "cellule admin enrolment request",
        .summary = "Asks that a machine be enrolled. Another person has to approve it; then\n"
                   "`enrolment token` gives the join token.",
        .path = "/v1/enrolments",
        .print = print_to_approve};
    return admin_run_machine(&asked, argc, argv);
}

static const admin_request enrolments[] = {
    {"list", NULL, "Lists your own requests, the newest first.", "GET", "/v1/enrolments", "", print_approvals,
     "approvals"},
    {"token", "ID", "Gives the join token of your request, once it is approved, and only once.", "POST",
     "/v1/enrolments/", "/token", admin_print_join_token, NULL},
};

static int run_enrolment(int argc, char **argv) {
    return admin_run_request("cellule admin enrolment", enrolments, sizeof enrolments / sizeof enrolments[0],
                             argc, argv);
}

int admin_enrolment_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"request", enrolment_request, "ask for a machine"},
        {"list", run_enrolment, "list your own requests"},
        {"token", run_enrolment, "get the join token of an approved one"},
    };
    return options_run_verb("cellule admin enrolment", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
