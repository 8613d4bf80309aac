#include "base/buffer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Writes a model of the shape of Qwen2 0.5 B with random weights: bench_make_model q8_0|q4_0|q4_k|q4_k_m
 * FILE. Random bits go straight into the blocks, whose scales make each row times a unit-sized vector about
 * unit-sized; every matrix is of the one type, the embedding (which is the head too) among them. q4_k_m is
 * the mix of types that llama.cpp's quantiser gives this model under that name. */
enum {
    LAYERS = 24,
    HIDDEN = 4864,
    HEAD_SIZE = 64,
    KEY_HEADS = 2,
    VOCABULARY = 151936,
    CONTEXT = 32768,
    ALIGNMENT = 32,
    TENSORS_MAX = 512,
    METADATA_MAX = 64 * 1024 * 1024,
    PORTION = 1 << 20
};

/* Numbers of the GGUF specification. */
enum { VALUE_U32 = 4, VALUE_I32 = 5, VALUE_F32 = 6, VALUE_BOOL = 7, VALUE_TEXT = 8, VALUE_ARRAY = 9 };
enum {
    TYPE_F32 = 0,
    TYPE_Q4_0 = 2,
    TYPE_Q5_0 = 6,
    TYPE_Q8_0 = 8,
    TYPE_Q4_K = 12,
    TYPE_Q6_K = 14,
    TYPE_MIX = 255 /* q4_k_m: by the tensor's place */
};
enum { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3 };

typedef struct block {
    uint32_t type;
    uint32_t weights;
    uint32_t bytes;
    double spread;        /* standard deviation of a weight over the block's scale */
    uint32_t scales_from; /* where what isn't random stands */
    uint32_t scales_size;
} block;

/* Of a Q4_K block all eight scales are 33, of a Q6_K block all sixteen 8, so that the scale
 * above them is a normal half. */
static const block blocks[] = {{TYPE_Q8_0, 32, 34, 73.9, 0, 2},
                               {TYPE_Q4_0, 32, 18, 4.61, 0, 2},
                               {TYPE_Q5_0, 32, 22, 9.23, 0, 2},
                               {TYPE_Q4_K, 256, 144, 33 * 4.61, 0, 16},
                               {TYPE_Q6_K, 256, 210, 8 * 18.47, 192, 18}};

typedef struct format {
    const char *name;
    uint32_t type;
    uint32_t width;
} format;

/* 896 is no multiple of 256: the K type alone has a width of its own. */
static const format formats[] = {
    {"q8_0", TYPE_Q8_0, 896}, {"q4_0", TYPE_Q4_0, 896}, {"q4_k", TYPE_Q4_K, 1024}, {"q4_k_m", TYPE_MIX, 896}};

typedef struct tensor {
    uint64_t columns;
    uint64_t rows;
    uint32_t type;
    float start; /* of an F32 tensor: all its values */
    uint64_t size;
} tensor;

typedef struct model {
    const format *format;
    buffer keys;
    buffer infos;
    uint64_t key_count;
    tensor tensors[TENSORS_MAX];
    size_t tensor_count;
    uint64_t data_size;
    uint64_t random;
    FILE *out;
} model;

static const block *block_of(uint32_t type) {
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        if (blocks[i].type == type) {
            return &blocks[i];
        }
    }
    abort();
}

static void put(buffer *b, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        buffer_append_byte(b, (uint8_t)(value >> (8 * i)));
    }
}

static void put_text(buffer *b, const char *text) {
    put(b, strlen(text), 8);
    buffer_append_text(b, text);
}

static void put_key(model *m, const char *key, uint32_t type) {
    put_text(&m->keys, key);
    put(&m->keys, type, 4);
    m->key_count++;
}

static void put_key_text(model *m, const char *key, const char *value) {
    put_key(m, key, VALUE_TEXT);
    put_text(&m->keys, value);
}

static void put_key_u32(model *m, const char *key, uint32_t value) {
    put_key(m, key, VALUE_U32);
    put(&m->keys, value, 4);
}

static void put_key_f32(model *m, const char *key, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_key(m, key, VALUE_F32);
    put(&m->keys, bits, 4);
}

static void put_array(model *m, const char *key, uint32_t type, uint64_t count) {
    put_key(m, key, VALUE_ARRAY);
    put(&m->keys, type, 4);
    put(&m->keys, count, 8);
}

static void describe(model *m) {
    put_key_text(m, "general.architecture", "qwen2");
    put_key_text(m, "general.name", "random weights, Qwen2 0.5B shape");
    put_key_u32(m, "qwen2.context_length", CONTEXT);
    put_key_u32(m, "qwen2.embedding_length", m->format->width);
    put_key_u32(m, "qwen2.feed_forward_length", HIDDEN);
    put_key_u32(m, "qwen2.block_count", LAYERS);
    put_key_u32(m, "qwen2.attention.head_count", m->format->width / HEAD_SIZE);
    put_key_u32(m, "qwen2.attention.head_count_kv", KEY_HEADS);
    put_key_f32(m, "qwen2.attention.layer_norm_rms_epsilon", 1e-6f);
    put_key_f32(m, "qwen2.rope.freq_base", 1e6f);
}

/* A byte as the letter that byte-level BPE writes for it. */
static void put_letter(buffer *b, uint32_t byte, uint32_t *unprinted) {
    bool printed = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    uint32_t letter = printed ? byte : 256 + (*unprinted)++;
    put(b, letter < 0x80 ? 1 : 2, 8);
    if (letter < 0x80) {
        put(b, letter, 1);
    } else {
        put(b, 0xc0 | letter >> 6, 1);
        put(b, 0x80 | (letter & 0x3f), 1);
    }
}

/* The letters, one merged pair, names that no text gives, three markers. */
static void put_vocabulary(model *m) {
    static const char *const markers[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    enum { MARKERS = 3, FIRST_MARKER = VOCABULARY - MARKERS };
    uint32_t unprinted = 0;
    put_key_text(m, "tokenizer.ggml.model", "gpt2");
    put_key_text(m, "tokenizer.ggml.pre", "qwen2");
    put_array(m, "tokenizer.ggml.tokens", VALUE_TEXT, VOCABULARY);
    for (uint32_t id = 0; id < VOCABULARY; id++) {
        char name[16];
        snprintf(name, sizeof name, id == 256 ? "th" : "<%u>", id);
        if (id < 256) {
            put_letter(&m->keys, id, &unprinted);
        } else {
            put_text(&m->keys, id < FIRST_MARKER ? name : markers[id - FIRST_MARKER]);
        }
    }
    put_array(m, "tokenizer.ggml.token_type", VALUE_I32, VOCABULARY);
    for (uint32_t id = 0; id < VOCABULARY; id++) {
        put(&m->keys, id < FIRST_MARKER ? TOKEN_NORMAL : TOKEN_CONTROL, 4);
    }
    put_array(m, "tokenizer.ggml.merges", VALUE_TEXT, 1);
    put_text(&m->keys, "t h");
    put_key_u32(m, "tokenizer.ggml.eos_token_id", FIRST_MARKER + 2);
    put_key(m, "tokenizer.ggml.add_bos_token", VALUE_BOOL);
    put(&m->keys, 0, 1);
}

static uint64_t aligned(uint64_t size) {
    return (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void add(model *m, const char *name, uint32_t type, uint64_t columns, uint64_t rows, float start) {
    uint64_t size = columns * rows * 4;
    if (type != TYPE_F32) {
        const block *b = block_of(type);
        size = columns / b->weights * b->bytes * rows;
    }
    if (m->tensor_count == TENSORS_MAX) {
        abort();
    }
    m->tensors[m->tensor_count++] = (tensor){columns, rows, type, start, size};
    put_text(&m->infos, name);
    put(&m->infos, rows == 1 ? 1 : 2, 4);
    put(&m->infos, columns, 8);
    if (rows > 1) {
        put(&m->infos, rows, 8);
    }
    put(&m->infos, type, 4);
    put(&m->infos, m->data_size, 8);
    m->data_size += aligned(size);
}

/* What llama.cpp's Q4_K_M gives rows of 896 and of 4,864: where a K type doesn't fit it takes Q5_0 for Q4_K
 * and Q8_0 for Q6_K; half of the layers have values and the way down one step finer. */
static bool is_finer(uint32_t layer) {
    return layer < LAYERS / 8 || layer >= LAYERS - LAYERS / 8 || (layer - LAYERS / 8) % 3 == 2;
}

static void add_layer(model *m, uint32_t index) {
    bool mix = m->format->type == TYPE_MIX;
    uint32_t type = mix ? TYPE_Q5_0 : m->format->type;
    uint32_t values = !mix ? type : is_finer(index) ? TYPE_Q8_0 : TYPE_Q5_0;
    uint32_t down = !mix ? type : is_finer(index) ? TYPE_Q6_K : TYPE_Q4_K;
    uint64_t width = m->format->width;
    uint64_t keys = (uint64_t)KEY_HEADS * HEAD_SIZE;
    const struct {
        const char *name;
        uint32_t type;
        uint64_t columns;
        uint64_t rows;
        float start;
    } parts[] = {{"attn_norm.weight", TYPE_F32, width, 1, 1}, {"attn_q.weight", type, width, width, 0},
                 {"attn_q.bias", TYPE_F32, width, 1, 0},      {"attn_k.weight", type, width, keys, 0},
                 {"attn_k.bias", TYPE_F32, keys, 1, 0},       {"attn_v.weight", values, width, keys, 0},
                 {"attn_v.bias", TYPE_F32, keys, 1, 0},       {"attn_output.weight", type, width, width, 0},
                 {"ffn_norm.weight", TYPE_F32, width, 1, 1},  {"ffn_gate.weight", type, width, HIDDEN, 0},
                 {"ffn_up.weight", type, width, HIDDEN, 0},   {"ffn_down.weight", down, HIDDEN, width, 0}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%u.%s", index, parts[i].name);
        add(m, name, parts[i].type, parts[i].columns, parts[i].rows, parts[i].start);
    }
}

/* xorshift64* without its last step (Vigna 2016): the low bits needn't be good. */
static uint64_t next_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state;
}

/* Of numbers between 2^-14 and 1, cut. */
static uint16_t half_of(double value) {
    int exponent;
    double mantissa = frexp(value, &exponent);
    return (uint16_t)((uint32_t)(exponent + 14) << 10 | ((uint32_t)(mantissa * 2048) & 0x3ff));
}

/* The scale; of Q4_K also the minimums' scale and the scales of its eight parts, of Q6_K those of its
 * sixteen, which stand before it. */
static void block_scales(const block *b, uint64_t columns, uint8_t scales[18]) {
    double scale = 1 / (b->spread * sqrt((double)columns));
    uint16_t halves[2] = {half_of(scale), half_of(scale * 7.5)};
    if (b->type == TYPE_Q6_K) {
        memset(scales, 8, 16);
        memcpy(scales + 16, halves, sizeof halves[0]);
        return;
    }
    memcpy(scales, halves, sizeof halves);
    memset(scales + 4, 33 | 2 << 6, 8);
    memset(scales + 12, 1 | 1 << 4, 4);
}

static bool write_blocks(model *m, const tensor *t) {
    const block *b = block_of(t->type);
    static uint64_t words[PORTION / 8];
    uint8_t *portion = (uint8_t *)words;
    uint8_t scales[18];
    block_scales(b, t->columns, scales);
    size_t most = PORTION / b->bytes * b->bytes;
    for (uint64_t done = 0; done < t->size;) {
        size_t size = t->size - done < most ? (size_t)(t->size - done) : most;
        for (size_t i = 0; i < size; i += 8) {
            words[i / 8] = next_random(&m->random);
        }
        for (size_t i = 0; i < size; i += b->bytes) {
            memcpy(portion + i + b->scales_from, scales, b->scales_size);
        }
        if (fwrite(portion, 1, size, m->out) != size) {
            return false;
        }
        done += size;
    }
    return true;
}

static bool write_tensor(model *m, const tensor *t) {
    static const uint8_t padding[ALIGNMENT];
    if (t->type != TYPE_F32) {
        if (!write_blocks(m, t)) {
            return false;
        }
    } else {
        for (uint64_t i = 0; i < t->columns; i++) {
            if (fwrite(&t->start, sizeof t->start, 1, m->out) != 1) {
                return false;
            }
        }
    }
    size_t rest = (size_t)(aligned(t->size) - t->size);
    return fwrite(padding, 1, rest, m->out) == rest;
}

static bool write_slice(model *m, const buffer *b) {
    slice bytes = buffer_slice(b);
    return !buffer_failed(b) && fwrite(bytes.data, 1, bytes.length, m->out) == bytes.length;
}

static bool write_model(model *m) {
    buffer head = buffer_make(64);
    buffer_append_text(&head, "GGUF");
    put(&head, 3, 4);
    put(&head, m->tensor_count, 8);
    put(&head, m->key_count, 8);
    while ((buffer_length(&head) + buffer_length(&m->keys) + buffer_length(&m->infos)) % ALIGNMENT != 0) {
        buffer_append_byte(&m->infos, 0);
    }
    bool good = write_slice(m, &head) && write_slice(m, &m->keys) && write_slice(m, &m->infos);
    buffer_free(&head);
    for (size_t i = 0; good && i < m->tensor_count; i++) {
        good = write_tensor(m, &m->tensors[i]);
    }
    return good;
}

static bool make(const format *f, const char *path) {
    static model m;
    m = (model){.format = f,
                .keys = buffer_make(METADATA_MAX),
                .infos = buffer_make(METADATA_MAX),
                .random = 0x9e3779b97f4a7c15U,
                .out = fopen(path, "wb")};
    if (m.out == NULL) {
        return false;
    }
    describe(&m);
    put_vocabulary(&m);
    add(&m, "token_embd.weight", f->type == TYPE_MIX ? TYPE_Q8_0 : f->type, f->width, VOCABULARY, 0);
    add(&m, "output_norm.weight", TYPE_F32, f->width, 1, 1);
    for (uint32_t i = 0; i < LAYERS; i++) {
        add_layer(&m, i);
    }
    bool good = write_model(&m);
    buffer_free(&m.keys);
    buffer_free(&m.infos);
    return fclose(m.out) == 0 && good;
}

int main(int argc, char **argv) {
    for (size_t i = 0; argc == 3 && i < sizeof formats / sizeof formats[0]; i++) {
        if (strcmp(argv[1], formats[i].name) == 0) {
            if (!make(&formats[i], argv[2])) {
                perror(argv[2]);
                return 1;
            }
            return 0;
        }
    }
    fprintf(stderr, "usage: bench_make_model q8_0|q4_0|q4_k|q4_k_m FILE\n");
    return 2;
}
