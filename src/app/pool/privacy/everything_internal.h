#ifndef POOL_PRIVACY_EVERYTHING_INTERNAL_H
#define POOL_PRIVACY_EVERYTHING_INTERNAL_H

#include "codec/json_writer.h"
#include "memory/sending.h"
#include "memory/walk.h"
#include "privacy/everything.h"
#include "store/facts.h"
#include "store/personal.h"

/* The document's parts, in its order. */
typedef enum everything_part {
    PART_USER,
    PART_CONVERSATIONS,
    PART_FACTS,
    PART_KEYS,
    PART_PERSONAL, /* STORE_PERSONAL_KINDS parts from here on */
    PART_END = PART_PERSONAL + STORE_PERSONAL_KINDS
} everything_part;

typedef struct everything {
    pool *pool;
    sending out;
    json_writer w;     /* into out.page */
    open_vault *vault; /* held; NULL: the user has none */
    uint64_t user_id;
    char user_name[STORE_NAME_MAX + 1];
    unsigned part; /* everything_part */
    bool begun;    /* the part */
    bool busy;     /* the store or a thread works for it */
    bool gone;     /* the client has left */
    walk *walk;
    bool in_conversation;
    arena *sealed; /* a page of facts */
    arena *opened;
    store_fact *facts;
    size_t fact_count;
    uint8_t fact_after[STORE_FACT_ID_SIZE];
    store_personal_place place;
    bool failed; /* in a thread */
    error failure;
} everything;

/* What was asked for has come: true if somebody still wants it. False: all is freed, or the request has
 * failed.
 */
MUST_CHECK bool everything_came(everything *e, const error *failure);
/* What has been written goes out; then comes the next page, or the next part if this one is `over`. */
void everything_send(everything *e, bool over);
/* Asks for a page of the part (everything_facts.c, everything_rows.c). */
MUST_CHECK bool everything_ask_facts(everything *e, error *err);
MUST_CHECK bool everything_ask_keys(everything *e, error *err);
MUST_CHECK bool everything_ask_rows(everything *e, error *err);
/* The name of a list. */
const char *everything_name_of_rows(unsigned part);

#endif
