#include "model_file.h"
#include "os/file.h"
#include "quantise_file.h"
#include "vocabulary_file.h"

#include <stdio.h>

/* Writes small random models for comparing implementations: make_models FOLDER TEXTS [FAMILY]. For each one
 * line is printed: "generate", "embed" or "vocabulary" (it has no weights), a tab, its path,
 * FOLDER/NAME-TYPE.gguf with weights. With FAMILY its smallest form alone. TEXTS is what the vocabularies are
 * made of (vocabulary_file.h). */
enum { SEED = 20261, PATH_SIZE = 4096, TEXTS_MAX = 1 << 20 };

static bool write_model(const char *kind, const char *path, const buffer *bytes, error *err) {
    if (!file_write_atomic(path, buffer_slice(bytes), 0600, err)) {
        return false;
    }
    printf("%s\t%s\n", kind, path);
    return true;
}

static bool make(const char *folder, const char *name, const model_shape *shape, error *err) {
    static model_file file;
    char path[PATH_SIZE];
    model_file_make(&file, shape, SEED);
    snprintf(path, sizeof path, "%s/%s-%s.gguf", folder, name, gguf_type_name((uint32_t)shape->type));
    bool good = write_model(model_is(shape, "bert") ? "embed" : "generate", path, &file.bytes, err);
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

#define COMMON .width = 256, .hidden = 256, .heads = 4, .context = 512, .pretokenizer = "gpt-2"
#define DECODER COMMON, .layers = 2, .key_heads = 2
#define LONGER COMMON, .layers = 7, .key_heads = 1 /* as many as gemma3 needs */
#define ENCODER COMMON, .layers = 2, .key_heads = 4

/* Each is made in every type. */
static const model_shape families[] = {
    {DECODER, .family = "llama"},
    {DECODER, .family = "qwen2", .tied = true, .rope_base = 1e6f},
    {DECODER, .family = "qwen3", .head_size = 128},
    {DECODER, .family = "gemma", .head_size = 128, .tied = true},
    {DECODER, .family = "gemma2", .tied = true, .window = 20, .attention_cap = 1.5f, .logit_cap = 2},
    {LONGER, .family = "gemma3", .tied = true, .window = 20, .rope_base = 1e6f},
    {DECODER, .family = "phi3"},
    {ENCODER, .family = "bert", .pooling = 1},
};

/* What some models of a family have. Not the window of phi3, which llama.cpp knows and leaves out. */
static const struct {
    const char *name;
    model_shape shape;
} variants[] = {
    {"llama.biases", {DECODER, .biases = true}},
    {"llama.odd",
     {.width = 54,
      .hidden = 101,
      .layers = 3,
      .heads = 9,
      .key_heads = 3,
      .context = 512,
      .pretokenizer = "gpt-2"}},
    {"llama.factors", {DECODER, .rope_base = 500000, .rope_factors = true}},
    {"llama.linear", {DECODER, .scaling = SCALED_LINEAR, .rope_factor = 4}},
    {"llama.yarn", {DECODER, .scaling = SCALED_YARN, .rope_factor = 4, .original_context = 128}},
    {"qwen2.yarn",
     {DECODER, .family = "qwen2", .scaling = SCALED_YARN, .rope_factor = 2, .original_context = 256,
      .rope_base = 1e6f, .rope_magnitude = 0.9f}},
    {"gemma3.linear",
     {LONGER, .family = "gemma3", .tied = true, .window = 20, .rope_base = 1e6f, .scaling = SCALED_LINEAR,
      .rope_factor = 8}},
    {"gemma3.pattern",
     {DECODER, .family = "gemma3", .window = 30, .window_pattern = 2, .local_rope_base = 3000}},
    {"phi3.part", {DECODER, .family = "phi3", .turned = 48}},
    {"phi3.long",
     {DECODER, .family = "phi3", .scaling = SCALED_LONG, .rope_factors = true, .rope_magnitude = 1.2f,
      .original_context = 64}},
    {"phi3.short", {DECODER, .family = "phi3", .rope_factors = true, .original_context = 512}},
    {"bert.first", {ENCODER, .family = "bert", .pooling = 2}},
};

static bool make_family(const char *folder, const char *family, error *err) {
    bool good = true;
    for (size_t i = 0; good && i < sizeof families / sizeof families[0]; i++) {
        if (strcmp(families[i].family, family) == 0) {
            good = make(folder, family, &families[i], err);
        }
    }
    return good;
}

static bool make_models(const char *folder, error *err) {
    bool good = true;
    for (size_t i = 0; good && i < sizeof families / sizeof families[0]; i++) {
        model_shape shape = families[i];
        for (size_t t = 0; good && t < QUANTISED_TYPES; t++) {
            shape.type = quantised_types[t];
            good = make(folder, shape.family, &shape, err);
        }
    }
    for (size_t i = 0; good && i < sizeof variants / sizeof variants[0]; i++) {
        good = make(folder, variants[i].name, &variants[i].shape, err);
    }
    return good;
}

int main(int argc, char **argv) {
    error err;
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: make_models FOLDER TEXTS [FAMILY]\n");
        return 2;
    }
    bool good = argc == 4 ? make_family(argv[1], argv[3], &err)
                          : make_models(argv[1], &err) && make_vocabularies(argv[1], argv[2], &err);
    if (!good) {
        fprintf(stderr, "make_models: %s\n", err.text);
    }
    return good ? 0 : 1;
}
