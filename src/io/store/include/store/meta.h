#ifndef STORE_META_H
#define STORE_META_H

#include "store/store.h"

enum { STORE_META_VALUE_MAX = 4096 };

/* A few facts about the site itself: "pool_id", "created_ms". Keys as user names; values at most
 * STORE_META_VALUE_MAX bytes. Setting replaces, and is synced to the disk before it is answered. */
MUST_CHECK bool store_meta_set(store *s, slice key, slice value, store_done *done, void *context, error *err);

/* ERROR_NOT_FOUND: never set. */
typedef void store_meta_found(void *context, slice value, const error *failure);
MUST_CHECK bool store_meta_get(store *s, slice key, store_meta_found *done, void *context, error *err);

#endif
