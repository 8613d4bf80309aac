#include "vocabulary.h"

#include "base/memory.h"
#include "utf8.h"

#include <math.h>

enum { LETTERS = 512 };

/* GPT-2 writes each byte as a printable character: these 188 as themselves, the others as U+0100 onwards. */
static bool is_printed_as_itself(uint32_t byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

/* -1 for a character that is no letter for a byte. */
static int byte_of_letter(uint32_t character) {
    if (character < 256) {
        return is_printed_as_itself(character) ? (int)character : -1;
    }
    /* The 68 others: 0 to 0x20, then 0x7f to 0xa0, then 0xad. */
    uint32_t index = character - 256;
    return index <= 0x20   ? (int)index
           : index <= 0x42 ? (int)(index - 0x21 + 0x7f)
           : index == 0x43 ? 0xad
                           : -1;
}

bool vocabulary_letters_to_bytes(slice text, uint8_t *out, size_t *length) {
    *length = 0;
    while (text.length > 0) {
        size_t step = 0;
        uint32_t character = 0;
        if (utf8_next(text, &step, &character) != UTF8_WHOLE || byte_of_letter(character) < 0) {
            return false;
        }
        out[(*length)++] = (uint8_t)byte_of_letter(character);
        text = slice_after(text, step);
    }
    return true;
}

/* Copies `text` with spaces for their marks; returns the length. */
static size_t write_spaces(slice text, uint8_t *out) {
    size_t length = 0;
    for (size_t i = 0; i < text.length; length++) {
        bool marked = slice_starts_with(slice_after(text, i), SLICE_LITERAL(SPACE_MARK));
        out[length] = marked ? ' ' : text.data[i];
        i += marked ? SPACE_MARK_LENGTH : 1;
    }
    return length;
}

static int hex_digit(uint8_t c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* "<0x0A>" */
static bool read_byte(slice text, uint8_t *byte) {
    if (text.length != 6 || !slice_starts_with(text, SLICE_LITERAL("<0x")) || text.data[5] != '>') {
        return false;
    }
    int high = hex_digit(text.data[3]);
    int low = hex_digit(text.data[4]);
    *byte = (uint8_t)(high * 16 + low);
    return high >= 0 && low >= 0;
}

/* Files that mark their markers as plain text are mended, so that no user can write one. */
static token_kind mend_kind(token_kind kind, slice text) {
    if (kind != KIND_NORMAL && kind != KIND_USER_DEFINED) {
        return kind;
    }
    static const slice borders[][2] = {
        {{(const uint8_t *)"<|", 2}, {(const uint8_t *)"|>", 2}},
        {{(const uint8_t *)"<\xef\xbd\x9c", 4}, {(const uint8_t *)"\xef\xbd\x9c>", 4}}};
    bool marker = slice_equal_text(text, "<start_of_turn>") || slice_equal_text(text, "<end_of_turn>");
    for (size_t i = 0; i < 2; i++) {
        size_t both = borders[i][0].length + borders[i][1].length;
        marker = marker ||
                 (text.length > both && slice_starts_with(text, borders[i][0]) &&
                  slice_starts_with(slice_after(text, text.length - borders[i][1].length), borders[i][1]));
    }
    if (marker && vocabulary_is_end_spelling(text)) {
        return KIND_CONTROL;
    }
    return marker && kind == KIND_USER_DEFINED ? KIND_MARKER : kind;
}

typedef struct reading {
    vocabulary *v;
    trie_entry *normal;
    size_t normal_count;
    trie_entry *special;
    size_t special_count;
} reading;

static bool read_normal(reading *r, uint32_t id, slice text, uint8_t *place, size_t *length, error *err) {
    trie_entry *entry = &r->normal[r->normal_count];
    if (r->v->form == VOCABULARY_BYTES) {
        if (!vocabulary_letters_to_bytes(text, place, length) || *length == 0) {
            return error_set(err, ERROR_CORRUPT, "token %u is not made of byte letters", id);
        }
        *entry = (trie_entry){place, (uint32_t)*length, id};
    } else {
        *length = write_spaces(text, place);
        *entry = (trie_entry){text.data, (uint32_t)text.length, id};
    }
    r->normal_count += entry->length > 0;
    return true;
}

static bool read_byte_token(reading *r, uint32_t id, slice text, uint8_t *place, size_t *length, error *err) {
    if (r->v->form != VOCABULARY_PIECES) {
        return error_set(err, ERROR_UNSUPPORTED, "token %u has the kind %d", id, KIND_BYTE);
    }
    if (!read_byte(text, place)) {
        return error_set(err, ERROR_CORRUPT, "the byte token %u is not spelled like <0x0A>", id);
    }
    *length = 1;
    r->v->letters[*place] = id;
    return true;
}

static bool read_token(reading *r, uint32_t id, int32_t kind_number, slice text, error *err) {
    vocabulary *v = r->v;
    if (kind_number < KIND_NORMAL || kind_number > KIND_BYTE) {
        return error_set(err, ERROR_UNSUPPORTED, "token %u has the kind %d", id, kind_number);
    }
    token_kind kind = mend_kind((token_kind)kind_number, text);
    uint8_t *place = v->bytes + v->bytes_used;
    size_t length = text.length;
    if (kind == KIND_NORMAL) {
        if (!read_normal(r, id, text, place, &length, err)) {
            return false;
        }
    } else if (kind == KIND_BYTE) {
        if (!read_byte_token(r, id, text, place, &length, err)) {
            return false;
        }
    } else if (kind == KIND_USER_DEFINED && v->form == VOCABULARY_PIECES) {
        length = write_spaces(text, place); /* as newer files have it from the start */
    } else if (length > 0) {
        memcpy(place, text.data, length);
    }
    v->tokens[id] = (token_text){place, (uint32_t)length};
    v->bytes_used += length;
    v->kinds[id] = (uint8_t)kind;
    if (kind != KIND_NORMAL && kind != KIND_BYTE && kind != KIND_UNUSED && length > 0) {
        r->special[r->special_count++] = (trie_entry){place, (uint32_t)length, id};
    }
    return true;
}

static bool allocate(reading *r, gguf_array texts, error *err) {
    vocabulary *v = r->v;
    size_t total = 0;
    slice text;
    v->count = (uint32_t)texts.count;
    for (uint32_t id = 0; gguf_next_text(&texts, &text); id++) {
        if (text.length > TOKEN_LENGTH_MAX) {
            return error_set(err, ERROR_UNSUPPORTED, "token %u has more than %d bytes", id, TOKEN_LENGTH_MAX);
        }
        total += text.length;
    }
    v->bytes = memory_allocate(total + 1);
    v->tokens = memory_allocate_zeroed(v->count, sizeof *v->tokens);
    v->kinds = memory_allocate_zeroed(v->count, 1);
    r->normal = memory_allocate_zeroed(v->count, sizeof *r->normal);
    r->special = memory_allocate_zeroed(v->count, sizeof *r->special);
    return (v->bytes != NULL && v->tokens != NULL && v->kinds != NULL && r->normal != NULL &&
            r->special != NULL) ||
           error_memory(err);
}

static bool read_scores(vocabulary *v, const gguf *file, error *err) {
    gguf_array scores;
    if (!gguf_f32_array(file, "tokenizer.ggml.scores", &scores, err)) {
        return false;
    }
    if (scores.count != v->count) {
        return error_set(err, ERROR_CORRUPT, "the vocabulary has %u tokens, but %zu scores", v->count,
                         scores.count);
    }
    v->scores = memory_allocate_zeroed(v->count, sizeof *v->scores);
    if (v->scores == NULL) {
        return error_memory(err);
    }
    for (uint32_t id = 0; id < v->count; id++) {
        v->scores[id] = gguf_array_f32(scores, id);
        if (!isfinite(v->scores[id])) {
            return error_set(err, ERROR_CORRUPT, "the score of token %u is not a number", id);
        }
    }
    return true;
}

static bool read_tokens(reading *r, const gguf *file, error *err) {
    gguf_array texts;
    gguf_array kinds;
    if (!gguf_text_array(file, "tokenizer.ggml.tokens", &texts, err) ||
        !gguf_i32_array(file, "tokenizer.ggml.token_type", &kinds, err)) {
        return false;
    }
    if (texts.count == 0 || texts.count > VOCABULARY_MAX || kinds.count != texts.count) {
        return error_set(err, ERROR_CORRUPT,
                         "the vocabulary is empty or too large, or its kinds don't match it");
    }
    if (!allocate(r, texts, err)) {
        return false;
    }
    slice text;
    for (uint32_t id = 0; gguf_next_text(&texts, &text); id++) {
        if (!read_token(r, id, gguf_array_i32(kinds, id), text, err)) {
            return false;
        }
    }
    return trie_build(&r->v->normal, r->normal, r->normal_count, err) &&
           trie_build(&r->v->special, r->special, r->special_count, err);
}

bool vocabulary_read(vocabulary *v, vocabulary_form form, bool with_scores, const gguf *file, error *err) {
    reading r = {.v = v};
    v->form = form;
    for (size_t byte = 0; byte < 256; byte++) {
        v->letters[byte] = NO_TOKEN;
    }
    bool good = read_tokens(&r, file, err) && (!with_scores || read_scores(v, file, err));
    memory_free(r.normal);
    memory_free(r.special);
    for (unsigned byte = 0; good && form == VOCABULARY_BYTES && byte < 256; byte++) {
        uint8_t content = (uint8_t)byte;
        v->letters[byte] = trie_find(&v->normal, slice_of(&content, 1));
    }
    return good;
}

void vocabulary_free(vocabulary *v) {
    memory_free(v->bytes);
    memory_free(v->tokens);
    memory_free(v->kinds);
    memory_free(v->scores);
    trie_free(&v->normal);
    trie_free(&v->special);
}
