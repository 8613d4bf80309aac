#ifndef WORKER_KEY_WATCH_H
#define WORKER_KEY_WATCH_H

#include "ledger/succession.h"

/* What a worker remembers of its pool's keys, so that nobody can put an old one forward again, or another in
 * place of one that it has seen: the longest chain that it was shown. The first one is believed, for it leads
 * from the pool's id; every later one must go on from it. Pure; who uses it keeps `json` on disk. */
typedef struct key_watch {
    uint8_t pool_id[HASH_SIZE];
    buffer json;      /* of `known`; empty: none yet */
    succession known; /* of the pool's id, if there is one */
    buffer forked;    /* the chain that contradicts it, which the pool's keys have signed too */
} key_watch;

typedef enum key_verdict {
    KEYS_UNCHANGED,
    KEYS_NEWER,  /* `next` goes on from what is known: on the disk with it, then key_watch_take */
    KEYS_FORKED, /* the pool puts an older key forward, or another, or what isn't its own: `err` says which */
    KEYS_UNKNOWN /* it can't be told, as memory is out */
} key_verdict;

void key_watch_init(key_watch *w, const uint8_t pool_id[HASH_SIZE]);
void key_watch_free(key_watch *w);
/* Takes back what was kept of an earlier run; empty: nothing. */
MUST_CHECK bool key_watch_restore(key_watch *w, slice kept, error *err);

/* What the pool shows. `json`, which is empty, gets `next` as it is to be kept. */
MUST_CHECK key_verdict key_watch_look(key_watch *w, slice shown, succession *next, buffer *json, error *err);
/* From now on this is what is known; takes the content of `json`. */
void key_watch_take(key_watch *w, const succession *next, buffer *json);

#endif
