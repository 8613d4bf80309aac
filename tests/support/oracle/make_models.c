#include "model_file.h"
#include "os/file.h"
#include "vocabulary_file.h"

#include <stdio.h>

/* Writes small random models for comparing implementations: make_models FOLDER TEXTS. For each one line is
 * printed: "generate", "embed" or "vocabulary" (it has no weights), a tab, its path, FOLDER/NAME-TYPE.gguf
 * with weights. TEXTS is what the vocabularies are made of (vocabulary_file.h). */
enum { SEED = 20261, PATH_SIZE = 4096, TEXTS_MAX = 1 << 20 };

static bool write_model(const char *kind, const char *path, const buffer *bytes, error *err) {
    if (!file_write_atomic(path, buffer_slice(bytes), 0600, err)) {
        return false;
    }
    printf("%s\t%s\n", kind, path);
    return true;
}

static bool make(const char *folder, const char *name, const model_shape *shape, error *err) {
    char path[PATH_SIZE];
    model_file file;
    model_file_make(&file, shape, SEED);
    snprintf(path, sizeof path, "%s/%s-%s.gguf", folder, name, gguf_type_name((uint32_t)shape->type));
    bool good = write_model(shape->pooling > 0 ? "embed" : "generate", path, &file.bytes, err);
    model_file_free(&file);
    return good;
}

static bool make_vocabularies(const char *folder, const char *texts_path, error *err) {
    static vocabulary_texts texts;
    buffer lines = buffer_make(TEXTS_MAX);
    bool good = file_read_all(texts_path, &lines, err);
    if (good) {
        vocabulary_texts_read(&texts, buffer_slice(&lines));
    }
    buffer_free(&lines);
    for (size_t i = 0; good && vocabulary_kinds[i] != NULL; i++) {
        char path[PATH_SIZE];
        buffer file;
        snprintf(path, sizeof path, "%s/%s.gguf", folder, vocabulary_kinds[i]);
        vocabulary_file_make(vocabulary_kinds[i], &texts, &file);
        good = write_model("vocabulary", path, &file, err);
        buffer_free(&file);
    }
    return good;
}

static bool make_models(const char *folder, error *err) {
    static const gguf_type types[] = {GGUF_F32, GGUF_F16, GGUF_Q8_0};
    bool good = true;
    for (size_t i = 0; good && i < sizeof types / sizeof types[0]; i++) {
        model_shape shape = {.width = 256,
                             .hidden = 512,
                             .layers = 2,
                             .heads = 8,
                             .key_heads = 4,
                             .context = 4096,
                             .type = types[i],
                             .tied = i % 2 == 0,
                             .pretokenizer = "gpt-2"};
        good = make(folder, "llama", &shape, err);
    }
    return good;
}

/* Every family with all it has, but for the windows of llama and phi3, which llama.cpp leaves out. */
static bool make_families(const char *folder, error *err) {
#define COMMON .width = 256, .hidden = 256, .heads = 4, .context = 4096
#define DECODER COMMON, .key_heads = 2, .layers = 3
#define BERT COMMON, .family = "bert", .key_heads = 4, .layers = 2
    static const struct {
        const char *name;
        model_shape shape;
    } models[] = {
        {"llama_factors", {DECODER, .rope_base = 500000, .rope_factors = true, .tied = true}},
        {"llama_linear", {DECODER, .scaling = SCALED_LINEAR, .rope_factor = 4, .biases = true}},
        {"llama_yarn", {DECODER, .scaling = SCALED_YARN, .rope_factor = 4, .original_context = 1024}},
        {"qwen2", {DECODER, .family = "qwen2", .rope_base = 1e6f, .tied = true}},
        {"qwen3", {DECODER, .family = "qwen3", .head_size = 128, .rope_base = 1e6f}},
        {"gemma", {DECODER, .family = "gemma", .head_size = 128, .tied = true}},
        {"gemma2",
         {DECODER, .family = "gemma2", .tied = true, .window = 20, .attention_cap = 2, .logit_cap = 3}},
        {"gemma3",
         {COMMON, .family = "gemma3", .layers = 7, .key_heads = 1, .tied = true, .window = 20,
          .rope_base = 1e6f, .scaling = SCALED_LINEAR, .rope_factor = 8}},
        {"phi3", {DECODER, .family = "phi3", .turned = 48}},
        {"phi3_long",
         {DECODER, .family = "phi3", .scaling = SCALED_LONG, .rope_factors = true, .rope_magnitude = 1.2f,
          .original_context = 128}},
        {"bert_mean", {BERT, .pooling = 1}},
        {"bert_first", {BERT, .pooling = 2}},
    };
    static const gguf_type types[] = {GGUF_F32, GGUF_Q4_K};
    bool good = true;
    for (size_t i = 0; good && i < sizeof models / sizeof models[0]; i++) {
        for (size_t t = 0; good && t < sizeof types / sizeof types[0]; t++) {
            model_shape shape = models[i].shape;
            shape.type = types[t];
            good = make(folder, models[i].name, &shape, err);
        }
    }
    return good;
}

int main(int argc, char **argv) {
    error err;
    if (argc != 3) {
        fprintf(stderr, "usage: make_models FOLDER TEXTS\n");
        return 2;
    }
    bool good = make_models(argv[1], &err) && make_families(argv[1], &err) &&
                make_vocabularies(argv[1], argv[2], &err);
    if (!good) {
        fprintf(stderr, "make_models: %s\n", err.text);
    }
    return good ? 0 : 1;
}
