#ifndef ENGINE_SAMPLE_WORD_TREE_H
#define ENGINE_SAMPLE_WORD_TREE_H

#include "base/error.h"
#include "base/slice.h"

/* The tokens that a grammar may choose from, as a tree over their bytes. Nodes stand in order of a walk that
 * visits a node before its children and children by byte, so a subtree is a range. */
typedef struct word_tree {
    uint32_t size;       /* tokens of the model */
    uint32_t node_count; /* without the root */
    uint32_t token_count;
    uint8_t *bytes;   /* of each node */
    uint32_t *after;  /* the node after its subtree */
    uint32_t *first;  /* token_count for one past the last node; tokens[first[i], first[i+1]) end at node i */
    uint32_t *tokens; /* ids in order of their bytes */
} word_tree;

enum { WORD_LENGTH_MAX = 1024 /* longer ones are left out */ };

/* `text`: of each token; empty ones are left out. */
MUST_CHECK bool word_tree_start(word_tree *v, uint32_t size,
                                slice (*text)(const void *text_context, uint32_t token),
                                const void *text_context, error *err);
void word_tree_free(word_tree *v); /* all zero is allowed */

#endif
