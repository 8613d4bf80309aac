#include "base/log.h"
#include "base/memory.h"
#include "ledger/evidence.h"
#include "os/clock.h"
#include "proof/convict.h"
#include "store/evidence.h"

#include <stdio.h>

/* The evidence of a conviction: what the answer's worker, its verifier and the referees have signed. */

static void stored(void *context, uint64_t id, const error *failure) {
    (void)context;
    (void)id;
    if (failure != NULL) {
        log_error("the evidence of a conviction was not stored", LOG_CAUSE(failure));
    }
}

static bool make(const check *c, const uint8_t worker[STORE_WORKER_ID_SIZE], const char *reason, evidence *e,
                 buffer *out, error *err) {
    opened_answer *opened = check_open(c, err);
    if (opened == NULL) {
        return false;
    }
    e->receipt = opened->record.entry;
    e->made_ms = clock_unix_ms();
    snprintf(e->reason, sizeof e->reason, "%s", reason == NULL ? "" : reason);
    memcpy(e->convicted, worker, sizeof e->convicted);
    for (size_t i = 0; c->findings != NULL && i < c->findings->count && i < EVIDENCE_FINDINGS_MAX; i++) {
        e->findings[e->finding_count++] = c->findings->items[i];
    }
    opened_free(opened);
    return evidence_make(e, c->work.pool->site.key, &c->work.pool->site.keys, err) &&
           evidence_write_json(e, out, err);
}

void testimony_store(const check *c, const uint8_t worker[STORE_WORKER_ID_SIZE], const char *reason) {
    error err = {0};
    evidence *e = memory_allocate_zeroed(1, sizeof *e);
    buffer bundle = buffer_make(EVIDENCE_JSON_LIMIT);
    bool made = e == NULL ? error_memory(&err) : make(c, worker, reason, e, &bundle, &err);
    if (made && e != NULL) {
        store_evidence row = {.created_ms = e->made_ms, .bundle = buffer_slice(&bundle)};
        memcpy(row.worker_id, worker, sizeof row.worker_id);
        memcpy(row.job_id, c->job_id, sizeof row.job_id);
        made = store_evidence_add(c->work.pool->store, &row, stored, NULL, &err);
    }
    if (!made) {
        stored(NULL, 0, &err);
    }
    buffer_free(&bundle);
    memory_free(e);
}
