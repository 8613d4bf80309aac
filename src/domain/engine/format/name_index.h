#ifndef ENGINE_NAME_INDEX_H
#define ENGINE_NAME_INDEX_H

#include "base/error.h"
#include "base/slice.h"

/* Names in the order they were added, found by halving. For some thousand names that a file brings: adding
 * costs a move of 4 bytes for each, whatever an attacker calls them. The names stay the caller's. */
typedef struct name_index {
    slice *names;
    uint32_t *sorted; /* places in `names` */
    size_t count;
} name_index;

/* Room for `capacity` names. False if memory is out; name_index_free is due either way. */
MUST_CHECK bool name_index_new(name_index *index, size_t capacity);
void name_index_free(name_index *index);
/* False if the name is there already. The caller adds no more than there is room for. */
MUST_CHECK bool name_index_add(name_index *index, slice name);
/* SIZE_MAX if it is not there. */
size_t name_index_find(const name_index *index, slice name);

#endif
