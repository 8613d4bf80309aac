#include "base/memory.h"

#include "base/fault.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void *memory_allocate(size_t size) {
    return fault_here("memory") ? NULL : malloc(size == 0 ? 1 : size);
}

void *memory_allocate_zeroed(size_t count, size_t size) {
    return fault_here("memory") ? NULL : calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
}

void *memory_resize(void *block, size_t size) {
    return fault_here("memory") ? NULL : realloc(block, size == 0 ? 1 : size);
}

char *memory_copy_string(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = memory_allocate(size);
    return copy == NULL ? NULL : memcpy(copy, text, size);
}

void memory_free(void *block) {
    free(block);
}

void memory_prefer_large_pages(void *block, size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t skipped = (page - (uintptr_t)block % page) % page;
    if (size > skipped) {
        /* Advice only: without it everything works, slower. */
        (void)madvise((uint8_t *)block + skipped, (size - skipped) / page * page, MADV_HUGEPAGE);
    }
}
