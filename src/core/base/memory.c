#include "base/memory.h"

#include "base/fault.h"

#include <stdlib.h>
#include <string.h>

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
