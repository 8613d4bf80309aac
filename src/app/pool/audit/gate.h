#ifndef POOL_AUDIT_GATE_H
#define POOL_AUDIT_GATE_H

#include "audit/audit.h"

/* What a request is about, beyond its path. */
typedef enum audit_subject {
    AUDIT_OF_NOTHING,
    AUDIT_OF_SEGMENT, /* the path's changing segment, which names no person */
    AUDIT_OF_WORDS,   /* that, with the words in the body that say what is to be */
    AUDIT_OF_PERSON,  /* that segment, a user's name */
    AUDIT_OF_NAME,    /* "name" in the body, a user's; with such words */
    AUDIT_OF_OWNER,   /* "owner" in the body, a person; with such words */
    AUDIT_OF_HASH,    /* the segment, with "hash" in the body: what exactly is approved */
    AUDIT_OF_LISTED   /* "value" in the body, a person if its "kind" is "owner" */
} audit_subject;

typedef struct audit_act {
    const char *method;
    const char *pattern; /* of the path, '*' for the changing segment */
    auth_action action;
    audit_subject subject;
    slice segment;
    const account *who; /* NULL: nobody known */
} audit_act;

/* Once the entry is on the disk. `what` is what audit_gate was given. */
typedef void audit_go_on(pool *p, http_request *request, const void *what, slice segment);

/* The one way to a privileged act: writes that it is allowed, or refused, then goes on. 503 if it can't be
 * written: then the act doesn't happen. If it was allowed and the answer is an error, a second entry says so;
 * if the client leaves before, a second entry says that nobody saw the outcome. */
void audit_gate(pool *p, http_request *request, const audit_act *act, audit_outcome outcome,
                audit_go_on *go_on, const void *what);

/* A refusal that waits for no entry: of strangers, of whom no more than some are written each second (the
 * next one says how many weren't), and of bodies that nobody reads. `why` is its code. */
void audit_refusal(pool *p, http_request *request, const audit_act *act, const char *why);

#endif
