#include "memory/fact.h"

#include "crypto/secret.h"
#include "half.h"
#include "memory/vectors.h"

enum { VERSION = 1, LENGTHS_AT = 9, HEADER_SIZE = 17 };

_Static_assert((int)FACT_DIMENSIONS_MAX == (int)VECTORS_DIMENSIONS_MAX, "what is kept can be searched");

bool fact_text_is_valid(slice text) {
    return text.length > 0 && text.length <= FACT_TEXT_MAX && slice_find(text, 0) == SIZE_MAX &&
           slice_is_utf8(text);
}

static bool embedder_is_valid(slice name, size_t dimensions) {
    return dimensions <= FACT_DIMENSIONS_MAX && (name.length == 0) == (dimensions == 0) &&
           name.length <= FACT_EMBEDDER_MAX && slice_is_utf8(name);
}

static bool source_is_valid(slice source) {
    return source.length == 0 || source.length == RECORD_ID_SIZE;
}

static bool check(const fact *f, error *err) {
    if (!fact_text_is_valid(f->text)) {
        return error_set(
            err, ERROR_INVALID,
            "a fact is a text of 1 to %d bytes of UTF-8 without zero bytes: shorten it or make two of it",
            FACT_TEXT_MAX);
    }
    if (!source_is_valid(f->source)) {
        return error_set(err, ERROR_INVALID, "a fact's source is the id of a conversation, or nothing");
    }
    return embedder_is_valid(f->embedder, f->dimensions) ||
           error_set(
               err, ERROR_INVALID,
               "a fact's vector has at most %d numbers, and the name of what made it in at most %d bytes",
               FACT_DIMENSIONS_MAX, FACT_EMBEDDER_MAX);
}

static bool append_u16(buffer *out, size_t value) {
    return buffer_append_byte(out, (uint8_t)(value >> 8)) && buffer_append_byte(out, (uint8_t)value);
}

/* Into a buffer that has the room. False: the vector has no direction. */
static bool encode(const fact *f, buffer *content) {
    uint16_t halves[FACT_DIMENSIONS_MAX];
    if (f->dimensions > 0 && !halves_of_floats(halves, f->vector, f->dimensions)) {
        return false;
    }
    buffer_append_byte(content, VERSION);
    buffer_append_u64_big_endian(content, f->created_ms);
    append_u16(content, f->text.length);
    append_u16(content, f->source.length);
    append_u16(content, f->embedder.length);
    append_u16(content, f->dimensions);
    buffer_append(content, f->text);
    buffer_append(content, f->source);
    buffer_append(content, f->embedder);
    for (size_t i = 0; i < f->dimensions; i++) {
        append_u16(content, halves[i]);
    }
    secret_wipe(halves, f->dimensions * sizeof *halves);
    return true;
}

bool fact_seal(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id, const uint8_t id[RECORD_ID_SIZE],
               const fact *f, buffer *sealed, error *err) {
    if (!check(f, err)) {
        return false;
    }
    size_t size = HEADER_SIZE + f->text.length + f->source.length + f->embedder.length + 2 * f->dimensions;
    buffer content = buffer_make(size);
    if (buffer_reserve(&content, size) == NULL) { /* all of it at once: growing would leave copies behind */
        return error_memory(err);
    }
    record_place place = {.kind = RECORD_FACT, .user_id = user_id};
    memcpy(place.id, id, sizeof place.id);
    bool encoded = encode(f, &content);
    bool good = encoded && record_seal(key, &place, f->created_ms, buffer_slice(&content), sealed, err);
    buffer_wipe(&content);
    return good ||
           (!encoded && error_set(err, ERROR_INVALID,
                                  "a vector must have a length and finite numbers: embed another text"));
}

static size_t u16_at(const uint8_t *bytes) {
    return (size_t)bytes[0] << 8 | bytes[1];
}

static slice take(slice *content, size_t length) {
    slice taken = slice_part(*content, 0, length);
    *content = slice_after(*content, length);
    return taken;
}

/* Slices of `content`; the vector's bytes are what is left of it. */
static bool decode(slice *content, fact *f) {
    const uint8_t *header = content->data;
    if (content->length < HEADER_SIZE || header[0] != VERSION) {
        return false;
    }
    for (size_t i = 1; i < LENGTHS_AT; i++) {
        f->created_ms = f->created_ms << 8 | header[i];
    }
    size_t text = u16_at(header + LENGTHS_AT);
    size_t source = u16_at(header + LENGTHS_AT + 2);
    size_t embedder = u16_at(header + LENGTHS_AT + 4);
    f->dimensions = u16_at(header + LENGTHS_AT + 6);
    if (content->length != HEADER_SIZE + text + source + embedder + 2 * f->dimensions) {
        return false;
    }
    (void)take(content, HEADER_SIZE);
    f->text = take(content, text);
    f->source = take(content, source);
    f->embedder = take(content, embedder);
    return fact_text_is_valid(f->text) && source_is_valid(f->source) &&
           embedder_is_valid(f->embedder, f->dimensions);
}

/* Such as halves_of_floats makes: finite, and not all zeros. */
static bool read_vector(slice halves, arena *memory, fact *f, error *err) {
    float *vector = arena_allocate_array(memory, f->dimensions, sizeof *vector);
    if (vector == NULL) {
        return error_memory(err);
    }
    bool any = false;
    bool finite = true;
    for (size_t i = 0; i < f->dimensions; i++) {
        uint16_t half = (uint16_t)u16_at(halves.data + 2 * i);
        vector[i] = float_of_half(half);
        finite = finite && (half & 0x7c00U) != 0x7c00U;
        any = any || (half & 0x7fffU) != 0;
    }
    f->vector = vector;
    return (any && finite) ||
           error_set(err, ERROR_CORRUPT,
                     "a fact's vector isn't one: delete the fact and have it remembered again");
}

/* Moves what `f` points to out of the content. */
static bool copy(fact *f, slice halves, arena *memory, error *err) {
    if (!arena_copy(memory, f->text, &f->text) || !arena_copy(memory, f->source, &f->source) ||
        !arena_copy(memory, f->embedder, &f->embedder)) {
        return error_memory(err);
    }
    return f->dimensions == 0 || read_vector(halves, memory, f, err);
}

bool fact_open(const uint8_t key[RECORD_KEY_SIZE], uint64_t user_id, const uint8_t id[RECORD_ID_SIZE],
               slice sealed, arena *memory, fact *f, error *err) {
    record_place place = {.kind = RECORD_FACT, .user_id = user_id};
    memcpy(place.id, id, sizeof place.id);
    buffer content = buffer_make(FACT_SEALED_MAX);
    *f = (fact){0};
    if (sealed.length > FACT_SEALED_MAX) {
        error_set(err, ERROR_CORRUPT,
                  "a fact is longer than one may be: restore it from a backup, or delete it");
        return record_name(err, "fact", id);
    }
    bool good = record_open(key, &place, sealed, &content, err);
    if (good) {
        slice rest = buffer_slice(&content);
        good = decode(&rest, f)
                   ? copy(f, rest, memory, err)
                   : error_set(err, ERROR_CORRUPT,
                               "a fact's content isn't one: restore it from a backup, or delete it");
    }
    buffer_wipe(&content);
    if (!good) {
        *f = (fact){0};
        return record_name(err, "fact", id);
    }
    return true;
}
