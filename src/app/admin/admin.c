#include "admin/admin.h"

#include "call.h"

#include <stdio.h>

static void print_status(const json_value *answer) {
    printf("pool     %.*s, version %.*s\nworkers  %llu connected of %llu enrolled, %llu slots\n"
           "jobs     %llu running, %llu queued, %llu answered since the start\n",
           SLICE_FORMAT(admin_text(answer, "pool_id")), SLICE_FORMAT(admin_text(answer, "version")),
           (unsigned long long)admin_number(answer, "workers_connected"),
           (unsigned long long)admin_number(answer, "workers_enrolled"),
           (unsigned long long)admin_number(answer, "slots"),
           (unsigned long long)admin_number(answer, "jobs_running"),
           (unsigned long long)admin_number(answer, "jobs_queued"),
           (unsigned long long)admin_number(answer, "answers"));
    printf("checks   %llu waiting, %llu under way\n"
           "disputes %llu waiting for a referee, %llu open\n"
           "workers out of service: %llu in quarantine, %llu convicted\n",
           (unsigned long long)admin_number(answer, "checks_waiting"),
           (unsigned long long)admin_number(answer, "checks_running"),
           (unsigned long long)admin_number(answer, "disputes_waiting"),
           (unsigned long long)admin_number(answer, "disputes_open"),
           (unsigned long long)admin_number(answer, "workers_quarantined"),
           (unsigned long long)admin_number(answer, "workers_convicted"));
    uint64_t waiting = admin_number(answer, "disputes_waiting");
    uint64_t open = admin_number(answer, "disputes_open");
    if (waiting + open > 0) {
        printf("DISPUTES %llu wait for a referee, %llu for you: cellule admin verification list --open;\n"
               "         they keep %llu connected workers out of service\n",
               (unsigned long long)waiting, (unsigned long long)open,
               (unsigned long long)admin_number(answer, "workers_quarantined"));
    }
}

static int status_main(int argc, char **argv) {
    static const admin_request status = {
        "status", NULL, "Says how the pool is.", "GET", "/v1/admin/status", "", print_status, NULL};
    return admin_run_request("cellule admin", &status, 1, argc, argv);
}

int admin_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"status", status_main, "say how the pool is"},
        {"user", admin_user_main, "users and their keys"},
        {"worker", admin_worker_main, "workers and join tokens"},
        {"enrolment", admin_enrolment_main, "ask for a machine to be enrolled"},
        {"approval", admin_approval_main, "approve what others asked for"},
        {"recovery", admin_recovery_main, "give users who have lost all keys their memory back"},
        {"recovery-key", admin_recovery_key_main, "make an officer's key pair for that"},
        {"honeytoken", admin_honeytoken_main, "markers that tell whose prompts leak"},
        {"verification", admin_verification_main, "checks of answers"},
        {"session", admin_session_main, "sessions of people and services"},
        {"revoke", admin_revoke_main, "shut out a worker, key, user, owner, or everybody"},
        {"secrets", admin_secrets_main, "the pool's own certificates and keys"},
        {"gdpr", admin_gdpr_main, "how much users keep, and erasing it for them"},
        {"audit", admin_audit_main, "the log of what privileged people did"},
        {"database", admin_database_main, "copy it while no pool serves it"},
    };
    return options_run_verb("cellule admin", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
