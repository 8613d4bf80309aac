#ifndef ENGINE_SERVE_PREFIX_H
#define ENGINE_SERVE_PREFIX_H

#include "forward/pages.h"

/* Full pages of the cache that sequences with the same beginning share. A page's key is a chain of SHA-256
 * over the salt of whoever may share it and all tokens up to the page's end, so what one salt left is found
 * under no other. Pages that no sequence uses stay until memory is wanted; the one out of use for longest
 * goes first, and a page goes before those it follows. */
typedef struct prefix_index prefix_index;
typedef struct prefix_entry prefix_entry;
enum { PREFIX_KEY_SIZE = 32 };

/* The pool must outlive it. */
MUST_CHECK prefix_index *prefix_new(page_pool *pool, error *err);
/* Gives all pages back; none is in use. NULL is allowed. */
void prefix_free(prefix_index *index);

/* The key before the first page, and that of a page of CHUNK tokens behind `parent`. `key` may be `parent`.
 */
MUST_CHECK bool prefix_root(const uint8_t salt[PREFIX_KEY_SIZE], uint8_t key[PREFIX_KEY_SIZE], error *err);
MUST_CHECK bool prefix_next(const uint8_t parent[PREFIX_KEY_SIZE], const uint32_t tokens[CHUNK],
                            uint8_t key[PREFIX_KEY_SIZE], error *err);

/* One user more of the page under this key, or NULL. */
prefix_entry *prefix_join(prefix_index *index, const uint8_t key[PREFIX_KEY_SIZE]);
/* Puts a full page there, with the caller as its user; where there is one already, that is joined. NULL:
 * memory is out, and the page is the caller's alone as before. Otherwise the caller uses the entry's page and
 * releases its own. */
prefix_entry *prefix_offer(prefix_index *index, const uint8_t key[PREFIX_KEY_SIZE], page *full);
/* A user gone. */
void prefix_leave(prefix_index *index, prefix_entry *entry);
page *prefix_page(const prefix_entry *entry);

/* Pages that no sequence uses, and to give the next of them back; false if there is none. */
size_t prefix_idle(const prefix_index *index);
bool prefix_evict(prefix_index *index);

#endif
