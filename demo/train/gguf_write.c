#include "gguf.h"

#include "base/buffer.h"
#include "quantise.h"

#include <errno.h>
#include <stdio.h>

enum { FILE_SIZE_MAX = 256 * 1024 * 1024 };

static const char chat_template[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

uint32_t gguf_byte_character(uint8_t byte) {
    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173)) {
        return byte;
    }
    /* The bytes that aren't themselves: 0..32, 127..160, 173. */
    uint32_t place = byte <= 32 ? byte : byte <= 160 ? (uint32_t)byte - 127 + 33 : 67;
    return 256 + place;
}

static void put_u32(buffer *b, uint32_t value) {
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16),
                        (uint8_t)(value >> 24)};
    (void)buffer_append(b, slice_of(bytes, sizeof bytes));
}

static void put_u64(buffer *b, uint64_t value) {
    put_u32(b, (uint32_t)value);
    put_u32(b, (uint32_t)(value >> 32));
}

static void put_f32(buffer *b, float value) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    put_u32(b, bits);
}

static void put_text(buffer *b, slice text) {
    put_u64(b, text.length);
    (void)buffer_append(b, text);
}

static void put_key(buffer *b, const char *key, uint32_t type, uint64_t *keys) {
    put_text(b, slice_of_text(key));
    put_u32(b, type);
    (*keys)++;
}

static void put_text_key(buffer *b, const char *key, const char *value, uint64_t *keys) {
    put_key(b, key, GGUF_STRING, keys);
    put_text(b, slice_of_text(value));
}

static void put_u32_key(buffer *b, const char *key, uint32_t value, uint64_t *keys) {
    put_key(b, key, GGUF_U32, keys);
    put_u32(b, value);
}

static void put_f32_key(buffer *b, const char *key, float value, uint64_t *keys) {
    put_key(b, key, GGUF_F32, keys);
    put_f32(b, value);
}

static void put_bool_key(buffer *b, const char *key, bool value, uint64_t *keys) {
    put_key(b, key, GGUF_BOOL, keys);
    (void)buffer_append_byte(b, value ? 1 : 0);
}

static void put_array_key(buffer *b, const char *key, uint32_t type, uint64_t count, uint64_t *keys) {
    put_key(b, key, GGUF_ARRAY, keys);
    put_u32(b, type);
    put_u64(b, count);
}

/* The token's bytes as GPT-2's characters, in UTF-8. */
static size_t spell(slice piece, uint8_t *text) {
    size_t length = 0;
    for (size_t i = 0; i < piece.length; i++) {
        uint32_t c = gguf_byte_character(piece.data[i]);
        if (c < 0x80) {
            text[length++] = (uint8_t)c;
        } else {
            text[length++] = (uint8_t)(0xc0 | c >> 6);
            text[length++] = (uint8_t)(0x80 | (c & 0x3f));
        }
    }
    return length;
}

enum { PIECE_MAX = 1024 };

static void put_tokens(buffer *b, const tokenizer *t, uint64_t *keys) {
    uint8_t text[2 * PIECE_MAX * 2 + 1];
    put_array_key(b, "tokenizer.ggml.tokens", GGUF_STRING, t->vocabulary, keys);
    for (uint32_t i = 0; i < t->vocabulary; i++) {
        bool control = i >= t->end_of_text;
        put_text(b, control ? t->pieces[i]
                            : slice_of(text, spell(slice_part(t->pieces[i], 0, PIECE_MAX), text)));
    }
    put_array_key(b, "tokenizer.ggml.token_type", GGUF_I32, t->vocabulary, keys);
    for (uint32_t i = 0; i < t->vocabulary; i++) {
        put_u32(b, i >= t->end_of_text ? GGUF_TOKEN_CONTROL : GGUF_TOKEN_NORMAL);
    }
    put_array_key(b, "tokenizer.ggml.merges", GGUF_STRING, t->merges, keys);
    for (uint32_t i = 0; i < t->merges; i++) {
        size_t length = spell(slice_part(t->pieces[t->pairs[i][0]], 0, PIECE_MAX), text);
        text[length++] = ' ';
        length += spell(slice_part(t->pieces[t->pairs[i][1]], 0, PIECE_MAX), text + length);
        put_text(b, slice_of(text, length));
    }
}

static uint64_t put_metadata(buffer *b, const model *m, const tokenizer *t) {
    const model_shape *s = &m->shape;
    uint64_t keys = 0;
    put_text_key(b, "general.architecture", "llama", &keys);
    put_text_key(b, "general.name", "cellule-demo", &keys);
    put_text_key(b, "general.license", "apache-2.0", &keys);
    put_u32_key(b, "general.alignment", GGUF_ALIGNMENT, &keys);
    put_u32_key(b, "general.file_type", GGUF_FILE_Q8_0, &keys);
    put_u32_key(b, "general.quantization_version", 2, &keys);
    put_u32_key(b, "llama.vocab_size", s->vocabulary, &keys);
    put_u32_key(b, "llama.context_length", s->context, &keys);
    put_u32_key(b, "llama.embedding_length", s->width, &keys);
    put_u32_key(b, "llama.block_count", s->layers, &keys);
    put_u32_key(b, "llama.feed_forward_length", s->feed_forward, &keys);
    put_u32_key(b, "llama.attention.head_count", s->heads, &keys);
    put_u32_key(b, "llama.attention.head_count_kv", s->key_heads, &keys);
    put_f32_key(b, "llama.attention.layer_norm_rms_epsilon", s->epsilon, &keys);
    put_u32_key(b, "llama.rope.dimension_count", model_head_width(s), &keys);
    put_f32_key(b, "llama.rope.freq_base", s->rope_base, &keys);
    put_text_key(b, "tokenizer.ggml.model", "gpt2", &keys);
    put_text_key(b, "tokenizer.ggml.pre", "gpt-2", &keys);
    put_tokens(b, t, &keys);
    put_u32_key(b, "tokenizer.ggml.bos_token_id", t->end_of_text, &keys);
    put_u32_key(b, "tokenizer.ggml.eos_token_id", t->turn_end, &keys);
    put_bool_key(b, "tokenizer.ggml.add_bos_token", false, &keys);
    put_text_key(b, "tokenizer.chat_template", chat_template, &keys);
    return keys;
}

static size_t tensor_size(const model_tensor *tensor) {
    size_t count = (size_t)tensor->rows * tensor->columns;
    return model_tensor_is_norm(tensor) ? count * sizeof(float)
                                        : count / QUANTISE_BLOCK * QUANTISE_BLOCK_SIZE;
}

static size_t aligned(size_t size) {
    return (size + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT * GGUF_ALIGNMENT;
}

static void put_padding(buffer *b) {
    while (!buffer_failed(b) && buffer_length(b) % GGUF_ALIGNMENT != 0) {
        (void)buffer_append_byte(b, 0);
    }
}

static void put_tensor_table(buffer *b, const model *m) {
    size_t offset = 0;
    for (size_t i = 0; i < m->tensor_count; i++) {
        const model_tensor *tensor = &m->tensors[i];
        bool norm = model_tensor_is_norm(tensor);
        put_text(b, slice_of_text(tensor->name));
        put_u32(b, norm ? 1 : 2);
        put_u64(b, tensor->columns);
        if (!norm) {
            put_u64(b, tensor->rows);
        }
        put_u32(b, norm ? GGUF_TENSOR_F32 : GGUF_TENSOR_Q8_0);
        put_u64(b, offset);
        offset += aligned(tensor_size(tensor));
    }
}

static void put_tensor(buffer *b, const model *m, const model_tensor *tensor) {
    const float *values = m->parameters + tensor->offset;
    size_t size = tensor_size(tensor);
    if (model_tensor_is_norm(tensor)) {
        for (size_t i = 0; i < tensor->columns; i++) {
            put_f32(b, values[i]);
        }
    } else {
        uint8_t *blocks = buffer_reserve(b, size);
        if (blocks != NULL) {
            quantise_q8(blocks, values, (size_t)tensor->rows * tensor->columns);
            buffer_commit(b, size);
        }
    }
    put_padding(b);
}

static bool save(const char *path, const buffer *b, error *err) {
    char beside[4096];
    int length = snprintf(beside, sizeof beside, "%s.part", path);
    if (length < 0 || (size_t)length >= sizeof beside) {
        return error_set(err, ERROR_INVALID, "the file name is too long");
    }
    FILE *file = fopen(beside, "wb");
    if (file == NULL) {
        return error_set_errno(err, ERROR_IO, errno, "cannot write %s", beside);
    }
    slice bytes = buffer_slice(b);
    bool written = fwrite(bytes.data, 1, bytes.length, file) == bytes.length;
    written = fclose(file) == 0 && written;
    if (!written || rename(beside, path) != 0) {
        error_set_errno(err, ERROR_IO, errno, "cannot write %s", path);
        (void)remove(beside);
        return false;
    }
    return true;
}

bool gguf_write(const char *path, const model *m, const tokenizer *t, error *err) {
    if (m->shape.width % QUANTISE_BLOCK != 0 || m->shape.feed_forward % QUANTISE_BLOCK != 0) {
        return error_set(err, ERROR_INVALID, "rows of a Q8_0 tensor are a multiple of %d long",
                         QUANTISE_BLOCK);
    }
    buffer metadata = buffer_make(FILE_SIZE_MAX);
    buffer file = buffer_make(FILE_SIZE_MAX);
    uint64_t keys = put_metadata(&metadata, m, t);
    put_u32(&file, GGUF_MAGIC);
    put_u32(&file, GGUF_VERSION);
    put_u64(&file, m->tensor_count);
    put_u64(&file, keys);
    (void)buffer_append(&file, buffer_slice(&metadata));
    put_tensor_table(&file, m);
    put_padding(&file);
    for (size_t i = 0; i < m->tensor_count; i++) {
        put_tensor(&file, m, &m->tensors[i]);
    }
    bool good = buffer_failed(&metadata) || buffer_failed(&file) ? error_memory(err) : save(path, &file, err);
    buffer_free(&metadata);
    buffer_free(&file);
    return good;
}
