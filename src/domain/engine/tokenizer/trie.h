#ifndef ENGINE_TRIE_H
#define ENGINE_TRIE_H

#include "base/error.h"
#include "base/slice.h"

/* Finds the tokens that a text begins with. Children of a node stand together, by byte. */
typedef struct trie_node {
    uint32_t children; /* the first */
    uint32_t token;    /* that ends here, or NO_TOKEN */
    uint16_t child_count;
    uint8_t byte;
} trie_node;

typedef struct trie {
    trie_node *nodes; /* the root first; NULL when there are no entries */
    size_t count;
} trie;

typedef struct trie_entry {
    const uint8_t *data;
    uint32_t length; /* not 0 */
    uint32_t token;
} trie_entry;

enum { NO_TOKEN = UINT32_MAX, TRIE_NOWHERE = UINT32_MAX };

/* Sorts the entries by content, then token; of equal ones the first counts. They can be freed afterwards. */
MUST_CHECK bool trie_build(trie *t, trie_entry *entries, size_t count, error *err);
void trie_free(trie *t);

/* The node that `byte` leads to from `node` (0 is the root), or TRIE_NOWHERE. */
uint32_t trie_step(const trie *t, uint32_t node, uint8_t byte);
/* The token that is all of `text`, or NO_TOKEN. */
uint32_t trie_find(const trie *t, slice text);

#endif
