#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/error.h"
#include "base/slice.h"

/* Memory that is given back all at once: one arena per request. Not thread-safe: one owner at a time. */
typedef struct arena arena;

/* `limit`: most bytes it will ever hand out; reaching it looks like memory being out. NULL if memory is out.
 */
MUST_CHECK arena *arena_new(size_t limit);
/* Frees everything that was handed out. NULL is allowed. */
void arena_free(arena *a);
/* The same of one that held a secret: zeroes all first. NULL is allowed. */
void arena_wipe_free(arena *a);
/* Forgets everything handed out, keeps the first block for reuse. */
void arena_reset(arena *a);
/* The same, and leaves nothing of it in memory. */
void arena_wipe(arena *a);
/* Bytes handed out so far. */
size_t arena_used(const arena *a);

/* Aligned for any type, zeroed. NULL if memory is out or the limit is reached. */
MUST_CHECK void *arena_allocate(arena *a, size_t size);
/* An array; refuses count*size overflow. */
MUST_CHECK void *arena_allocate_array(arena *a, size_t count, size_t size);
/* A copy with a zero byte behind it that the length doesn't count. */
MUST_CHECK bool arena_copy(arena *a, slice source, slice *copy);
/* A C string; NULL if memory is out. */
MUST_CHECK char *arena_copy_text(arena *a, slice source);
MUST_CHECK char *arena_format(arena *a, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
