#ifndef STORE_EXPIRY_H
#define STORE_EXPIRY_H

#include "deletion.h"
#include "request.h"

/* What users keep and haven't changed for so long that its time is over: found and deleted by one operation,
 * the longest unchanged first, until its deletion is spent. */
enum { EXPIRY_ID_SIZE = 16 };

typedef struct expiry_kind {
    const char *find; /* SQL: user_id and id of those changed before ?, at most ? */
    /* Deletes one, of the user that `step` names. */
    bool (*delete_one)(deletion *step, const uint8_t id[EXPIRY_ID_SIZE], error *err);
} expiry_kind;

typedef void expiry_done(void *context, size_t count, const error *failure);
/* `kind` lives as long as the store. As store_facts_expire and store_conversations_expire. */
MUST_CHECK bool expiry_submit(store *s, const expiry_kind *kind, uint64_t before_ms, size_t limit,
                              expiry_done *done, void *context, error *err);

#endif
