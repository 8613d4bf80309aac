#include "call.h"

#include "codec/json_writer.h"

#include <stdio.h>

enum { BODY_LIMIT = 16384, USAGE_SIZE = 128 };

typedef struct machine {
    admin_options common;
    const char *owner;
    const char *class_name;
    const char *tiers;
    uint64_t days;
    bool contractor;
    bool referee;
} machine;

void admin_print_join_token(const json_value *answer) {
    printf("On the machine, within %llu minutes:\n\ncellule worker join %.*s\n",
           (unsigned long long)admin_number(answer, "minutes"), SLICE_FORMAT(admin_text(answer, "token")));
}

static void write_machine(json_writer *w, const machine *m) {
    json_write_object_begin(w);
    json_add_text(w, "owner", slice_of_text(m->owner));
    if (m->class_name != NULL) {
        json_add_text(w, "class", slice_of_text(m->class_name));
    }
    if (m->tiers != NULL) {
        json_add_text(w, "tiers", slice_of_text(m->tiers));
    }
    if (m->days > 0) {
        json_add_u64(w, "days", m->days);
    }
    if (m->contractor) {
        json_add_bool(w, "contractor", true);
    }
    if (m->referee) {
        json_add_bool(w, "referee", true);
    }
    json_write_object_end(w);
}

static int send_machine(const machine *m, const admin_machine_call *what) {
    buffer body = buffer_make(BODY_LIMIT);
    json_writer w = json_writer_make(&body);
    write_machine(&w, m);
    admin_call call = {.program = what->program,
                       .method = "POST",
                       .path = what->path,
                       .written = &body,
                       .print = what->print};
    int status = admin_run(&m->common, &call);
    buffer_free(&body);
    return status;
}

int admin_run_machine(const admin_machine_call *call, int argc, char **argv) {
    machine m = {0};
    char usage[USAGE_SIZE];
    const option_row rows[] = {
        ADMIN_OPTION_ROWS(&m.common),
        {"owner", OPTION_REQUIRED, &m.owner, "NAME", "whose machine it is", 0, 0},
        {"class", OPTION_TEXT, &m.class_name, "CLASS", "cpu, gpu or npu; else what it says itself", 0, 0},
        {"tiers", OPTION_TEXT, &m.tiers, "NAMES",
         "tiers that it belongs to, for verify_tiers: \"laptop, lab\"", 0, 0},
        {"days", OPTION_U64, &m.days, "N", "days that the worker is enrolled for; 0: as configured", 0, 3650},
        {"contractor", OPTION_FLAG, &m.contractor, NULL,
         "the owner is none of the company's own: --days must be given", 0, 0},
        {"referee", OPTION_FLAG, &m.referee, NULL,
         "the pool's own trusted machine: it checks others and decides", 0, 0},
    };
    const option_table table = {
        .usage = usage, .summary = call->summary, .rows = rows, .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    snprintf(usage, sizeof usage, "%s --owner NAME [options]", call->program);
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    return send_machine(&m, call);
}
