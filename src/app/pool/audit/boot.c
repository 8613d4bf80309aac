#include "audit_internal.h"

#include "crypto/hash.h"
#include "os/file.h"

#include <stdio.h>

static bool hash_program(char hex[HASH_HEX_SIZE], error *err) {
    slice program;
    uint8_t digest[HASH_SIZE];
    if (!file_map("/proc/self/exe", &program, err)) {
        return false;
    }
    bool hashed = hash_sha256(program, digest, err);
    file_unmap(program);
    if (hashed) {
        hex_encode(slice_of(digest, sizeof digest), hex);
    }
    return hashed;
}

static void boot_written(void *context, const error *failure) {
    pool *p = context;
    if (failure != NULL) {
        p->start_failure = *failure;
        error_context(&p->start_failure, "the pool's start can't be entered in the audit log");
        ev_loop_stop(p->loop);
    }
}

bool audit_boot(pool *p, error *err) {
    char hex[HASH_HEX_SIZE];
    char detail[32 + HASH_HEX_SIZE];
    p->audit->booted = true;
    if (!hash_program(hex, err)) {
        return false;
    }
    snprintf(detail, sizeof detail, "program %s", hex);
    audit_record record = {.outcome = AUDIT_NOTED,
                           .action = "pool_boot",
                           .target = SLICE_LITERAL("cellule " CELLULE_VERSION),
                           .detail = detail};
    return audit_write(p, &record, boot_written, p, err);
}
