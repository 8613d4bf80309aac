#include "call.h"

#include "codec/json_writer.h"

#include <stdio.h>

enum { BODY_LIMIT = 16384, MACHINE_SHOWN = 12 };

static void print_token(const json_value *answer) {
    printf("On the machine, within %llu minutes:\n\ncellule worker join %.*s\n",
           (unsigned long long)admin_number(answer, "minutes"), SLICE_FORMAT(admin_text(answer, "token")));
}

static void print_workers(const json_value *answer) {
    const json_value *workers = json_find(answer, "workers");
    char expires[32];
    printf("%-32s %-20s %-16s %-11s %-7s %-12s %-12s %-7s %s\n", "ID", "NAME", "OWNER", "STATE", "REFEREE",
           "MACHINE", "EXPIRES", "JOBS", "SESSION");
    for (size_t i = 0; i < json_count(workers); i++) {
        const json_value *worker = json_at(workers, i);
        char jobs[32] = "-";
        if (admin_flag(worker, "connected")) {
            snprintf(jobs, sizeof jobs, "%llu/%llu", (unsigned long long)admin_number(worker, "running"),
                     (unsigned long long)admin_number(worker, "slots"));
        }
        slice session =
            admin_flag(worker, "connected") ? admin_text(worker, "session") : SLICE_LITERAL("not connected");
        slice machine = admin_text(worker, "machine"); /* whole with --json */
        machine = machine.length == 0 ? SLICE_LITERAL("-") : slice_part(machine, 0, MACHINE_SHOWN);
        printf("%-32.*s %-20.*s %-16.*s %-11.*s %-7s %-12.*s %-12s %-7s %.*s\n",
               SLICE_FORMAT(admin_text(worker, "id")), SLICE_FORMAT(admin_text(worker, "name")),
               SLICE_FORMAT(admin_text(worker, "owner")), SLICE_FORMAT(admin_text(worker, "state")),
               admin_flag(worker, "referee") ? "yes" : "-", SLICE_FORMAT(machine),
               admin_date(admin_number(worker, "expires_ms"), expires), jobs, SLICE_FORMAT(session));
    }
}

static int worker_token(int argc, char **argv) {
    admin_options options = {0};
    const char *owner = NULL;
    const char *tiers = NULL;
    uint64_t days = 0;
    bool referee = false;
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&options),
        {"owner", OPTION_REQUIRED, &owner, "NAME", "whose machine it is", 0, 0},
        {"tiers", OPTION_TEXT, &tiers, "NAMES", "tiers that it belongs to, for verify_tiers: \"laptop, lab\"",
         0, 0},
        {"days", OPTION_U64, &days, "N", "days that the worker is enrolled for; 0: as configured", 0, 3650},
        {"referee", OPTION_FLAG, &referee, NULL,
         "the pool's own trusted machine: it checks others and decides", 0, 0},
    };
    const option_table table = {.usage = "cellule admin worker token --owner NAME [options]",
                                .summary = "Makes a join token: one machine may enrol with it, once, soon.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    json_add_text(&w, "owner", slice_of_text(owner));
    if (tiers != NULL) {
        json_add_text(&w, "tiers", slice_of_text(tiers));
    }
    if (days > 0) {
        json_add_u64(&w, "days", days);
    }
    if (referee) {
        json_add_bool(&w, "referee", true);
    }
    json_write_object_end(&w);
    admin_call call = {.program = "cellule admin worker token",
                       .method = "POST",
                       .path = "/v1/admin/join-tokens",
                       .body = buffer_slice(&body),
                       .print = print_token};
    status = admin_run(&options, &call);
    buffer_free(&body);
    return status;
}

static const admin_request requests[] = {
    {"list", NULL, "Lists the enrolled workers and their sessions; the whole of a machine's id with --json.",
     "GET", "/v1/admin/workers", "", print_workers},
    {"revoke", "WORKER_ID", "Shuts a worker out at once; its jobs go to others.", "POST",
     "/v1/admin/workers/", "/revoke", admin_print_done},
    {"clear", "WORKER_ID", "Lets a worker that was convicted, or is in quarantine, begin anew.", "POST",
     "/v1/admin/workers/", "/clear", admin_print_done},
};

static int run_request(int argc, char **argv) {
    return admin_run_request("cellule admin worker", requests, sizeof requests / sizeof requests[0], argc,
                             argv);
}

int admin_worker_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"token", worker_token, "make a join token"},
        {"list", run_request, "list workers"},
        {"revoke", run_request, "shut a worker out"},
        {"standing", admin_worker_standing, "say what the pool thinks of its workers"},
        {"clear", run_request, "let a convicted or suspected worker begin anew"},
        {"evidence", admin_worker_evidence, "give the evidence of a conviction"},
        {"blacklist", admin_worker_blacklist, "workers, owners and machines that may not serve"},
    };
    return options_run_verb("cellule admin worker", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
