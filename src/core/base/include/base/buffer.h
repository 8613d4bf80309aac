#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/error.h"
#include "base/slice.h"

/* Bytes that grow at the end and are taken from the front: output queues, input being assembled, text being
 * built. A buffer never holds more than `limit` bytes. Failure is sticky: after one append failed, all later
 * ones do nothing and buffer_failed says so, so that a writer checks once, at the end. Not thread-safe. */
typedef struct buffer {
    uint8_t *bytes;
    size_t start;
    size_t end;
    size_t capacity;
    size_t limit;
    bool failed;
} buffer;

buffer buffer_make(size_t limit);
/* Frees the memory; the buffer can be used again. buffer_wipe also overwrites it first, but not the smaller
 * blocks that it grew out of: for a secret reserve what it needs at the start. */
void buffer_free(buffer *b);
void buffer_wipe(buffer *b);

static inline slice buffer_slice(const buffer *b) {
    return b->bytes == NULL ? (slice){NULL, 0} : slice_of(b->bytes + b->start, b->end - b->start);
}

static inline size_t buffer_length(const buffer *b) {
    return b->end - b->start;
}

static inline bool buffer_failed(const buffer *b) {
    return b->failed;
}

/* True if `length` more bytes fit without the buffer having to grow. */
static inline bool buffer_has_room(const buffer *b, size_t length) {
    size_t used = b->end - b->start;
    return !b->failed && length <= b->capacity - b->end && used <= b->limit && length <= b->limit - used;
}

/* Forgets the content and the failure, keeps the memory. */
void buffer_clear(buffer *b);
/* Drops what is behind the first `length` bytes. */
void buffer_truncate(buffer *b, size_t length);
/* Drops `length` bytes at the front. Gives the memory back when nothing is left and it is large. */
void buffer_consume(buffer *b, size_t length);
/* Room for `length` more bytes to be written at the returned place, then buffer_commit. NULL: failed. */
MUST_CHECK uint8_t *buffer_reserve(buffer *b, size_t length);
void buffer_commit(buffer *b, size_t length);

/* These return false when the buffer has failed; a writer may ignore that and ask buffer_failed at the end.
 * buffer_append_growing is buffer_append for what is not there yet. */
bool buffer_append_growing(buffer *b, slice bytes);
static inline bool buffer_append(buffer *b, slice bytes) {
    if (bytes.length == 0 || !buffer_has_room(b, bytes.length)) { /* memcpy takes no NULL */
        return buffer_append_growing(b, bytes);
    }
    memcpy(b->bytes + b->end, bytes.data, bytes.length);
    b->end += bytes.length;
    return true;
}
static inline bool buffer_append_text(buffer *b, const char *text) {
    return buffer_append(b, slice_of_text(text));
}
static inline bool buffer_append_byte(buffer *b, uint8_t byte) {
    return buffer_append(b, slice_of(&byte, 1));
}
bool buffer_append_format(buffer *b, const char *format, ...) PRINTF_LIKE(2, 3);
bool buffer_append_u32_big_endian(buffer *b, uint32_t value);
bool buffer_append_u64_big_endian(buffer *b, uint64_t value);

#endif
