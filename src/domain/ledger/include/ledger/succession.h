#ifndef LEDGER_SUCCESSION_H
#define LEDGER_SUCCESSION_H

#include "base/buffer.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "ledger/note.h"

/* Which key signs for a pool. Its id is of the first one for ever; each later key is named in a statement
 * that the key before and itself have signed, so that neither who stole an old key can name another's, nor a
 * pool claim a key that it hasn't. What is signed is in the README. A chain that was read or made here is
 * whole and verified: nothing else is in a `succession`. */
enum {
    SUCCESSION_MAX = 64, /* steps */
    SUCCESSION_JSON_LIMIT = 32768,
    SUCCESSION_LEEWAY_MS = 10 * 60 * 1000 /* by which workers' clocks may be ahead of the pool's */
};

typedef struct succession_step {
    uint8_t key[SIGN_PUBLIC_SIZE]; /* the new one */
    uint64_t made_ms;              /* Unix, by the pool's clock; not before the step before */
    uint8_t former_signature[SIGN_SIGNATURE_SIZE];
    uint8_t signature[SIGN_SIGNATURE_SIZE];
} succession_step;

typedef struct succession {
    uint8_t pool_id[HASH_SIZE];
    uint8_t first_key[SIGN_PUBLIC_SIZE];
    size_t count;
    succession_step steps[SUCCESSION_MAX];
} succession;

/* Of a pool that has had one key. */
MUST_CHECK bool succession_begin(const uint8_t first_key[SIGN_PUBLIC_SIZE], succession *s, error *err);
/* `former` must be the current key: ERROR_INVALID else, or if the pool has had `next` before, or the time
 * goes back; ERROR_LIMIT after SUCCESSION_MAX. After a failure `s` is as it was. */
MUST_CHECK bool succession_append(succession *s, const sign_key *former, const sign_key *next,
                                  uint64_t made_ms, error *err);

/* Whether these bytes name a key, or a beginning of such: for who signs what others ask for. */
bool succession_is_statement(slice bytes);

/* The key that signs now; SIGN_PUBLIC_SIZE bytes that live as long as `s`. */
const uint8_t *succession_current(const succession *s);
/* How key `number` signs the pool's audit log; 0 is the first, `count` the current one. The log is named
 * after its pool, whichever key signs. */
note_key succession_log_key(const succession *s, size_t number);
/* The pool that a log's name says; false: it says none. */
bool succession_log_pool(const char *name, uint8_t pool_id[HASH_SIZE]);
/* Whether the pool may have signed with `key` something that says it is of `at_ms` (Unix): any key that it
 * has had and that hadn't been replaced by then, give or take SUCCESSION_LEEWAY_MS. ERROR_CORRUPT if it
 * had, ERROR_NOT_FOUND for a key that isn't among them: a later one, if `s` isn't the newest. A key begins
 * with the pool, for what is older is signed late. */
MUST_CHECK bool succession_covers(const succession *s, const uint8_t key[SIGN_PUBLIC_SIZE], uint64_t at_ms,
                                  error *err);
/* Whether `shown` is `known` or goes on from it. ERROR_DENIED: it ends earlier, so an older key is put
 * forward again; ERROR_CORRUPT: they part, or are of different pools. */
MUST_CHECK bool succession_goes_on(const succession *known, const succession *shown, error *err);

/* {"object": "cellule.succession", "pool": HEX, "first_key": BYTES, "steps": [{"key", "made_ms",
 * "former_signature", "signature"}, ...]}. */
MUST_CHECK bool succession_write_json(const succession *s, buffer *out, error *err);
/* Verifies the whole. `pool_id`: the pool that the reader trusts; NULL: his own. ERROR_INVALID: it is no such
 * object; ERROR_CORRUPT: it is of another pool, or doesn't hold. After a failure `s` is zeroed. */
MUST_CHECK bool succession_read_json(slice json, const uint8_t pool_id[HASH_SIZE], succession *s, error *err);

#endif
