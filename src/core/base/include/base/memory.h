#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include "base/error.h"

#include <stddef.h>

/* The only way to the heap. In the test build each call is a fault point ("memory", libfiu), so that tests
 * can make every allocation fail in turn. All return NULL when memory is out; none aborts. Any thread. */
MUST_CHECK void *memory_allocate(size_t size);
MUST_CHECK void *memory_allocate_zeroed(size_t count, size_t size); /* refuses count*size overflow */
MUST_CHECK void *memory_resize(void *block, size_t size);           /* the old block stays valid on failure */
MUST_CHECK char *memory_copy_string(const char *text);
void memory_free(void *block); /* NULL is allowed */
/* From now on whatever is given back is overwritten first, also where a block moves to grow: for a process
 * that handles what others must not find in its memory. Before there are other threads. */
void memory_wipe_freed(void);
/* Overwrites what isn't needed any more in memory that is kept, in a process that does so with what it gives
 * back. */
void memory_forget(void *bytes, size_t length);
/* The same of a block that a library gives back by itself. NULL is allowed. */
void memory_forget_block(void *block);
/* The same of what the processor's vector registers still hold, for a thread that is about to sleep. */
void memory_forget_registers(void);
/* Asks for large pages behind a block of many megabytes, before it is first written to: reading it takes
 * fewer look-ups then. */
void memory_prefer_large_pages(void *block, size_t size);

#endif
