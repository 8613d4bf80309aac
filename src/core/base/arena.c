#include "base/arena.h"

#include "base/memory.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>

enum { FIRST_BLOCK_SIZE = 4096 - 64, LARGEST_STEP = 256 * 1024 };

typedef struct block {
    struct block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) uint8_t bytes[];
} block;

struct arena {
    block *newest; /* blocks in falling age; the oldest is the one kept by arena_reset */
    size_t used;
    size_t limit;
};

static block *block_new(size_t size) {
    block *b = size > SIZE_MAX - sizeof(block) ? NULL : memory_allocate(sizeof(block) + size);
    if (b != NULL) {
        *b = (block){.size = size};
    }
    return b;
}

arena *arena_new(size_t limit) {
    arena *a = memory_allocate(sizeof *a);
    if (a != NULL) {
        *a = (arena){.limit = limit};
    }
    return a;
}

void arena_reset(arena *a) {
    while (a->newest != NULL && a->newest->next != NULL) {
        block *next = a->newest->next;
        memory_free(a->newest);
        a->newest = next;
    }
    if (a->newest != NULL) {
        memory_forget(a->newest->bytes, a->newest->used);
        a->newest->used = 0;
    }
    a->used = 0;
}

void arena_wipe(arena *a) {
    for (block *b = a->newest; b != NULL; b = b->next) {
        explicit_bzero(b->bytes, b->used);
    }
    arena_reset(a);
}

void arena_free(arena *a) {
    if (a == NULL) {
        return;
    }
    arena_reset(a);
    memory_free(a->newest);
    memory_free(a);
}

void arena_wipe_free(arena *a) {
    if (a != NULL) {
        arena_wipe(a);
    }
    arena_free(a);
}

size_t arena_used(const arena *a) {
    return a->used;
}

static bool grow(arena *a, size_t size) {
    size_t next = a->newest == NULL ? FIRST_BLOCK_SIZE : a->newest->size * 2;
    next = next > LARGEST_STEP ? LARGEST_STEP : next;
    block *b = block_new(size > next ? size : next);
    if (b == NULL) {
        return false;
    }
    b->next = a->newest;
    a->newest = b;
    return true;
}

void *arena_allocate(arena *a, size_t size) {
    size_t alignment = alignof(max_align_t);
    if (size > SIZE_MAX - alignment) {
        return NULL;
    }
    size_t rounded = size == 0 ? alignment : (size + alignment - 1) & ~(alignment - 1);
    if (rounded > a->limit - a->used) {
        return NULL;
    }
    if ((a->newest == NULL || a->newest->size - a->newest->used < rounded) && !grow(a, rounded)) {
        return NULL;
    }
    void *result = a->newest->bytes + a->newest->used;
    a->newest->used += rounded;
    a->used += rounded;
    return memset(result, 0, rounded);
}

void *arena_allocate_array(arena *a, size_t count, size_t size) {
    size_t total = 0;
    return __builtin_mul_overflow(count, size, &total) ? NULL : arena_allocate(a, total);
}

char *arena_copy_text(arena *a, slice source) {
    if (source.length == SIZE_MAX) {
        return NULL;
    }
    char *copy = arena_allocate(a, source.length + 1);
    if (copy != NULL && source.length > 0) {
        memcpy(copy, source.data, source.length);
    }
    return copy;
}

bool arena_copy(arena *a, slice source, slice *copy) {
    char *text = arena_copy_text(a, source);
    *copy = slice_of(text, text == NULL ? 0 : source.length);
    return text != NULL;
}

char *arena_format(arena *a, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    char *text = length < 0 ? NULL : arena_allocate(a, (size_t)length + 1);
    if (text != NULL) {
        vsnprintf(text, (size_t)length + 1, format, again);
    }
    va_end(again);
    return text;
}
