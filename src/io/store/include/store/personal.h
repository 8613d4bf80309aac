#ifndef STORE_PERSONAL_H
#define STORE_PERSONAL_H

#include "store/store.h"

/* What there is of one user beside what he keeps sealed (vaults.h) and his keys (keys.h), to be given to him:
 * ids, dates and words, never a token's hash. */
typedef enum store_personal_kind {
    STORE_PERSONAL_IDENTITIES, /* at providers: issuer, subject, created_ms */
    STORE_PERSONAL_SESSIONS,   /* id, issuer, subject, created_ms, expires_ms, ended_ms; ended ones too */
    STORE_PERSONAL_RECEIPTS,   /* id (of the job), created_ms */
    STORE_PERSONAL_NOTICES,    /* id (of the job), text, created_ms, told_ms */
    STORE_PERSONAL_CHECKS,     /* that aren't decided: text (the state), count */
    STORE_PERSONAL_ANSWERS,    /* kept, sealed, in case that a worker is convicted: count */
    STORE_PERSONAL_KINDS
} store_personal_kind;

enum { STORE_PERSONAL_ID_SIZE = 16 };

typedef struct store_personal_row {
    uint8_t id[STORE_PERSONAL_ID_SIZE];
    slice issuer;
    slice subject;
    slice text;
    uint64_t created_ms;
    uint64_t expires_ms;
    uint64_t ended_ms;
    uint64_t told_ms;
    uint64_t count;
} store_personal_row;

/* Where a page ended: zeros at first. */
typedef struct store_personal_place {
    uint64_t number;
    uint8_t id[STORE_PERSONAL_ID_SIZE];
} store_personal_place;

/* A page, which may be empty though more follow: `next` is where it goes on; NULL: these were all. */
typedef void store_personal_listed(void *context, const store_personal_row *rows, size_t count,
                                   const store_personal_place *next, const error *failure);
MUST_CHECK bool store_personal_list(store *s, uint64_t user_id, store_personal_kind kind,
                                    const store_personal_place *from, store_personal_listed *done,
                                    void *context, error *err);

#endif
