#include "family_file.h"

#include <string.h>

const model_shape family_small = {.small_vectors = true,
                                  .width = 64,
                                  .hidden = 96,
                                  .layers = 3,
                                  .heads = 4,
                                  .key_heads = 2,
                                  .context = 64,
                                  .type = GGUF_F32};

error_code family_file_read(const model_file *file, architecture *a, error *err) {
    *err = (error){0};
    gguf *g = written_open(&file->bytes, err);
    if (g == NULL) {
        return err->code;
    }
    architecture_source source = {.file = g};
    bool good = architecture_read(a, &source, err);
    gguf_free(g);
    return good ? ERROR_NONE : err->code;
}

const char *const families[] = {"bert", "gemma", "gemma2", "gemma3", "llama", "phi3", "qwen2", "qwen3"};
_Static_assert(sizeof families / sizeof families[0] == FAMILIES, "as many as the header says");

model_shape family_shape(const char *family) {
    model_shape s = family_small;
    s.family = family;
    s.tied = strcmp(family, "phi3") != 0;
    s.pooling = strcmp(family, "bert") == 0 ? 1 : 0;
    s.key_heads = strcmp(family, "bert") == 0 ? 4 : 2;
    return s;
}
