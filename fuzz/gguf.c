#include "engine/gguf.h"
#include "../src/domain/engine/format/dequantise.h"
#include "crypto/start.h"
#include "engine/engine.h"

#include <stdlib.h>

/* Any file, or several: a first byte of 1 to 4 says how many parts there are, after it come the lengths of
 * all but the last, 4 bytes each. Everything is read that the reader gives; a whole file is also opened as a
 * model, and computed with when it is one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS_MAX = 4, WEIGHTS_MAX = 1024 };

/* A prompt answered, or a text embedded, whatever the model can. */
static void compute(engine_model *model) {
    static const uint32_t prompt[] = {0, 1};
    error err;
    const engine_parameters parameters = {
        .temperature = 1, .top_p = 0.9f, .repetition_penalty = 1, .max_tokens = 3};
    const engine_draw draw = {.seed = 1};
    engine_sequence *s = engine_describe(model)->can_generate
                             ? engine_generate(model, prompt, 2, &parameters, &draw, &err)
                             : engine_embed(model, prompt, 2, &err);
    engine_output out = {0};
    size_t count = 0;
    while (s != NULL && out.finish == ENGINE_RUNNING && engine_step(model, &out, &count, &err)) {
    }
    engine_sequence_free(s);
}

static void open_model(slice file) {
    static const uint8_t digest[ENGINE_DIGEST_SIZE] = {0};
    error err;
    engine_options options = {.memory_limit = 1 << 20, .batch = 8};
    engine_model *model = engine_open(&file, 1, digest, &options, &err);
    if (model != NULL) {
        compute(model);
    }
    engine_close(model);
}

static void touch(slice bytes) {
    volatile uint8_t sink = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        sink = bytes.data[i];
    }
    (void)sink;
}

static void read_value(gguf_value v) {
    gguf_value element;
    if (v.type == GGUF_VALUE_TEXT) {
        touch(v.text);
    }
    while (v.type == GGUF_VALUE_ARRAY && gguf_next_value(&v.array, &element)) {
        read_value(element);
    }
    if (v.type == GGUF_VALUE_ARRAY && (v.array.count > 0 || v.array.bytes.length > 0)) {
        abort(); /* what was accepted reads to its end */
    }
}

static void read_key(const gguf *file, slice name) {
    char key[64];
    error err;
    gguf_array array;
    uint64_t sum = 0;
    if (name.length >= sizeof key || slice_find(name, 0) != SIZE_MAX) {
        return;
    }
    memcpy(key, name.data, name.length);
    key[name.length] = 0;
    if (!gguf_has(file, key)) {
        abort();
    }
    for (size_t i = 0; gguf_u32_array(file, key, &array, &err) && i < array.count;
         i += 1 + array.count / 16) {
        sum += gguf_array_u32(array, i);
    }
    for (size_t i = 0; gguf_i32_array(file, key, &array, &err) && i < array.count;
         i += 1 + array.count / 16) {
        sum += (uint32_t)gguf_array_i32(array, i);
    }
    for (size_t i = 0; gguf_f32_array(file, key, &array, &err) && i < array.count;
         i += 1 + array.count / 16) {
        sum += gguf_array_f32(array, i) > 0;
    }
    for (size_t i = 0; gguf_bool_array(file, key, &array, &err) && i < array.count;
         i += 1 + array.count / 16) {
        sum += gguf_array_bool(array, i);
    }
    touch(slice_of(&sum, sizeof sum));
}

static void read_tensor(const slice *parts, const gguf_tensor *t) {
    float weights[WEIGHTS_MAX];
    slice part = parts[t->part];
    size_t block = gguf_type_block(t->type);
    if (t->data.data < part.data || t->data.data + t->data.length > part.data + part.length) {
        abort();
    }
    size_t count = t->dimensions[0] < WEIGHTS_MAX ? (size_t)t->dimensions[0] : WEIGHTS_MAX / block * block;
    dequantise_row(t->type, t->data.data, count, weights);
    dequantise_row(t->type, t->data.data + t->data.length - gguf_type_bytes(t->type), block, weights);
}

static void read_all(const slice *parts, size_t count) {
    error err;
    gguf *file = gguf_open(parts, count, &err);
    for (size_t i = 0; file != NULL && i < gguf_key_count(file); i++) {
        read_value(gguf_key_value(file, i));
        read_key(file, gguf_key_name(file, i));
    }
    for (size_t i = 0; file != NULL && i < gguf_tensor_count(file); i++) {
        read_tensor(parts, gguf_tensor_at(file, i));
    }
    gguf_free(file);
}

/* Each part in memory of exactly its size. */
static void read_parts(slice data) {
    size_t count = data.data[0];
    uint8_t *copies[PARTS_MAX] = {0};
    slice parts[PARTS_MAX];
    slice rest = slice_after(data, 1 + 4 * (count - 1));
    for (size_t i = 0; i < count; i++) {
        uint32_t length = UINT32_MAX;
        slice field = slice_part(data, 1 + 4 * i, 4);
        if (i + 1 < count && field.length == 4) {
            memcpy(&length, field.data, 4);
        }
        slice part = slice_part(rest, 0, length);
        rest = slice_after(rest, length);
        copies[i] = malloc(part.length + (part.length == 0));
        if (copies[i] == NULL) {
            abort();
        }
        if (part.length > 0) {
            memcpy(copies[i], part.data, part.length);
        }
        parts[i] = slice_of(copies[i], part.length);
    }
    read_all(parts, count);
    for (size_t i = 0; i < count; i++) {
        free(copies[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    error err;
    slice whole = slice_of(data, size);
    if (!started && !crypto_start(&err)) {
        return 0;
    }
    started = true;
    if (size > 0 && data[0] >= 1 && data[0] <= PARTS_MAX) {
        read_parts(whole);
    } else {
        read_all(&whole, 1);
        open_model(whole);
    }
    return 0;
}
