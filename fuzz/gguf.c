#include "engine/gguf.h"
#include "crypto/start.h"
#include "engine/engine.h"

/* Any file: read, opened as a model, and computed with when it is one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compute(engine_model *model) {
    static const uint8_t nonce[ENGINE_NONCE_SIZE] = {0};
    static const uint32_t prompt[] = {0, 1};
    error err;
    engine_parameters parameters = {.temperature = 1, .top_p = 0.9f, .max_tokens = 3};
    engine_sequence *s = engine_sequence_new(model, prompt, 2, &parameters, 1, nonce, &err);
    engine_output out = {0};
    while (s != NULL && out.finish == ENGINE_RUNNING && engine_step(s, &out, &err)) {
    }
    engine_sequence_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t digest[ENGINE_DIGEST_SIZE] = {0};
    static bool started;
    error err;
    if (!started && !crypto_start(&err)) {
        return 0;
    }
    started = true;
    gguf *file = gguf_open(&(slice){data, size}, 1, &err);
    for (size_t i = 0; file != NULL && i < gguf_tensor_count(file); i++) {
        slice weights = gguf_tensor_at(file, i)->data;
        if (weights.data + weights.length > data + size) {
            __builtin_trap();
        }
    }
    gguf_free(file);
    engine_options options = {.memory_limit = 1 << 20};
    engine_model *model = engine_open(slice_of(data, size), digest, &options, &err);
    if (model != NULL) {
        compute(model);
    }
    engine_close(model);
    return 0;
}
