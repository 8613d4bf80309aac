#ifndef POOL_AUDIT_H
#define POOL_AUDIT_H

#include "ledger/audit_entry.h"
#include "ledger/checkpoint.h"
#include "ledger/merkle.h"
#include "state.h"

/* The pool's audit log: privileged acts, refusals of them, and what the pool does by itself. Entries gather
 * while the store writes the last batch; each batch is one write, synced, with a signed checkpoint. Loop
 * thread. */
typedef struct audit audit;

enum {
    AUDIT_PERSON_MAX = STORE_NAME_MAX,
    AUDIT_WAITING_MAX = 4096,
    AUDIT_REFUSALS_MAX = 2048, /* where more wait no refusal is taken: it leaves room for acts */
    AUDIT_ID_SIZE = 33,
    AUDIT_AT_ONCE = 100000 /* entries: a second or so on a slow machine */
};

/* What is written of an act; everything is copied. Texts that are too long are cut, control characters
 * replaced. An empty one is left out. */
typedef struct audit_record {
    audit_outcome outcome;
    const char *action;
    slice actor; /* a user's name; becomes a salted hash, as do `person` and `address` */
    const char *role;
    slice target;
    slice person;  /* whom it is done to */
    slice address; /* where the request came from */
    const char *request;
    const char *approval;
    const char *detail; /* never personal */
} audit_record;

/* Reads the end of the log from a store without a loop, and checks it against its last checkpoint and the one
 * that the site keeps beside the database. Then every entry is hashed anew: here if there are at most
 * `at_once`, otherwise from audit_start on, while the pool serves. ERROR_CORRUPT if entries are missing,
 * changed or in another order, and says what to do. Blocks. */
MUST_CHECK bool audit_load(pool *p, store *database, uint64_t at_once, error *err);
/* From now on it is written to p->store. If what is still to be checked isn't what was signed the loop stops,
 * and p->start_failure says so. */
void audit_start(pool *p);
/* Writes a last entry, that the pool stops. Between store_settle(p->store) and store_close. Blocks. Harmless
 * if nothing was loaded. */
void audit_stop(pool *p);

/* `done` comes once, when the entry is on the disk, or with why it isn't; never from inside the call, unless
 * the store has no loop. False: the same, at once, and no call to come (ERROR_LIMIT: too many wait). */
typedef void audit_written(void *context, const error *failure);
MUST_CHECK bool audit_write(pool *p, const audit_record *record, audit_written *done, void *context,
                            error *err);
/* The same where nothing depends on it; what can't be written is in the program's log. */
void audit_note(pool *p, const audit_record *record);
/* Of what the pool does by itself: outcome `noted`. */
void audit_note_event(pool *p, const char *action, slice target, const char *detail);

/* Enters that the pool starts, and which program it is. The first entry of this run: what is asked of the
 * pool from now on is written behind it. If it can't be written the loop stops, and p->start_failure says
 * why. */
MUST_CHECK bool audit_boot(pool *p, error *err);

/* Loads the log of a pool that doesn't run and enters this; it is on the disk on return. `p` has its site
 * open and a map_seed, nothing else; audit_stop follows in any case. Blocks. */
MUST_CHECK bool audit_enter_stopped(pool *p, store *database, const audit_record *record, error *err);

/* 32 random hexadecimal digits that join the entries of one request. */
MUST_CHECK bool audit_make_id(char id[AUDIT_ID_SIZE], error *err);

/* What is on the disk: the last checkpoint as a signed note (empty before the first entry), its size. */
/* While the pool's key is exchanged nothing else writes the checkpoint beside the database: `ready` comes,
 * once no write of it is under way, at the latest from audit_stop; until audit_release. */
void audit_hold(pool *p, void (*ready)(void *context), void *context);
/* `rekeyed`: the site has another key, and the checkpoint is shown under that one from now on. If it can't be
 * signed the loop stops, for workers would take it for another's. */
void audit_release(pool *p, bool rekeyed);

slice audit_checkpoint(const audit *a);
uint64_t audit_size(const audit *a);
/* The last batch could not be written. */
bool audit_is_failing(const audit *a);
/* Entries that aren't checked yet since the start. */
uint64_t audit_unchecked(const audit *a);
/* The key that signs it. */
void audit_log_key(const pool *p, note_key *key);

/* Proofs about the first `size` ≤ audit_size entries. `done` comes once, on the loop; `proof` NULL: `failure`
 * says why. ERROR_INVALID beyond the bounds. */
typedef void audit_proved(void *context, const merkle_proof *proof, const error *failure);
MUST_CHECK bool audit_prove_inclusion(pool *p, uint64_t index, uint64_t size, audit_proved *done,
                                      void *context, error *err);
MUST_CHECK bool audit_prove_consistency(pool *p, uint64_t from, uint64_t size, audit_proved *done,
                                        void *context, error *err);

/* Deletes the salt of a person's hashes: the entries so far tell nothing of them any more. */
MUST_CHECK bool audit_erase_person(pool *p, slice person, store_done *done, void *context, error *err);

#endif
