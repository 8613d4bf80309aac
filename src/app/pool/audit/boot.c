#include "audit_internal.h"

#include <stdio.h>

static void boot_written(void *context, const error *failure) {
    pool *p = context;
    if (failure != NULL) {
        p->start_failure = *failure;
        error_context(&p->start_failure, "the pool's start can't be entered in the audit log");
        ev_loop_stop(p->loop);
    }
}

bool audit_boot(pool *p, error *err) {
    char detail[64 + HASH_HEX_SIZE];
    snprintf(detail, sizeof detail, "program %s, release check: %s", p->release.program_hex,
             release_state_name(p->release.state));
    p->audit->booted = true;
    audit_record record = {.outcome = AUDIT_NOTED,
                           .action = "pool_boot",
                           .target = SLICE_LITERAL("cellule " CELLULE_VERSION),
                           .detail = detail};
    return audit_write(p, &record, boot_written, p, err);
}
