#ifndef POOL_AUDIT_INTERNAL_H
#define POOL_AUDIT_INTERNAL_H

#include "audit/audit.h"
#include "store/audit.h"

/* Shared by audit.c (what waits, and batches), check.c (loading), sweep.c (every entry hashed anew), salts.c,
 * keep.c (the checkpoint beside the database), hold.c and prove.c.
 *
 * Invariants: one batch is under way at a time. `durable` and `note` are what is on the disk; `next` is ahead
 * of it by the batch under way. Salts change between batches alone, or are forgotten. */

enum { AUDIT_BATCH_MAX = 1024, AUDIT_BATCH_TILES = 16, AUDIT_SALTS_KEPT = 4096, AUDIT_NOTE_MAX = 1024 };
/* Whose salt is used for addresses of those whom nobody knows; no user can be called so. */
#define AUDIT_STRANGERS "*"

typedef struct audit_item {
    list_node node;
    audit_entry entry;
    char actor[AUDIT_PERSON_MAX + 1];
    char person[AUDIT_PERSON_MAX + 1];
    char address[NET_ADDRESS_SIZE];
    audit_written *done; /* may be NULL */
    void *context;
} audit_item;

typedef struct audit_salt {
    bool fresh; /* not on the disk yet */
    uint8_t salt[AUDIT_SALT_SIZE];
} audit_salt;

typedef struct audit_sweep audit_sweep;

struct audit {
    pool *pool;
    store *store; /* NULL: between two */
    list_node waiting;
    size_t waiting_count;
    list_node batch;
    size_t batch_count;
    bool busy; /* a batch is under way */
    map *salts;
    merkle_edge durable;
    merkle_edge next;
    buffer note;
    buffer next_note;
    buffer entries; /* of the batch */
    size_t entry_ends[AUDIT_BATCH_MAX];
    uint8_t tile_hashes[AUDIT_BATCH_TILES][MERKLE_TILE_SIZE];
    store_audit_tile tiles[AUDIT_BATCH_TILES];
    size_t tile_count;
    bool booted;        /* the pool serves: that it stops will be entered */
    bool failing;       /* the last batch was not written */
    audit_sweep *sweep; /* NULL: every entry is checked */
    /* keep.c */
    ev_timer keep_timer;
    uint64_t kept_size; /* of the checkpoint beside the database */
    bool keeping;
    bool held;                         /* hold.c: nothing is kept meanwhile */
    bool key_changed;                  /* since the batch under way was signed */
    void (*held_ready)(void *context); /* NULL: it has come */
    void *held_context;
    /* gate.c: strangers' refusals are written up to a rate */
    uint64_t stranger_second;
    uint32_t strangers_in_second;
    uint64_t strangers_unwritten;
};

/* Which texts need a salt: the actor, or strangers for an address without one; and the person. */
slice audit_salt_owner(const audit_item *item);
/* NULL: not known here. */
audit_salt *audit_salt_find(const audit *a, slice person);
/* Takes what the store has; draws those that it hasn't. */
MUST_CHECK bool audit_salts_take(audit *a, const store_audit_salt *salts, size_t count, error *err);
/* Those of the batch that aren't known; `persons` has room for all of it. */
size_t audit_salts_missing(const audit *a, slice *persons);
/* Those to be written with the batch. */
size_t audit_salts_fresh(const audit *a, store_audit_salt *salts);
/* The batch is on the disk: so are they. */
void audit_salts_written(audit *a);
void audit_salts_forget(audit *a, slice person);
void audit_salts_forget_all(audit *a);

/* The checkpoint beside the database: a database that was put back to an older state is behind it. */
void audit_keep_soon(audit *a);
void audit_keep_file(void *context); /* the timer's */
/* A write has ended, or none will be: whoever waits for that may go on. False: nobody waits. */
bool audit_hold_ready(audit *a);
/* `note` anew, under the key that the site has now; see audit_release. Nothing is kept before the next batch:
 * what both keys signed at the exchange vouches for the database's last note, by the key before. */
void audit_sign_anew(audit *a);
/* Blocks. */
MUST_CHECK bool audit_keep_now(audit *a, error *err);
/* `size` 0: there is none. ERROR_CORRUPT: it isn't signed by this pool. `by_both`: by the key before too, so
 * none was kept since the exchange. */
MUST_CHECK bool audit_kept_read(audit *a, checkpoint *kept, bool *by_both, error *err);

/* Signed by this pool, about its log. */
MUST_CHECK bool audit_note_open(const pool *p, slice bytes, checkpoint *c, error *err);
/* The same with the key before the one that it has now. */
MUST_CHECK bool audit_note_open_former(const pool *p, slice bytes, checkpoint *c, error *err);
MUST_CHECK bool audit_note_make(const pool *p, const merkle_edge *edge, buffer *out, error *err);
void audit_origin(const pool *p, char origin[NOTE_NAME_MAX + 1]);

MUST_CHECK bool audit_check(audit *a, store *database, uint64_t at_once, error *err);
/* ERROR_CORRUPT, with what to do. Always false. */
bool audit_tampered(error *err, const char *what);

/* Hashes every entry that was signed when the log was loaded, and compares all tiles and the root. */
MUST_CHECK audit_sweep *audit_sweep_new(audit *a, const checkpoint *signed_one, error *err);
/* All of it, from a store without a loop. Blocks. */
MUST_CHECK bool audit_sweep_now(audit_sweep *s, store *database, error *err);
/* A page at a time, from a->store; it is forgotten when all is well. */
void audit_sweep_start(audit_sweep *s);
uint64_t audit_sweep_left(const audit_sweep *s);
void audit_sweep_free(audit_sweep *s);

#endif
