#include "text.h"

text text_trusted(slice bytes) {
    return (text){bytes, NULL, true};
}

text text_untrusted(slice bytes) {
    return (text){bytes, NULL, false};
}

bool text_trusted_at(const text *t, size_t index) {
    return t->marks == NULL ? t->trusted : t->marks[index] != 0;
}

bool text_is_trusted(const text *t) {
    return t->bytes.length == 0 ||
           (t->marks == NULL ? t->trusted : memchr(t->marks, 0, t->bytes.length) == NULL);
}

text text_part(const text *t, size_t start, size_t length) {
    slice bytes = slice_part(t->bytes, start, length);
    return (text){bytes, t->marks == NULL || bytes.length == 0 ? NULL : t->marks + start, t->trusted};
}

size_t text_character_size(slice bytes) {
    size_t size = bytes.length > 0 && bytes.data[0] < 0x80 ? 1 : slice_utf8_length(bytes);
    return size == 0 && bytes.length > 0 ? 1 : size;
}

size_t text_character_count(slice bytes) {
    size_t count = 0;
    for (size_t i = 0; i < bytes.length; count++) {
        i += text_character_size(slice_after(bytes, i));
    }
    return count;
}

uint32_t text_first_character(slice bytes) {
    uint32_t character = 0;
    if (slice_utf8_first(bytes, &character) == 0 && bytes.length > 0) {
        return 0xdc00U + bytes.data[0]; /* as Python's surrogateescape */
    }
    return character;
}

static bool is_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

size_t text_space_at_start(slice bytes) {
    return bytes.length > 0 && is_space(text_first_character(bytes)) ? text_character_size(bytes) : 0;
}

/* The last character: of the up to four bytes before the end, the sequence that ends there. */
static slice last_character(slice bytes) {
    for (size_t size = 2; size <= 4 && size <= bytes.length; size++) {
        slice tail = slice_after(bytes, bytes.length - size);
        if (slice_utf8_length(tail) == size) {
            return tail;
        }
    }
    return bytes.length == 0 ? bytes : slice_after(bytes, bytes.length - 1);
}

static size_t space_at_end(slice bytes) {
    slice last = last_character(bytes);
    return text_space_at_start(last) == last.length ? last.length : 0;
}

static bool has_character(slice characters, slice wanted) {
    for (size_t i = 0; i < characters.length;) {
        size_t size = text_character_size(slice_after(characters, i));
        if (slice_equal(slice_part(characters, i, size), wanted)) {
            return true;
        }
        i += size;
    }
    return false;
}

static size_t strip_left(slice bytes, const slice *characters) {
    if (characters == NULL || bytes.length == 0) {
        return text_space_at_start(bytes);
    }
    size_t size = text_character_size(bytes);
    return has_character(*characters, slice_part(bytes, 0, size)) ? size : 0;
}

static size_t strip_right(slice bytes, const slice *characters) {
    if (characters == NULL || bytes.length == 0) {
        return space_at_end(bytes);
    }
    slice last = last_character(bytes);
    return has_character(*characters, last) ? last.length : 0;
}

text text_strip(const text *t, const slice *characters, bool left, bool right) {
    text rest = *t;
    for (size_t size = 1; left && size > 0;) {
        size = strip_left(rest.bytes, characters);
        rest = text_part(&rest, size, SIZE_MAX);
    }
    for (size_t size = 1; right && size > 0;) {
        size = strip_right(rest.bytes, characters);
        rest = text_part(&rest, 0, rest.bytes.length - size);
    }
    return rest;
}

size_t text_line_end(slice bytes) {
    uint32_t c = bytes.length == 0 ? 0 : text_first_character(bytes);
    if (c == '\r') {
        return bytes.length > 1 && bytes.data[1] == '\n' ? 2 : 1;
    }
    bool ends =
        (c >= 0x0a && c <= 0x0c) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
    return ends ? text_character_size(bytes) : 0;
}

static uint8_t *grow(text_builder *b, const uint8_t *old, size_t capacity) {
    size_t used = arena_used(b->memory);
    uint8_t *bytes = used < b->memory_limit && capacity < b->memory_limit - used
                         ? arena_allocate(b->memory, capacity)
                         : NULL;
    if (bytes != NULL && old != NULL && b->length > 0) {
        memcpy(bytes, old, b->length);
    }
    b->failed = b->failed || bytes == NULL;
    return bytes;
}

static bool reserve(text_builder *b, size_t more) {
    if (b->failed || more > b->length_limit - b->length) {
        b->failed = true;
        return false;
    }
    size_t capacity = b->capacity == 0 ? more : b->capacity;
    while (capacity < b->length + more) {
        capacity = capacity * 2 < 256 ? 256 : capacity * 2;
    }
    if (capacity > b->capacity) {
        uint8_t *bytes = grow(b, b->bytes, capacity);
        uint8_t *marks = b->marks == NULL || bytes == NULL ? NULL : grow(b, b->marks, capacity);
        if (b->failed) {
            return false;
        }
        b->bytes = bytes;
        b->marks = marks;
        b->capacity = capacity;
    }
    return true;
}

/* From here on each byte has a mark. */
static bool begin_marks(text_builder *b) {
    if (b->marks == NULL) {
        b->marks = grow(b, NULL, b->capacity);
        if (b->marks != NULL) {
            memset(b->marks, b->trusted ? 1 : 0, b->length);
        }
    }
    return b->marks != NULL;
}

void text_append(text_builder *b, const text *t) {
    size_t length = t->bytes.length;
    if (length == 0 || !reserve(b, length)) {
        return;
    }
    bool uniform = t->marks == NULL && (b->length == 0 || t->trusted == b->trusted);
    if ((b->marks != NULL || !uniform) && !begin_marks(b)) {
        return;
    }
    if (b->marks == NULL) {
        b->trusted = t->trusted;
    } else if (t->marks == NULL) {
        memset(b->marks + b->length, t->trusted ? 1 : 0, length);
    } else {
        memcpy(b->marks + b->length, t->marks, length);
    }
    memcpy(b->bytes + b->length, t->bytes.data, length);
    b->length += length;
}

void text_append_bytes(text_builder *b, slice bytes, bool trusted) {
    text_append(b, &(text){bytes, NULL, trusted});
}

void text_append_literal(text_builder *b, const char *words, bool trusted) {
    text_append_bytes(b, slice_of_text(words), trusted);
}

text text_finish(const text_builder *b) {
    return (text){slice_of(b->bytes, b->length), b->marks, b->trusted};
}
