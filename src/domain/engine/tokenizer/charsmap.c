#include "base/memory.h"
#include "method.h"
#include "utf8.h"

/* SentencePiece's normalisation: the longest prefix that the map knows is replaced, by a string that a
 * Darts-clone double array leads to (Yata et al. 2007). A unit: bits 0 to 7 the label, 8 a leaf follows, 9
 * the offset is times 256, 10 to 30 the offset; a leaf has bit 31 and a value. The map is the file's: every
 * step is checked. */
enum { NORMALIZED_MAX = 4 * TOKENIZER_INPUT_MAX };

bool unigram_read_map(unigram *u, const gguf *file, error *err) {
    gguf_array array;
    if (!gguf_has(file, "tokenizer.ggml.precompiled_charsmap")) {
        return true;
    }
    if (!gguf_byte_array(file, "tokenizer.ggml.precompiled_charsmap", &array, err)) {
        return false;
    }
    slice map = array.bytes;
    if (map.length == 0) {
        return true;
    }
    uint32_t size = 0;
    if (map.length >= sizeof size) {
        memcpy(&size, map.data, sizeof size); /* little-endian, as this machine */
    }
    slice strings = slice_after(map, sizeof size + (size_t)size);
    if (size == 0 || size % sizeof(uint32_t) != 0 || strings.length == 0 ||
        strings.data[strings.length - 1] != 0) {
        return error_set(err, ERROR_CORRUPT,
                         "key 'tokenizer.ggml.precompiled_charsmap' is not a character map");
    }
    u->map = memory_allocate(size);
    u->replacements = memory_allocate(strings.length);
    if (u->map == NULL || u->replacements == NULL) {
        return error_memory(err);
    }
    memcpy(u->map, map.data + sizeof size, size);
    memcpy(u->replacements, strings.data, strings.length);
    u->map_count = size / sizeof(uint32_t);
    u->replacements_size = strings.length;
    return true;
}

static uint32_t offset_of(uint32_t unit) {
    return (unit >> 10) << ((unit & (1U << 9)) >> 6);
}

static bool broken_map(error *err) {
    return error_set(err, ERROR_CORRUPT, "the model's character map points outside itself");
}

/* The longest known prefix of `text`: `*length` 0 when there is none. */
static bool find_replacement(const unigram *u, slice text, size_t *length, slice *replacement, error *err) {
    *length = 0;
    if (u->map == NULL) {
        return true;
    }
    uint32_t node = offset_of(u->map[0]);
    uint32_t value = 0;
    for (size_t i = 0; i < text.length && text.data[i] != 0; i++) {
        node ^= text.data[i];
        if (node >= u->map_count) {
            return broken_map(err);
        }
        uint32_t unit = u->map[node];
        if ((unit & (1U << 31 | 0xff)) != text.data[i]) {
            break;
        }
        node ^= offset_of(unit);
        if ((unit >> 8 & 1) != 0) {
            if (node >= u->map_count) {
                return broken_map(err);
            }
            value = u->map[node] & ~(1U << 31);
            *length = i + 1;
        }
    }
    if (*length > 0) {
        if (value >= u->replacements_size) {
            return broken_map(err);
        }
        *replacement = slice_of_text(u->replacements + value);
    }
    return true;
}

/* Spaces become marks, one before the first word if the model wants it, or one before each word alone. */
typedef struct spacing {
    bool adds_space;
    bool removes_spaces;
    bool in_word;
    bool has_added;
} spacing;

static bool append_normalized(spacing *s, slice text, buffer *output, error *err) {
    if (buffer_length(output) + SPACE_MARK_LENGTH * (text.length + 1) > NORMALIZED_MAX) {
        return error_set(err, ERROR_LIMIT, "the text gets longer than %d bytes when normalised: shorten it",
                         NORMALIZED_MAX);
    }
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == ' ') {
            s->in_word = false;
            if (!s->removes_spaces) {
                buffer_append_text(output, SPACE_MARK);
            }
            continue;
        }
        if (!s->in_word && ((s->adds_space && !s->has_added) || s->removes_spaces)) {
            buffer_append_text(output, SPACE_MARK);
            s->has_added = true;
        }
        s->in_word = true;
        buffer_append_byte(output, text.data[i]);
    }
    return !buffer_failed(output) || error_memory(err);
}

bool unigram_normalize(const unigram *u, slice text, buffer *output, error *err) {
    spacing s = {.adds_space = u->adds_space, .removes_spaces = u->removes_spaces};
    while (text.length > 0) {
        size_t length = 0;
        slice replacement = {NULL, 0};
        if (!find_replacement(u, text, &length, &replacement, err)) {
            return false;
        }
        if (length == 0) {
            uint32_t character = 0;
            bool whole = utf8_next(text, &length, &character) == UTF8_WHOLE;
            length = whole ? length : 1;
            replacement = whole ? slice_part(text, 0, length) : SLICE_LITERAL("\xef\xbf\xbd");
        }
        if (!append_normalized(&s, replacement, output, err)) {
            return false;
        }
        text = slice_after(text, length);
    }
    return true;
}
