#include "call.h"

#include <stdio.h>

enum { MACHINE_SHOWN = 12 };

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
    static const admin_machine_call token = {
        .program = "cellule admin worker token",
        .summary =
            "Makes a join token: one machine may enrol with it, once, soon.\n"
            "Where the site asks that another person approves each worker, see: cellule admin enrolment.",
        .path = "/v1/admin/join-tokens",
        .print = admin_print_join_token};
    return admin_run_machine(&token, argc, argv);
}

static const admin_request requests[] = {
    {"list", NULL, "Lists the enrolled workers and their sessions; the whole of a machine's id with --json.",
     "GET", "/v1/admin/workers", "", print_workers, NULL},
    {"revoke", "WORKER_ID", "Shuts a worker out at once; its jobs go to others.", "POST",
     "/v1/admin/workers/", "/revoke", admin_print_done, NULL},
    {"clear", "WORKER_ID", "Lets a worker that was convicted, or is in quarantine, begin anew.", "POST",
     "/v1/admin/workers/", "/clear", admin_print_done, NULL},
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
        {"rotate", admin_worker_rotate, "exchange the keys of workers"},
        {"rotation", admin_worker_rotation, "say how far that is"},
        {"standing", admin_worker_standing, "say what the pool thinks of its workers"},
        {"clear", run_request, "let a convicted or suspected worker begin anew"},
        {"evidence", admin_worker_evidence, "give the evidence of a conviction"},
        {"blacklist", admin_worker_blacklist, "workers, owners and machines that may not serve"},
    };
    return options_run_verb("cellule admin worker", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
