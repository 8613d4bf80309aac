#ifndef RELEASE_ACCEPTANCE_H
#define RELEASE_ACCEPTANCE_H

#include "release/maintainers.h"

/* Which programs the other side may run, as a setting says: words separated by commas. 64 hexadecimal
 * digits: the program with this SHA-256. "same": the one that asks. "signed": one that stands in a manifest
 * which the maintainers signed and which hasn't expired; "signed>=1.2.3": of that version or a newer one.
 * What a program says of itself is its own word: docs/release.md tells what that is worth. */
enum { RELEASE_ACCEPTED_MAX = 32, RELEASE_REASON_SIZE = 256 };

typedef struct release_acceptance {
    bool anything; /* nothing was asked for */
    bool same;
    bool is_signed;
    release_version least; /* of what is signed */
    size_t count;
    uint8_t digests[RELEASE_ACCEPTED_MAX][HASH_SIZE];
} release_acceptance;

/* Empty: anything is accepted. ERROR_INVALID names the word. */
MUST_CHECK bool release_acceptance_parse(slice text, release_acceptance *wanted, error *err);

/* What the other side says of itself. */
typedef struct release_claim {
    uint8_t program[HASH_SIZE]; /* SHA-256; zeros: it doesn't say */
    slice manifest;             /* as it was signed; may be empty */
} release_claim;

/* Who asks. */
typedef struct release_asker {
    uint8_t program[HASH_SIZE];
    const maintainers *keys; /* NULL: it knows none, and then nothing is signed for it */
    uint64_t now_s;
} release_asker;

/* ERROR_DENIED says which program it is and why it isn't accepted; ERROR_MEMORY. */
MUST_CHECK bool release_accepts(const release_acceptance *wanted, const release_asker *asker,
                                const release_claim *claim, error *err);

#endif
