#include "model_file.h"
#include "os/file.h"

#include <stdio.h>

/* Writes small random models for comparing implementations: make_models FOLDER. Each is
 * FOLDER/FAMILY-TYPE.gguf; the names are printed, one a line. */
enum { SEED = 20261, PATH_SIZE = 4096 };

static bool make(const char *kind, const char *folder, const char *family, const model_shape *shape,
                 error *err) {
    char path[PATH_SIZE];
    model_file file;
    model_file_make(&file, shape, SEED);
    snprintf(path, sizeof path, "%s/%s-%s.gguf", folder, family, gguf_type_name(shape->type));
    bool good = file_write_atomic(path, buffer_slice(&file.bytes), 0600, err);
    if (good) {
        printf("%s\t%s\n", kind, path);
    }
    model_file_free(&file);
    return good;
}

int main(int argc, char **argv) {
    error err;
    bool good = argc == 2;
    if (!good) {
        fprintf(stderr, "usage: make_models FOLDER\n");
        return 2;
    }
    static const gguf_type types[] = {GGUF_F32, GGUF_F16, GGUF_Q8_0};
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
        good = make("generate", argv[1], "llama", &shape, &err);
    }
    static const char *const pretokenizers[] = {"gpt-2", "smollm", "qwen2"};
    for (size_t i = 0; good && i < sizeof pretokenizers / sizeof pretokenizers[0]; i++) {
        model_shape shape = model_shape_small;
        shape.pretokenizer = pretokenizers[i];
        good = make("vocabulary", argv[1], pretokenizers[i], &shape, &err);
    }
    if (!good) {
        fprintf(stderr, "make_models: %s\n", err.text);
    }
    return good ? 0 : 1;
}
