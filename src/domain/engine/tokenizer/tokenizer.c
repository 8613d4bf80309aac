#include "tokenizer.h"

#include "base/memory.h"
#include "bpe.h"
#include "pretokenizer.h"
#include "utf8.h"

#include <stdlib.h>

enum { VOCABULARY_MAX = 1 << 20, NO_TOKEN = UINT32_MAX, LETTERS = 512 };

/* Kinds of tokens in `tokenizer.ggml.token_type`. */
enum { KIND_NORMAL = 1, KIND_UNKNOWN = 2, KIND_CONTROL = 3, KIND_USER_DEFINED = 4, KIND_UNUSED = 5 };

typedef struct span {
    const uint8_t *data;
    uint32_t length;
    uint32_t id;
} span;

struct tokenizer {
    pretokenizer *pieces;
    uint32_t count;
    uint8_t *bytes; /* of all tokens, in one block */
    size_t bytes_used;
    span *tokens;   /* by id */
    uint8_t *kinds; /* by id */
    span *sorted;   /* normal ones by content, then id */
    size_t sorted_count;
    bpe_merge *merges;
    size_t merge_count;
    uint32_t letters[256]; /* the token of each single byte, or NO_TOKEN */
};

bool token_list_append(token_list *list, uint32_t id, error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        uint32_t *grown = memory_resize(list->ids, capacity * sizeof *grown);
        if (grown == NULL) {
            return error_memory(err);
        }
        list->ids = grown;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return true;
}

void token_list_free(token_list *list) {
    memory_free(list->ids);
    *list = (token_list){0};
}

/* GPT-2 writes each byte as a printable character: these 188 as themselves, the others as U+0100 onwards. */
static bool is_printed_as_itself(unsigned byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

static void fill_letters(int16_t byte_of[LETTERS]) {
    for (size_t i = 0; i < LETTERS; i++) {
        byte_of[i] = -1;
    }
    size_t next = 256;
    for (unsigned byte = 0; byte < 256; byte++) {
        byte_of[is_printed_as_itself(byte) ? byte : next++] = (int16_t)byte;
    }
}

/* Writes the bytes that the letters of `text` stand for; false for a letter that stands for none. */
static bool write_bytes(const int16_t byte_of[LETTERS], slice text, uint8_t *out, size_t *length) {
    *length = 0;
    while (text.length > 0) {
        size_t step = 0;
        uint32_t character = 0;
        if (utf8_next(text, &step, &character) != UTF8_WHOLE || character >= LETTERS ||
            byte_of[character] < 0) {
            return false;
        }
        out[(*length)++] = (uint8_t)byte_of[character];
        text = slice_after(text, step);
    }
    return true;
}

static int compare_content(const span *a, slice content) {
    size_t shared = a->length < content.length ? a->length : content.length;
    int order = shared == 0 ? 0 : memcmp(a->data, content.data, shared);
    return order != 0 ? order : a->length == content.length ? 0 : a->length < content.length ? -1 : 1;
}

static int compare_spans(const void *a, const void *b) {
    const span *first = a;
    const span *second = b;
    int order = compare_content(first, slice_of(second->data, second->length));
    return order != 0 ? order : first->id < second->id ? -1 : first->id > second->id;
}

static uint32_t find_content(const tokenizer *t, slice content) {
    size_t low = 0;
    size_t high = t->sorted_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_content(&t->sorted[middle], content) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < t->sorted_count && compare_content(&t->sorted[low], content) == 0;
    return found ? t->sorted[low].id : NO_TOKEN;
}

static bool read_token(tokenizer *t, const int16_t byte_of[LETTERS], uint32_t id, int32_t kind, slice text,
                       error *err) {
    span *token = &t->tokens[id];
    uint8_t *place = t->bytes + t->bytes_used;
    size_t length = text.length;
    if (kind == KIND_NORMAL) {
        if (!write_bytes(byte_of, text, place, &length) || length == 0) {
            return error_set(err, ERROR_CORRUPT, "token %u is not made of byte letters", id);
        }
    } else if (kind == KIND_UNKNOWN || kind == KIND_CONTROL || kind == KIND_USER_DEFINED ||
               kind == KIND_UNUSED) {
        if (length > 0) {
            memcpy(place, text.data, length);
        }
    } else {
        return error_set(err, ERROR_UNSUPPORTED, "token %u has the kind %d", id, kind);
    }
    *token = (span){place, (uint32_t)length, id};
    t->bytes_used += length;
    t->kinds[id] = (uint8_t)kind;
    if (kind == KIND_NORMAL) {
        t->sorted[t->sorted_count++] = *token;
    }
    return true;
}

static bool allocate_tokens(tokenizer *t, gguf_array texts, error *err) {
    size_t total = 0;
    slice text;
    t->count = (uint32_t)texts.count;
    for (uint32_t id = 0; gguf_next_text(&texts, &text); id++) {
        if (text.length > TOKEN_LENGTH_MAX) {
            return error_set(err, ERROR_UNSUPPORTED, "token %u has more than %d bytes", id, TOKEN_LENGTH_MAX);
        }
        total += text.length;
    }
    t->bytes = memory_allocate(total);
    t->tokens = memory_allocate_zeroed(t->count, sizeof *t->tokens);
    t->kinds = memory_allocate_zeroed(t->count, 1);
    t->sorted = memory_allocate_zeroed(t->count, sizeof *t->sorted);
    return (t->bytes != NULL && t->tokens != NULL && t->kinds != NULL && t->sorted != NULL) ||
           error_memory(err);
}

static bool read_vocabulary(tokenizer *t, const gguf *file, const int16_t byte_of[LETTERS], error *err) {
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
    if (!allocate_tokens(t, texts, err)) {
        return false;
    }
    slice text;
    for (uint32_t id = 0; gguf_next_text(&texts, &text); id++) {
        if (!read_token(t, byte_of, id, gguf_array_i32(kinds, id), text, err)) {
            return false;
        }
    }
    if (t->sorted_count > 0) {
        qsort(t->sorted, t->sorted_count, sizeof *t->sorted, compare_spans);
    }
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t content = (uint8_t)byte;
        t->letters[byte] = find_content(t, slice_of(&content, 1));
    }
    return true;
}

static bool read_merge(tokenizer *t, const int16_t byte_of[LETTERS], uint32_t rank, slice text, error *err) {
    uint8_t joined[TOKEN_LENGTH_MAX];
    size_t left = 0;
    size_t right = 0;
    size_t space = slice_find(text, ' ');
    if (space == SIZE_MAX || text.length > TOKEN_LENGTH_MAX ||
        !write_bytes(byte_of, slice_part(text, 0, space), joined, &left) ||
        !write_bytes(byte_of, slice_after(text, space + 1), joined + left, &right)) {
        return error_set(err, ERROR_CORRUPT, "merge %u is not two tokens with a space between them", rank);
    }
    bpe_merge merge = {find_content(t, slice_of(joined, left)),
                       find_content(t, slice_of(joined + left, right)), rank,
                       find_content(t, slice_of(joined, left + right))};
    if (merge.left == NO_TOKEN || merge.right == NO_TOKEN || merge.merged == NO_TOKEN) {
        return error_set(err, ERROR_CORRUPT, "merge %u names a token that the vocabulary lacks", rank);
    }
    t->merges[t->merge_count++] = merge;
    return true;
}

static bool read_merges(tokenizer *t, const gguf *file, const int16_t byte_of[LETTERS], error *err) {
    gguf_array texts;
    if (!gguf_text_array(file, "tokenizer.ggml.merges", &texts, err)) {
        return false;
    }
    t->merges = memory_allocate_zeroed((size_t)texts.count, sizeof *t->merges);
    if (t->merges == NULL) {
        return error_memory(err);
    }
    slice text;
    for (uint32_t rank = 0; gguf_next_text(&texts, &text); rank++) {
        if (!read_merge(t, byte_of, rank, text, err)) {
            return false;
        }
    }
    if (t->merge_count > 0) {
        bpe_sort(t->merges, t->merge_count);
    }
    return true;
}

static bool read_all(tokenizer *t, const gguf *file, error *err) {
    slice model;
    slice pre;
    int16_t byte_of[LETTERS];
    fill_letters(byte_of);
    if (!gguf_text(file, "tokenizer.ggml.model", &model, err)) {
        return false;
    }
    if (!slice_equal_text(model, "gpt2")) {
        return error_set(err, ERROR_UNSUPPORTED, "the tokenizer '%.*s' is not byte-level BPE ('gpt2')",
                         SLICE_FORMAT(slice_part(model, 0, 64)));
    }
    if (!gguf_text(file, "tokenizer.ggml.pre", &pre, err)) {
        return false;
    }
    t->pieces = pretokenizer_new(pre, err);
    return t->pieces != NULL && read_vocabulary(t, file, byte_of, err) && read_merges(t, file, byte_of, err);
}

tokenizer *tokenizer_new(const gguf *file, error *err) {
    tokenizer *t = memory_allocate_zeroed(1, sizeof *t);
    if (t == NULL) {
        error_memory(err);
        return NULL;
    }
    if (!read_all(t, file, err)) {
        error_context(err, "the model's tokenizer");
        tokenizer_free(t);
        return NULL;
    }
    return t;
}

void tokenizer_free(tokenizer *t) {
    if (t != NULL) {
        pretokenizer_free(t->pieces);
        memory_free(t->bytes);
        memory_free(t->tokens);
        memory_free(t->kinds);
        memory_free(t->sorted);
        memory_free(t->merges);
        memory_free(t);
    }
}

uint32_t tokenizer_count(const tokenizer *t) {
    return t->count;
}

slice tokenizer_bytes(const tokenizer *t, uint32_t id) {
    bool text = t->kinds[id] == KIND_NORMAL || t->kinds[id] == KIND_USER_DEFINED;
    return text ? slice_of(t->tokens[id].data, t->tokens[id].length) : (slice){NULL, 0};
}

bool tokenizer_find_control(const tokenizer *t, const char *text, uint32_t *id) {
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->kinds[i] == KIND_CONTROL &&
            slice_equal_text(slice_of(t->tokens[i].data, t->tokens[i].length), text)) {
            *id = i;
            return true;
        }
    }
    return false;
}

typedef struct encoding {
    const tokenizer *tokens;
    token_list *list;
    uint32_t *symbols; /* room for the whole text */
} encoding;

static bool encode_piece(void *context, slice piece, error *err) {
    encoding *e = context;
    for (size_t i = 0; i < piece.length; i++) {
        e->symbols[i] = e->tokens->letters[piece.data[i]];
        if (e->symbols[i] == NO_TOKEN) {
            return error_set(err, ERROR_UNSUPPORTED,
                             "the model's vocabulary has no token for the byte 0x%02x", piece.data[i]);
        }
    }
    return bpe_encode(e->tokens->merges, e->tokens->merge_count, e->symbols, piece.length, e->list, err);
}

bool tokenizer_encode(const tokenizer *t, slice text, token_list *list, error *err) {
    if (text.length > TOKENIZER_INPUT_MAX) {
        return error_set(err, ERROR_LIMIT, "the text is longer than %d bytes: shorten it",
                         TOKENIZER_INPUT_MAX);
    }
    encoding e = {t, list, memory_allocate_zeroed(text.length, sizeof *e.symbols)};
    if (e.symbols == NULL) {
        return error_memory(err);
    }
    bool good = pretokenizer_split(t->pieces, text, encode_piece, &e, err);
    memory_free(e.symbols);
    return good;
}
