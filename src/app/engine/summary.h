#ifndef APP_ENGINE_SUMMARY_H
#define APP_ENGINE_SUMMARY_H

#include "base/buffer.h"
#include "engine/gguf.h"
#include "model_files.h"

/* What `cellule engine info` tells of a model, as lines for people or as one JSON object. Strings of the file
 * come out escaped; control characters are the printer's to look after. */
enum { SUMMARY_TYPES = 64 };

typedef struct type_summary {
    size_t tensors;
    uint64_t bytes;
} type_summary;

typedef struct summary {
    const gguf *file;
    size_t part_count;
    uint64_t file_bytes;
    uint64_t parameters;
    uint64_t tensor_bytes;
    type_summary types[SUMMARY_TYPES]; /* by the type's number */
    bool runs;
    error refusal; /* why it doesn't */
} summary;

void summary_make(summary *s, const gguf *file, const model_files *files);
void summary_append_text(const summary *s, buffer *out);
void summary_append_json(const summary *s, buffer *out);

#endif
