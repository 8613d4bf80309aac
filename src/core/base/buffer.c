#include "base/buffer.h"

#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>

enum { SMALLEST_CAPACITY = 256, KEPT_WHEN_EMPTY = 4096 };

buffer buffer_make(size_t limit) {
    return (buffer){.limit = limit};
}

void buffer_free(buffer *b) {
    memory_free(b->bytes);
    *b = buffer_make(b->limit);
}

void buffer_wipe(buffer *b) {
    if (b->bytes != NULL) {
        explicit_bzero(b->bytes, b->capacity);
    }
    buffer_free(b);
}

/* What was between two places of it. */
static void forget(const buffer *b, size_t from, size_t to) {
    if (to > from) {
        memory_forget(b->bytes + from, to - from);
    }
}

void buffer_clear(buffer *b) {
    forget(b, b->start, b->end);
    b->start = 0;
    b->end = 0;
    b->failed = false;
}

void buffer_truncate(buffer *b, size_t length) {
    if (length < buffer_length(b)) {
        forget(b, b->start + length, b->end);
        b->end = b->start + length;
    }
}

void buffer_consume(buffer *b, size_t length) {
    size_t there = buffer_length(b);
    size_t before = b->start;
    b->start += length < there ? length : there;
    forget(b, before, b->start);
    if (b->start < b->end) {
        return;
    }
    b->start = 0;
    b->end = 0;
    if (b->capacity > KEPT_WHEN_EMPTY) {
        memory_free(b->bytes);
        b->bytes = NULL;
        b->capacity = 0;
    }
}

/* Moves the content to a block that holds `needed` bytes, and at least half as much again as it holds now, so
 * that a queue that is never quite empty is not moved for each append. */
static bool move_to_new_block(buffer *b, size_t used, size_t needed) {
    size_t capacity = b->capacity < SMALLEST_CAPACITY ? SMALLEST_CAPACITY : b->capacity;
    while (capacity < needed || capacity - used < used / 2) {
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
        if (capacity == needed) {
            break;
        }
    }
    uint8_t *bytes = memory_allocate(capacity);
    if (bytes == NULL) {
        return false;
    }
    if (b->bytes != NULL) {
        memcpy(bytes, b->bytes + b->start, used);
    }
    memory_free(b->bytes);
    b->bytes = bytes;
    b->capacity = capacity;
    return true;
}

uint8_t *buffer_reserve(buffer *b, size_t length) {
    size_t used = buffer_length(b);
    if (b->failed || used > b->limit || length > b->limit - used) {
        b->failed = true;
        return NULL;
    }
    if (b->bytes != NULL && length <= b->capacity - b->end) {
        return b->bytes + b->end;
    }
    if (b->bytes != NULL && b->start > 0 && length <= b->capacity - used && b->start >= used) {
        memmove(b->bytes, b->bytes + b->start, used);
        forget(b, b->start, b->end);
    } else if (!move_to_new_block(b, used, used + length)) {
        b->failed = true;
        return NULL;
    }
    b->start = 0;
    b->end = used;
    return b->bytes + b->end;
}

void buffer_commit(buffer *b, size_t length) {
    size_t room = b->capacity - b->end;
    b->end += length < room ? length : room;
}

bool buffer_append_growing(buffer *b, slice bytes) {
    uint8_t *place = buffer_reserve(b, bytes.length);
    if (place == NULL) {
        return false;
    }
    if (bytes.length > 0) {
        memcpy(place, bytes.data, bytes.length);
    }
    b->end += bytes.length;
    return true;
}

bool buffer_append_format(buffer *b, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    uint8_t *place = NULL;
    size_t limit = b->limit;
    if (length < 0) {
        b->failed = true;
    } else {
        /* vsnprintf writes a zero that is not content and that the limit does not count. */
        b->limit += b->limit < SIZE_MAX;
        place = buffer_reserve(b, (size_t)length + 1);
        b->limit = limit;
    }
    if (place != NULL) {
        vsnprintf((char *)place, (size_t)length + 1, format, again);
        b->end += (size_t)length;
    }
    va_end(again);
    return place != NULL;
}

bool buffer_append_u32_big_endian(buffer *b, uint32_t value) {
    uint8_t bytes[4];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
    return buffer_append(b, slice_of(bytes, sizeof bytes));
}

bool buffer_append_u64_big_endian(buffer *b, uint64_t value) {
    return buffer_append_u32_big_endian(b, (uint32_t)(value >> 32)) &&
           buffer_append_u32_big_endian(b, (uint32_t)value);
}
