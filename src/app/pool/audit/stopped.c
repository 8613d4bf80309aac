#include "audit_internal.h"

/* One entry by whoever works on the site of a pool that doesn't run. */

typedef struct outcome {
    bool told;
    error failure;
} outcome;

static void entry_written(void *context, const error *failure) {
    outcome *o = context;
    o->told = true;
    if (failure != NULL) {
        o->failure = *failure;
    }
}

bool audit_enter_stopped(pool *p, store *database, const audit_record *record, error *err) {
    outcome o = {0};
    if (!audit_load(p, database, UINT64_MAX, err)) {
        return false;
    }
    p->audit->store = database; /* without a loop: each batch is written before the call returns */
    bool entered = audit_write(p, record, entry_written, &o, err);
    if (entered && (!o.told || o.failure.code != ERROR_NONE)) {
        *err = o.failure;
        entered = o.told ? false : error_set(err, ERROR_INTERNAL, "an entry of the audit log still waits");
    }
    entered = entered && audit_keep_now(p->audit, err);
    p->audit->store = NULL;
    return entered;
}
