#ifndef APP_ENGINE_SUMMARY_H
#define APP_ENGINE_SUMMARY_H

#include "app_model/model_files.h"
#include "base/buffer.h"
#include "engine/gguf.h"

/* What `cellule engine info` tells of a model, as lines for people or as one JSON object. Strings of the file
 * come out escaped; control characters are the printer's to look after. */
enum { SUMMARY_TYPES = 64, SUMMARY_ELEMENTS = 4 /* shown of an array */ };
typedef enum summary_size {
    SUMMARY_CONTEXT,
    SUMMARY_WIDTH,
    SUMMARY_HIDDEN,
    SUMMARY_LAYERS,
    SUMMARY_HEADS,
    SUMMARY_KEY_HEADS,
    SUMMARY_SIZES
} summary_size;

typedef struct type_summary {
    size_t tensors;
    uint64_t bytes;
} type_summary;

typedef struct summary {
    const gguf *file;
    size_t part_count;
    uint64_t file_bytes;
    slice name; /* empty: none, as below */
    slice architecture;
    slice tokenizer;
    slice pre_tokenizer;
    size_t vocabulary;
    bool has_template;
    bool has_size[SUMMARY_SIZES];
    uint32_t sizes[SUMMARY_SIZES]; /* those that differ between layers are left to the list of keys */
    uint64_t parameters;
    uint64_t tensor_bytes;
    type_summary types[SUMMARY_TYPES]; /* by the type's number */
    bool known;                        /* engine_check */
    error refusal;                     /* why it isn't */
} summary;

/* False only if memory is out. */
MUST_CHECK bool summary_make(summary *s, const gguf *file, const model_files *files, error *err);
void summary_append_text(const summary *s, buffer *out);
void summary_append_json(const summary *s, buffer *out);

#endif
