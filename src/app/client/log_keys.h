#ifndef CLIENT_LOG_KEYS_H
#define CLIENT_LOG_KEYS_H

#include "ledger/note.h"
#include "ledger/succession.h"

/* Which keys sign a log's checkpoints: one that is trusted, or those that its pool has had. */
typedef struct log_keys {
    note_key current; /* with the log's name */
    bool has_chain;
    succession chain;
} log_keys;

/* The pool whose log this key's name says it signs, "cellule/POOL_ID"; false: it says no such thing. */
bool log_keys_pool(const note_key *named, uint8_t pool_id[HASH_SIZE]);

/* One key alone. */
void log_keys_of_one(log_keys *k, const note_key *named);
/* All that the pool has had. */
void log_keys_of_pool(log_keys *k, const succession *chain);
/* How many these are, at least 1. */
size_t log_keys_count(const log_keys *k);
/* Whether `named` is a key of this log: the current one, or, if `former` are taken too, any. */
bool log_keys_have(const log_keys *k, const note_key *named, bool former);

/* The checkpoint that a log shows now: signed with the current key. ERROR_CORRUPT, also where a key did that
 * has been replaced; ERROR_NOT_FOUND: none of them did. */
MUST_CHECK bool log_keys_verify_shown(const log_keys *k, const note *n, error *err);
/* One that was seen earlier: signed with any of the keys. Errors as before. */
MUST_CHECK bool log_keys_verify_older(const log_keys *k, const note *n, error *err);

#endif
