#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes that somebody else owns: valid as long as the owner says. `data` may be NULL only when length is 0.
 */
typedef struct slice {
    const uint8_t *data;
    size_t length;
} slice;

/* A slice over a string literal, without its zero. */
#define SLICE_LITERAL(text) ((slice){(const uint8_t *)("" text), sizeof(text) - 1})
/* For printf: "%.*s". Cut at 1 MiB, so that the length fits. */
#define SLICE_FORMAT(s) ((int)((s).length > 1048576 ? 1048576 : (s).length)), (const char *)(s).data

static inline slice slice_of(const void *data, size_t length) {
    return (slice){(const uint8_t *)data, length};
}

/* NULL gives the empty slice. */
static inline slice slice_of_text(const char *text) {
    return text == NULL ? (slice){NULL, 0} : (slice){(const uint8_t *)text, strlen(text)};
}

static inline bool slice_equal(slice a, slice b) {
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool slice_equal_text(slice a, const char *text) {
    return slice_equal(a, slice_of_text(text));
}

static inline bool slice_starts_with(slice a, slice prefix) {
    return a.length >= prefix.length &&
           (prefix.length == 0 || memcmp(a.data, prefix.data, prefix.length) == 0);
}

/* From `start` for `length` bytes, cut to what is there. */
static inline slice slice_part(slice a, size_t start, size_t length) {
    if (a.data == NULL || start >= a.length) {
        return (slice){NULL, 0};
    }
    size_t rest = a.length - start;
    return (slice){a.data + start, length < rest ? length : rest};
}

static inline slice slice_after(slice a, size_t start) {
    return slice_part(a, start, SIZE_MAX);
}

/* ASCII letters compare equal in either case; nothing depends on the locale. */
bool slice_equal_ignore_case(slice a, slice b);
/* Index of the first `byte`, or SIZE_MAX. */
size_t slice_find(slice a, uint8_t byte);
/* Index of the first occurrence of `needle`, or SIZE_MAX. */
size_t slice_find_slice(slice a, slice needle);
/* Without spaces and tabs at both ends. */
slice slice_trim(slice a);
/* Strict decimal: digits only, no sign, no leading zero but "0" itself, no overflow. */
bool slice_to_u64(slice a, uint64_t *value);
/* Bytes of the well-formed UTF-8 sequence that `a` begins with, 1 to 4; 0 if it begins with none. */
size_t slice_utf8_length(slice a);
/* The same, with the character that these bytes are; 0 leaves it alone. */
size_t slice_utf8_first(slice a, uint32_t *character);
/* Well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
bool slice_is_utf8(slice a);

#endif
