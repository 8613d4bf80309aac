#include "summary.h"

#include "engine/check.h"

#include <stdio.h>

enum { KEY_SIZE = 128 };

/* The empty slice if the key is absent or no string. */
static slice find_text(const gguf *file, const char *key) {
    error ignored;
    slice text = {0};
    return gguf_has(file, key) && gguf_text(file, key, &text, &ignored) ? text : (slice){0};
}

static size_t count_tokens(const gguf *file) {
    static const char key[] = "tokenizer.ggml.tokens";
    error ignored;
    gguf_array tokens;
    return gguf_has(file, key) && gguf_text_array(file, key, &tokens, &ignored) ? tokens.count : 0;
}

/* The key of a size is "qwen2.block_count". */
static void find_sizes(summary *s) {
    static const char *const keys[SUMMARY_SIZES] = {
        [SUMMARY_CONTEXT] = "context_length",     [SUMMARY_WIDTH] = "embedding_length",
        [SUMMARY_HIDDEN] = "feed_forward_length", [SUMMARY_LAYERS] = "block_count",
        [SUMMARY_HEADS] = "attention.head_count", [SUMMARY_KEY_HEADS] = "attention.head_count_kv"};
    for (size_t i = 0; i < SUMMARY_SIZES; i++) {
        char key[KEY_SIZE];
        error ignored;
        int length = snprintf(key, sizeof key, "%.*s.%s", SLICE_FORMAT(s->architecture), keys[i]);
        s->has_size[i] = length > 0 && (size_t)length < sizeof key && gguf_has(s->file, key) &&
                         gguf_u32(s->file, key, &s->sizes[i], &ignored);
    }
}

static void count_tensors(summary *s) {
    for (size_t i = 0; i < gguf_tensor_count(s->file); i++) {
        const gguf_tensor *t = gguf_tensor_at(s->file, i);
        uint64_t weights = 1;
        for (size_t k = 0; k < GGUF_DIMENSIONS_MAX; k++) {
            weights *= t->dimensions[k];
        }
        s->parameters += weights;
        s->tensor_bytes += t->data.length;
        s->types[t->type].tensors++;
        s->types[t->type].bytes += t->data.length;
    }
}

bool summary_make(summary *s, const gguf *file, const model_files *files, error *err) {
    *s = (summary){.file = file,
                   .part_count = files->count,
                   .file_bytes = files->size,
                   .name = find_text(file, "general.name"),
                   .architecture = find_text(file, "general.architecture"),
                   .tokenizer = find_text(file, "tokenizer.ggml.model"),
                   .pre_tokenizer = find_text(file, "tokenizer.ggml.pre"),
                   .vocabulary = count_tokens(file),
                   .has_template = find_text(file, "tokenizer.chat_template").length > 0};
    find_sizes(s);
    count_tensors(s);
    s->known = engine_check(file, &s->refusal);
    return s->known || s->refusal.code != ERROR_MEMORY || error_memory(err);
}
