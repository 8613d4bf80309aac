#include "tokenizer.h"

#include "base/memory.h"
#include "method.h"
#include "special.h"

typedef enum tokenizer_kind { KIND_BYTE_BPE, KIND_PIECE_BPE, KIND_UNIGRAM, KIND_WORD_PIECE } tokenizer_kind;

static const struct {
    const char *name;
    vocabulary_form form;
    bool has_scores;
    bool wants_first;
    bool wants_end;
    bool adds_space;
} kinds[] = {
    [KIND_BYTE_BPE] = {"gpt2", VOCABULARY_BYTES, false, false, false, false},
    [KIND_PIECE_BPE] = {"llama", VOCABULARY_PIECES, true, true, false, true},
    [KIND_UNIGRAM] = {"t5", VOCABULARY_PIECES, true, false, true, false},
    [KIND_WORD_PIECE] = {"bert", VOCABULARY_WORDS, false, true, true, false},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct tokenizer {
    tokenizer_kind kind;
    vocabulary vocabulary;
    special special;
    byte_bpe byte_bpe;
    piece_bpe piece_bpe;
    unigram unigram;
    word_piece word_piece;
    bool wants_first;
    bool wants_end;
    bool adds_space;
};

static void wipe_and_free(uint32_t *ids, size_t count) {
    if (ids != NULL) {
        explicit_bzero(ids, count * sizeof *ids);
    }
    memory_free(ids);
}

/* By a copy rather than a resize, which would leave the old block as it was. */
bool token_list_append(token_list *list, uint32_t id, error *err) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        uint32_t *grown = memory_allocate(capacity * sizeof *grown);
        if (grown == NULL) {
            return error_memory(err);
        }
        if (list->count > 0) {
            memcpy(grown, list->ids, list->count * sizeof *grown);
        }
        wipe_and_free(list->ids, list->count);
        list->ids = grown;
        list->capacity = capacity;
    }
    list->ids[list->count++] = id;
    return true;
}

void token_list_free(token_list *list) {
    wipe_and_free(list->ids, list->count);
    *list = (token_list){0};
}

bool tokenizer_read_flag(const gguf *file, const char *key, bool *value, error *err) {
    return !gguf_has(file, key) || gguf_bool(file, key, value, err);
}

static bool read_kind(tokenizer *t, const gguf *file, error *err) {
    slice model;
    if (!gguf_text(file, "tokenizer.ggml.model", &model, err)) {
        return false;
    }
    size_t kind = 0;
    while (kind < KINDS && !slice_equal_text(model, kinds[kind].name)) {
        kind++;
    }
    t->kind = (tokenizer_kind)kind;
    return kind < KINDS ||
           error_set(err, ERROR_UNSUPPORTED, "the tokenizer '%.*s' is none of gpt2, llama, t5 and bert",
                     SLICE_FORMAT(slice_part(model, 0, 64)));
}

static bool read_method(tokenizer *t, const gguf *file, error *err) {
    const vocabulary *v = &t->vocabulary;
    switch (t->kind) {
    case KIND_BYTE_BPE:
        return byte_bpe_read(&t->byte_bpe, v, file, err);
    case KIND_PIECE_BPE:
        return piece_bpe_read(&t->piece_bpe, v, err);
    case KIND_UNIGRAM:
        return unigram_read(&t->unigram, v, file, err);
    case KIND_WORD_PIECE:
        return word_piece_read(&t->word_piece, v, file, err);
    }
    return error_set(err, ERROR_INTERNAL, "a tokenizer of no kind");
}

static uint32_t end_token(const tokenizer *t) {
    return t->vocabulary.roles[t->kind == KIND_WORD_PIECE ? TOKEN_SEPARATOR : TOKEN_END];
}

/* A wish that the file states needs its token; one that comes with the kind only counts if there is one. */
static bool read_wish(const gguf *file, const char *key, uint32_t token, bool *wanted, error *err) {
    if (!gguf_has(file, key)) {
        *wanted = *wanted && token != NO_TOKEN;
        return true;
    }
    return gguf_bool(file, key, wanted, err) &&
           (!*wanted || token != NO_TOKEN ||
            error_set(err, ERROR_CORRUPT, "key '%s' wants a token that no key names", key));
}

static bool read_wishes(tokenizer *t, const gguf *file, error *err) {
    t->wants_first = kinds[t->kind].wants_first ||
                     (t->kind == KIND_BYTE_BPE && pretokenizer_wants_first(t->byte_bpe.pieces));
    t->wants_end = kinds[t->kind].wants_end;
    t->adds_space = kinds[t->kind].adds_space;
    if (t->kind == KIND_WORD_PIECE) { /* always both */
        return (t->vocabulary.roles[TOKEN_FIRST] != NO_TOKEN && end_token(t) != NO_TOKEN) ||
               error_set(err, ERROR_CORRUPT,
                         "the vocabulary lacks the tokens around a text, [CLS] and [SEP]");
    }
    return read_wish(file, "tokenizer.ggml.add_bos_token", t->vocabulary.roles[TOKEN_FIRST], &t->wants_first,
                     err) &&
           read_wish(file, "tokenizer.ggml.add_eos_token", end_token(t), &t->wants_end, err) &&
           (t->kind != KIND_PIECE_BPE ||
            tokenizer_read_flag(file, "tokenizer.ggml.add_space_prefix", &t->adds_space, err));
}

static bool read_all(tokenizer *t, const gguf *file, error *err) {
    if (!read_kind(t, file, err) ||
        !vocabulary_read(&t->vocabulary, kinds[t->kind].form, kinds[t->kind].has_scores, file, err) ||
        !vocabulary_read_roles(&t->vocabulary, kinds[t->kind].name, file, err)) {
        return false;
    }
    special_read(&t->special, &t->vocabulary, file);
    return read_method(t, file, err) && read_wishes(t, file, err);
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
        byte_bpe_free(&t->byte_bpe);
        piece_bpe_free(&t->piece_bpe);
        unigram_free(&t->unigram);
        vocabulary_free(&t->vocabulary);
        memory_free(t);
    }
}

uint32_t tokenizer_count(const tokenizer *t) {
    return t->vocabulary.count;
}

slice tokenizer_bytes(const tokenizer *t, uint32_t id) {
    if (id >= t->vocabulary.count) {
        return (slice){NULL, 0};
    }
    token_kind kind = (token_kind)t->vocabulary.kinds[id];
    bool silent = kind == KIND_CONTROL || kind == KIND_UNKNOWN || kind == KIND_UNUSED;
    return silent ? (slice){NULL, 0} : vocabulary_text(&t->vocabulary, id);
}

slice tokenizer_spelling(const tokenizer *t, uint32_t id) {
    return id < t->vocabulary.count ? vocabulary_text(&t->vocabulary, id) : (slice){NULL, 0};
}

bool tokenizer_find_control(const tokenizer *t, const char *text, uint32_t *id) {
    const vocabulary *v = &t->vocabulary;
    *id = trie_find(&v->special, slice_of_text(text));
    return *id != NO_TOKEN && (v->kinds[*id] == KIND_CONTROL || v->kinds[*id] == KIND_MARKER);
}

bool tokenizer_find_role(const tokenizer *t, tokenizer_role role, uint32_t *id) {
    *id = t->vocabulary.roles[role];
    return *id != NO_TOKEN;
}

bool tokenizer_is_end(const tokenizer *t, uint32_t id) {
    for (size_t i = 0; i < t->vocabulary.end_count; i++) {
        if (t->vocabulary.ends[i] == id) {
            return true;
        }
    }
    return false;
}

bool tokenizer_wants_bos(const tokenizer *t) {
    return t->wants_first;
}

bool tokenizer_wants_eos(const tokenizer *t) {
    return t->wants_end;
}

bool tokenizer_adds_space(const tokenizer *t) {
    return t->adds_space;
}

typedef struct encoding {
    const tokenizer *t;
    token_list *list;
    bool after_special; /* or at the beginning */
} encoding;

static bool encode_part(void *context, slice text, uint32_t token, error *err) {
    encoding *e = context;
    const tokenizer *t = e->t;
    bool at_start = e->after_special;
    e->after_special = text.length == 0;
    if (text.length == 0) {
        return token_list_append(e->list, token, err);
    }
    switch (t->kind) {
    case KIND_BYTE_BPE:
        return byte_bpe_encode(&t->byte_bpe, text, e->list, err);
    case KIND_PIECE_BPE:
        return piece_bpe_encode(&t->piece_bpe, text, t->adds_space && at_start, e->list, err);
    case KIND_UNIGRAM:
        return unigram_encode(&t->unigram, text, e->list, err);
    case KIND_WORD_PIECE:
        return word_piece_encode(&t->word_piece, text, e->list, err);
    }
    return error_set(err, ERROR_INTERNAL, "a tokenizer of no kind");
}

/* The spans as one text; `*range_count` of `ranges` (room for one a span) are filled. */
static bool join(const token_span *spans, size_t count, buffer *text, special_range *ranges,
                 size_t *range_count) {
    *range_count = 0;
    for (size_t i = 0; i < count; i++) {
        size_t start = buffer_length(text);
        size_t end = start + spans[i].text.length;
        if (!buffer_append(text, spans[i].text)) {
            return false;
        }
        if (!spans[i].trusted || start == end) {
            continue;
        }
        if (*range_count > 0 && ranges[*range_count - 1].end == start) {
            ranges[*range_count - 1].end = end;
        } else {
            ranges[(*range_count)++] = (special_range){start, end};
        }
    }
    return true;
}

static bool encode_joined(const tokenizer *t, const token_span *spans, size_t count, token_list *list,
                          error *err) {
    encoding e = {t, list, true};
    size_t range_count = 0;
    if (count == 1) { /* no copy */
        special_range all = {0, spans[0].text.length};
        range_count = spans[0].trusted && all.end > 0;
        return special_split(&t->special, spans[0].text, &all, range_count, encode_part, &e, err);
    }
    buffer text = buffer_make(TOKENIZER_INPUT_MAX);
    special_range *ranges = memory_allocate_zeroed(count, sizeof *ranges);
    bool good = (ranges != NULL && join(spans, count, &text, ranges, &range_count)) || error_memory(err);
    good = good && special_split(&t->special, buffer_slice(&text), ranges, range_count, encode_part, &e, err);
    memory_free(ranges);
    buffer_wipe(&text);
    return good;
}

bool tokenizer_encode_spans(const tokenizer *t, const token_span *spans, size_t count, bool whole,
                            token_list *list, error *err) {
    size_t total = 0;
    for (size_t i = 0; i < count && total <= TOKENIZER_INPUT_MAX; i++) {
        total += spans[i].text.length > TOKENIZER_INPUT_MAX ? TOKENIZER_INPUT_MAX + 1 : spans[i].text.length;
    }
    if (total > TOKENIZER_INPUT_MAX) {
        return error_set(err, ERROR_LIMIT, "the text is longer than %d bytes: shorten it",
                         TOKENIZER_INPUT_MAX);
    }
    size_t start = list->count;
    uint32_t first = t->vocabulary.roles[TOKEN_FIRST];
    if (whole && t->wants_first && !token_list_append(list, first, err)) {
        return false;
    }
    size_t body = list->count;
    if (count > 0 && !encode_joined(t, spans, count, list, err)) {
        return false;
    }
    if (body > start && list->count > body && list->ids[body] == first) { /* the text has it already */
        memmove(&list->ids[body - 1], &list->ids[body], (list->count - body) * sizeof *list->ids);
        list->count--;
    }
    return !whole || !t->wants_end || token_list_append(list, end_token(t), err);
}

bool tokenizer_encode(const tokenizer *t, slice text, token_list *list, error *err) {
    token_span span = {text, false};
    return tokenizer_encode_spans(t, &span, 1, false, list, err);
}
