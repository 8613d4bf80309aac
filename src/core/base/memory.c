#include "base/memory.h"

#include "base/fault.h"
#include "memory_internal.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool wiping;

void *memory_allocate(size_t size) {
    return fault_here("memory") ? NULL : malloc(size == 0 ? 1 : size);
}

void *memory_allocate_zeroed(size_t count, size_t size) {
    return fault_here("memory") ? NULL : calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
}

static void *move(void *block, size_t size) {
    size_t before = malloc_usable_size(block);
    void *moved = malloc(size);
    if (moved != NULL) {
        memcpy(moved, block, before < size ? before : size);
        memory_free(block);
    }
    return moved;
}

void *memory_resize(void *block, size_t size) {
    size_t wanted = size == 0 ? 1 : size;
    if (fault_here("memory")) {
        return NULL;
    }
    return wiping && block != NULL ? move(block, wanted) : realloc(block, wanted);
}

char *memory_copy_string(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = memory_allocate(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

void memory_free(void *block) {
    if (wiping && block != NULL) {
        explicit_bzero(block, malloc_usable_size(block));
    }
    free(block);
}

void memory_wipe_freed(void) {
    wiping = true;
}

bool memory_is_wiping(void) {
    return wiping;
}

void memory_forget(void *bytes, size_t length) {
    if (wiping && length > 0) {
        explicit_bzero(bytes, length);
    }
}

void memory_forget_block(void *block) {
    memory_forget(block, block == NULL ? 0 : malloc_usable_size(block));
}

void memory_prefer_large_pages(void *block, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t skipped = (page - (uintptr_t)block % page) % page;
    if (size > skipped) {
        /* Advice only: without it everything works, slower. */
        (void)madvise((uint8_t *)block + skipped, (size - skipped) / page * page, MADV_HUGEPAGE);
    }
}
