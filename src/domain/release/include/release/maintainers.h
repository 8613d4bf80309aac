#ifndef RELEASE_MAINTAINERS_H
#define RELEASE_MAINTAINERS_H

#include "ledger/note.h"
#include "release/manifest.h"

/* Who may sign a release: a list of keys, and how many of them it takes. The first list is trusted from
 * elsewhere; each further one is signed by enough of the list before it and by enough of its own, so that
 * nobody is put in who doesn't have the key (as root metadata of The Update Framework, §5.3). Its text, a
 * line each: "cellule maintainers v1", "generation N" from 1, "threshold K", "key NAME+ID+KEY" of each. */
enum { MAINTAINERS_MAX = 16, MAINTAINERS_SUCCESSIONS_MAX = 64 };

typedef struct maintainers {
    uint64_t generation;
    uint32_t threshold;
    size_t count;
    note_key keys[MAINTAINERS_MAX];
} maintainers;

/* Appends the text. ERROR_INVALID: no keys, a threshold beyond them, or one key or name twice. */
MUST_CHECK bool maintainers_write(const maintainers *m, buffer *text, error *err);
/* Takes exactly what maintainers_write gives. ERROR_INVALID. */
MUST_CHECK bool maintainers_parse(slice text, maintainers *m, error *err);

/* Whether enough of them signed. ERROR_DENIED names who hasn't; ERROR_CORRUPT: a signature of theirs is
 * false, however many hold. */
MUST_CHECK bool maintainers_agree(const maintainers *m, const note *n, error *err);

/* Takes the list that follows, as it was signed. On failure `m` is as before: ERROR_DENIED, ERROR_CORRUPT,
 * ERROR_INVALID (it isn't the next generation). */
MUST_CHECK bool maintainers_succeed(maintainers *m, slice note_bytes, error *err);

/* A manifest that enough of them signed. Whether it has expired isn't asked here. */
MUST_CHECK bool maintainers_open_manifest(const maintainers *m, slice note_bytes, release_manifest *manifest,
                                          error *err);

#endif
