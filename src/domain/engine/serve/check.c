#include "engine/check.h"

#include "architecture/architecture.h"
#include "tokenizer/tokenizer.h"

bool engine_check(const gguf *file, error *err) {
    slice name;
    if (!gguf_text(file, "general.architecture", &name, err)) {
        return false;
    }
    if (!architecture_known(name)) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "the architecture '%.*s' isn't one that this engine computes",
                         SLICE_FORMAT(slice_part(name, 0, 64)));
    }
    tokenizer *t = tokenizer_new(file, err);
    tokenizer_free(t);
    return t != NULL;
}
