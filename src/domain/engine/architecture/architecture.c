#include "reader.h"

#include "arithmetic/arithmetic.h"
#include "base/memory.h"

static bool find_family(reader *r) {
    slice name;
    if (!gguf_text(r->file, "general.architecture", &name, r->err)) {
        return false;
    }
    r->family = description_find(name);
    return r->family != NULL ||
           error_set(r->err, ERROR_UNSUPPORTED, "this engine doesn't know the architecture '%.*s'",
                     SLICE_FORMAT(slice_part(name, 0, 64)));
}

static bool read_all(reader *r) {
    architecture *a = r->a;
    if (!find_family(r) || !read_hyperparameters(r)) {
        return false;
    }
    /* Each layer has tensors of its own, so what the file really holds bounds what is allocated. */
    if (a->layer_count > gguf_tensor_count(r->file)) {
        return error_set(r->err, ERROR_CORRUPT, "the model has tensors for fewer than its %u layers",
                         a->layer_count);
    }
    a->owned = r->owned = memory_allocate_zeroed(1, sizeof *r->owned);
    a->layers = memory_allocate_zeroed(a->layer_count, sizeof *a->layers);
    r->used = memory_allocate_zeroed(gguf_tensor_count(r->file), sizeof *r->used);
    if (r->owned == NULL || a->layers == NULL || r->used == NULL) {
        return error_memory(r->err);
    }
    return read_ropes(r) && read_weights(r);
}

bool architecture_read(architecture *a, const architecture_source *source, error *err) {
    arithmetic_state saved;
    reader r = {.a = a, .source = source, .file = source->file, .err = err};
    *a = (architecture){0};
    if (!arithmetic_enter(&saved)) {
        return error_set(err, ERROR_INTERNAL, "the processor's rounding mode can't be set");
    }
    bool good = read_all(&r);
    arithmetic_leave(&saved);
    memory_free(r.used);
    if (!good) {
        architecture_free(a);
    }
    return good;
}

void architecture_free(architecture *a) {
    holdings *owned = a->owned;
    if (owned != NULL) {
        memory_free(owned->weights);
        memory_free(owned->numbers);
        memory_free(owned->frequencies);
        memory_free(owned);
    }
    memory_free(a->layers);
    *a = (architecture){0};
}

slice architecture_packed(const architecture *a) {
    const holdings *owned = a->owned;
    return owned->packed;
}
