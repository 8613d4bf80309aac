#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/error.h"
#include "base/slice.h"

/* A hash map from bytes to a pointer, safe with keys that an attacker chooses (SipHash-2-4 under a secret
 * seed, Aumasson and Bernstein 2012). Keys are copied in; values belong to the caller. Iteration goes in
 * order of insertion, whatever the seed, as long as nothing was removed. Not thread-safe. */
typedef struct map map;

enum { MAP_SEED_SIZE = 16 };

/* NULL if memory is out. */
MUST_CHECK map *map_new(const uint8_t seed[MAP_SEED_SIZE]);
void map_free(map *m); /* frees the keys, not the values; NULL is allowed */

size_t map_count(const map *m);
/* NULL if the key is not there. */
void *map_get(const map *m, slice key);
/* Adds or replaces. `value` is not NULL. False only if memory is out: then nothing has changed. */
MUST_CHECK bool map_put(map *m, slice key, void *value);
/* Returns the value that was there, or NULL. */
void *map_remove(map *m, slice key);

/* for (size_t i = 0; map_next(m, &i, &key, &value);) — don't change the map meanwhile. `key` may be NULL. */
bool map_next(const map *m, size_t *position, slice *key, void **value);

/* SipHash-2-4 itself. */
uint64_t map_hash(const uint8_t seed[MAP_SEED_SIZE], slice bytes);

#endif
