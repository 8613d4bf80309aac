#ifndef STORE_AUDIT_H
#define STORE_AUDIT_H

#include "store/store.h"

/* The audit log's rows: entries by their place, full tiles of hashes, the last checkpoint, salts of persons.
 * What the bytes mean, and that they fit together, is the caller's to know. */
enum {
    STORE_AUDIT_ENTRY_MAX = 4096, /* bytes */
    STORE_AUDIT_TILE_SIZE = 8192,
    STORE_AUDIT_LEVELS = 6, /* of tiles */
    STORE_AUDIT_NOTE_MAX = 65536,
    STORE_AUDIT_SALT_SIZE = 16,
    STORE_AUDIT_BATCH_MAX = 4096, /* entries of one append */
    STORE_AUDIT_TILES_MAX = 64,   /* of one append or read */
    STORE_AUDIT_PERSONS_MAX = 3 * STORE_AUDIT_BATCH_MAX
};
#define STORE_AUDIT_SIZE_MAX ((uint64_t)1 << 48) /* entries */

typedef struct store_audit_tile {
    unsigned level;
    uint64_t index;
    const uint8_t *hashes; /* STORE_AUDIT_TILE_SIZE bytes; read: NULL if there is no such tile */
} store_audit_tile;

typedef struct store_audit_salt {
    slice person; /* 1 to STORE_NAME_MAX bytes of UTF-8 */
    bool known;   /* read: there is one */
    uint8_t salt[STORE_AUDIT_SALT_SIZE];
} store_audit_salt;

typedef struct store_audit_batch {
    uint64_t first; /* place of the first entry: how many there are before */
    const slice *entries;
    size_t entry_count; /* at least 1 */
    const store_audit_tile *tiles;
    size_t tile_count;
    const store_audit_salt *salts; /* of persons that had none */
    size_t salt_count;
    slice note; /* the checkpoint over all with the new ones */
} store_audit_batch;

/* Appends all of it or nothing, synced to the disk before it is answered. ERROR_CONFLICT: there is an entry
 * at one of the places, or a salt of one of the persons. */
MUST_CHECK bool store_audit_append(store *s, const store_audit_batch *batch, store_done *done, void *context,
                                   error *err);

/* What the store holds: a caller that knows better has been deceived. */
typedef struct store_audit_state {
    uint64_t end;   /* one more than the highest place of an entry */
    uint64_t tiles; /* how many */
    uint64_t size;  /* that the last append made */
    slice note;     /* of the last append; empty: nothing was ever appended */
} store_audit_state;
typedef void store_audit_stated(void *context, const store_audit_state *state, const error *failure);
MUST_CHECK bool store_audit_get_state(store *s, store_audit_stated *done, void *context, error *err);

/* Entries from the place `from` on, in order, at most `limit` (1..STORE_LIST_MAX). One that is missing ends
 * them. */
typedef void store_audit_entries_read(void *context, const slice *entries, size_t count,
                                      const error *failure);
MUST_CHECK bool store_audit_entries(store *s, uint64_t from, size_t limit, store_audit_entries_read *done,
                                    void *context, error *err);

/* What a proof needs: full tiles (1 to STORE_AUDIT_TILES_MAX, or none) and the entries of a range (as above;
 * `limit` 0: none). */
typedef struct store_audit_read {
    const store_audit_tile *tiles;
    size_t tile_count;
    uint64_t from;
    size_t limit;
} store_audit_read;
typedef void store_audit_found(void *context, const store_audit_tile *tiles, size_t tile_count,
                               const slice *entries, size_t entry_count, const error *failure);
MUST_CHECK bool store_audit_get(store *s, const store_audit_read *wanted, store_audit_found *done,
                                void *context, error *err);

/* The salts of these persons (1 to STORE_AUDIT_PERSONS_MAX), in their order, `known` where there is one. */
typedef void store_audit_salts_found(void *context, const store_audit_salt *salts, size_t count,
                                     const error *failure);
MUST_CHECK bool store_audit_get_salts(store *s, const slice *persons, size_t count,
                                      store_audit_salts_found *done, void *context, error *err);

/* Deletes a person's salt; it leaves the file as a wiped payload does. Synced to the disk before it is
 * answered. ERROR_NOT_FOUND: there is none. */
MUST_CHECK bool store_audit_erase_salt(store *s, slice person, store_done *done, void *context, error *err);

#endif
