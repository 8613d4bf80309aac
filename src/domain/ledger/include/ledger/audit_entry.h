#ifndef LEDGER_AUDIT_ENTRY_H
#define LEDGER_AUDIT_ENTRY_H

#include "base/buffer.h"
#include "base/error.h"
#include "crypto/hash.h"

/* One entry of the audit log: who did or tried what, when, to what, from where. Its bytes, which the log's
 * tree is over, are canonical JSON: these members in this order, no blanks, empty ones left out. Persons
 * stand in it as hashes whose salt is kept elsewhere: erase the salt, and the entry tells of nobody any more.
 */
enum {
    AUDIT_ENTRY_SIZE_MAX = 4096, /* bytes of an entry */
    AUDIT_WORD_MAX = 40,         /* of an action or a role: a-z, 0-9 and '_' */
    AUDIT_TEXT_MAX = 255,        /* of the other texts: UTF-8 without control characters */
    AUDIT_SALT_SIZE = 16
};

/* Outcome, its word. */
#define AUDIT_OUTCOMES(X)                                                                                    \
    X(AUDIT_NOTED, "noted")     /* it happened; nobody asked for leave */                                    \
    X(AUDIT_ALLOWED, "allowed") /* written before the act */                                                 \
    X(AUDIT_REFUSED, "refused") /* no right to it */                                                         \
    X(AUDIT_FAILED, "failed")   /* allowed, and then it couldn't be done: follows the entry of the request */

typedef enum audit_outcome {
#define X(outcome, word) outcome,
    AUDIT_OUTCOMES(X)
#undef X
        AUDIT_OUTCOME_COUNT
} audit_outcome;

/* A person or an address, hashed; `known` false: nobody, or not a person's act. */
typedef struct audit_person {
    bool known;
    uint8_t hash[HASH_SIZE];
} audit_person;

typedef struct audit_entry {
    uint64_t at_ms; /* Unix milliseconds */
    audit_outcome outcome;
    char action[AUDIT_WORD_MAX + 1];
    audit_person actor;
    char role[AUDIT_WORD_MAX + 1];
    char target[AUDIT_TEXT_MAX + 1]; /* what it is done to, unless that is a person */
    audit_person person;             /* whom it is done to */
    audit_person origin;             /* the address that the request came from */
    char request[AUDIT_TEXT_MAX + 1];
    char approval[AUDIT_TEXT_MAX + 1];
    char detail[AUDIT_TEXT_MAX + 1]; /* the refusal's or failure's code, a digest; never personal */
} audit_entry;

/* Appends its bytes. ERROR_INVALID if a field isn't what the header says; then nothing is appended. */
MUST_CHECK bool audit_entry_write(const audit_entry *entry, buffer *bytes, error *err);
/* Takes exactly what audit_entry_write gives. ERROR_CORRUPT. */
MUST_CHECK bool audit_entry_parse(slice bytes, audit_entry *entry, error *err);

/* SHA-256 of envelope(`cellule audit person v1`, salt, value). */
MUST_CHECK bool audit_person_make(const uint8_t salt[AUDIT_SALT_SIZE], slice value, audit_person *person,
                                  error *err);

const char *audit_outcome_word(audit_outcome outcome);

#endif
