#include "gguf.h"

#include "quantise.h"

#include <errno.h>
#include <stdio.h>

enum { FILE_SIZE_MAX = 64 * 1024 * 1024 };

/* Reading position; past the end everything is 0 and `good` is false. */
typedef struct cursor {
    slice bytes;
    size_t at;
    bool good;
} cursor;

static slice take(cursor *c, uint64_t length) {
    if (!c->good || length > c->bytes.length - c->at) {
        c->good = false;
        return slice_of(NULL, 0);
    }
    slice part = slice_part(c->bytes, c->at, (size_t)length);
    c->at += (size_t)length;
    return part;
}

static uint32_t take_u32(cursor *c) {
    slice s = take(c, 4);
    return s.length < 4 ? 0
                        : (uint32_t)s.data[0] | (uint32_t)s.data[1] << 8 | (uint32_t)s.data[2] << 16 |
                              (uint32_t)s.data[3] << 24;
}

static uint64_t take_u64(cursor *c) {
    uint64_t low = take_u32(c);
    return low | (uint64_t)take_u32(c) << 32;
}

static slice take_text(cursor *c) {
    return take(c, take_u64(c));
}

static float take_f32(cursor *c) {
    uint32_t bits = take_u32(c);
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The places in the file of what has to be read in order. */
typedef struct contents {
    model_shape shape;
    cursor tokens;
    cursor merges;
    uint64_t token_count;
    uint64_t merge_count;
} contents;

static void read_number(contents *f, slice key, uint32_t value) {
    const struct {
        const char *key;
        uint32_t *value;
    } known[] = {
        {"llama.vocab_size", &f->shape.vocabulary},
        {"llama.context_length", &f->shape.context},
        {"llama.embedding_length", &f->shape.width},
        {"llama.block_count", &f->shape.layers},
        {"llama.feed_forward_length", &f->shape.feed_forward},
        {"llama.attention.head_count", &f->shape.heads},
        {"llama.attention.head_count_kv", &f->shape.key_heads},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (slice_equal_text(key, known[i].key)) {
            *known[i].value = value;
        }
    }
}

static void read_array(cursor *c, contents *f, slice key) {
    uint32_t type = take_u32(c);
    uint64_t count = take_u64(c);
    if (slice_equal_text(key, "tokenizer.ggml.tokens")) {
        f->tokens = *c;
        f->token_count = count;
    } else if (slice_equal_text(key, "tokenizer.ggml.merges")) {
        f->merges = *c;
        f->merge_count = count;
    }
    if (type == GGUF_I32) {
        (void)take(c, count > SIZE_MAX / 4 ? SIZE_MAX : count * 4);
    } else if (type == GGUF_STRING) {
        for (uint64_t i = 0; c->good && i < count; i++) {
            (void)take_text(c);
        }
    } else {
        c->good = false;
    }
}

static void read_key(cursor *c, contents *f) {
    slice key = take_text(c);
    switch (take_u32(c)) {
    case GGUF_U32:
        read_number(f, key, take_u32(c));
        break;
    case GGUF_F32: {
        float value = take_f32(c);
        if (slice_equal_text(key, "llama.rope.freq_base")) {
            f->shape.rope_base = value;
        } else if (slice_equal_text(key, "llama.attention.layer_norm_rms_epsilon")) {
            f->shape.epsilon = value;
        }
        break;
    }
    case GGUF_BOOL:
        (void)take(c, 1);
        break;
    case GGUF_STRING:
        (void)take_text(c);
        break;
    case GGUF_ARRAY:
        read_array(c, f, key);
        break;
    default:
        c->good = false;
    }
}

/* The byte that a GPT-2 character stands for, or -1. */
static int character_byte(uint32_t character) {
    for (int byte = 0; byte < 256; byte++) {
        if (gguf_byte_character((uint8_t)byte) == character) {
            return byte;
        }
    }
    return -1;
}

/* The id of the token spelled `spelling`: the file's own spellings are compared. */
static bool find_token(const slice *spellings, size_t count, slice spelling, uint16_t *id) {
    for (size_t i = 0; i < count; i++) {
        if (slice_equal(spellings[i], spelling)) {
            *id = (uint16_t)i;
            return true;
        }
    }
    return false;
}

static bool bytes_come_first(const slice *spellings) {
    for (int i = 0; i < TOKENIZER_BYTES; i++) {
        slice s = spellings[i];
        uint32_t c = s.length == 1   ? s.data[0]
                     : s.length == 2 ? (uint32_t)(s.data[0] & 0x1f) << 6 | (s.data[1] & 0x3fU)
                                     : 0;
        if (character_byte(c) != i) {
            return false;
        }
    }
    return true;
}

static bool read_tokenizer(arena *a, contents *f, tokenizer *t, error *err) {
    if (f->token_count != TOKENIZER_BYTES + f->merge_count + TOKENIZER_CONTROLS ||
        f->token_count > TOKENIZER_VOCABULARY_MAX || f->token_count != f->shape.vocabulary) {
        return error_set(err, ERROR_UNSUPPORTED, "the tokens are not laid out as this trainer does");
    }
    slice *spellings = arena_allocate_array(a, (size_t)f->token_count, sizeof *spellings);
    uint16_t(*pairs)[2] = arena_allocate_array(a, (size_t)f->merge_count, sizeof *pairs);
    if (spellings == NULL || pairs == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < f->token_count; i++) {
        spellings[i] = take_text(&f->tokens);
    }
    bool good = bytes_come_first(spellings);
    for (size_t i = 0; good && i < f->merge_count; i++) {
        slice merge = take_text(&f->merges);
        size_t gap = slice_find(merge, ' ');
        good = gap != SIZE_MAX &&
               find_token(spellings, TOKENIZER_BYTES + i, slice_part(merge, 0, gap), &pairs[i][0]) &&
               find_token(spellings, TOKENIZER_BYTES + i, slice_after(merge, gap + 1), &pairs[i][1]);
    }
    if (!good) {
        return error_set(err, ERROR_UNSUPPORTED, "the merges are not laid out as this trainer does");
    }
    return tokenizer_make(a, (const uint16_t(*)[2])pairs, (uint32_t)f->merge_count, t, err);
}

/* The tensor table must be the one that the shape gives; `data` is left at the first tensor. */
static bool check_table(cursor *c, const model *m) {
    bool good = true;
    for (size_t i = 0; i < m->tensor_count; i++) {
        const model_tensor *tensor = &m->tensors[i];
        bool norm = model_tensor_is_norm(tensor);
        good = slice_equal_text(take_text(c), tensor->name) && good;
        good = take_u32(c) == (norm ? 1U : 2U) && good;
        good = take_u64(c) == tensor->columns && good;
        good = (norm || take_u64(c) == tensor->rows) && good;
        good = take_u32(c) == (norm ? GGUF_TENSOR_F32 : GGUF_TENSOR_Q8_0) && good;
        (void)take_u64(c);
    }
    return good && c->good;
}

static void skip_padding(cursor *c) {
    (void)take(c, (GGUF_ALIGNMENT - c->at % GGUF_ALIGNMENT) % GGUF_ALIGNMENT);
}

static void read_tensor(cursor *c, model *m, const model_tensor *tensor) {
    float *values = m->parameters + tensor->offset;
    skip_padding(c);
    if (model_tensor_is_norm(tensor)) {
        for (size_t i = 0; i < tensor->columns; i++) {
            values[i] = take_f32(c);
        }
        return;
    }
    size_t count = (size_t)tensor->rows * tensor->columns;
    slice blocks = take(c, count / QUANTISE_BLOCK * QUANTISE_BLOCK_SIZE);
    if (c->good) {
        quantise_from_q8(values, blocks.data, count);
    }
}

static bool read_contents(arena *a, slice bytes, model *m, tokenizer *t, error *err) {
    cursor c = {.bytes = bytes, .good = true};
    contents f = {0};
    bool known = take_u32(&c) == GGUF_MAGIC && take_u32(&c) == GGUF_VERSION;
    uint64_t tensors = take_u64(&c);
    uint64_t keys = take_u64(&c);
    for (uint64_t i = 0; c.good && i < keys; i++) {
        read_key(&c, &f);
    }
    if (!known || !c.good) {
        return error_set(err, ERROR_CORRUPT, "not a GGUF file of this trainer");
    }
    if (!read_tokenizer(a, &f, t, err) || !model_make(a, &f.shape, m, err)) {
        return false;
    }
    if (tensors != m->tensor_count || f.shape.width % QUANTISE_BLOCK != 0 ||
        f.shape.feed_forward % QUANTISE_BLOCK != 0 || !check_table(&c, m)) {
        return error_set(err, ERROR_UNSUPPORTED, "the tensors are not laid out as this trainer does");
    }
    for (size_t i = 0; i < m->tensor_count; i++) {
        read_tensor(&c, m, &m->tensors[i]);
    }
    return c.good || error_set(err, ERROR_CORRUPT, "the file is cut short");
}

bool gguf_read(arena *a, const char *path, model *m, tokenizer *t, error *err) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return error_set_errno(err, ERROR_IO, errno, "cannot open %s", path);
    }
    uint8_t *bytes = arena_allocate(a, FILE_SIZE_MAX);
    size_t length = bytes == NULL ? 0 : fread(bytes, 1, FILE_SIZE_MAX, file);
    fclose(file);
    if (bytes == NULL) {
        return error_memory(err);
    }
    return read_contents(a, slice_of(bytes, length), m, t, err) || error_context(err, "%s", path);
}
