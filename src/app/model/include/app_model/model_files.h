#ifndef APP_MODEL_MODEL_FILES_H
#define APP_MODEL_MODEL_FILES_H

#include "base/error.h"
#include "base/slice.h"
#include "engine/gguf.h"

/* A model's files, mapped, in order. */
typedef struct model_files {
    slice parts[GGUF_PARTS_MAX];
    size_t count;
    uint64_t size; /* of all */
} model_files;

/* Maps the file at `path`; if that is named as the first part of a split model ("…-00001-of-00003.gguf"), the
 * others beside it too. Looks at names only: what the files hold is read in the sandbox. model_files_unmap is
 * due once this has succeeded. ERROR_LIMIT: larger than any model. */
MUST_CHECK bool model_files_map(const char *path, model_files *files, error *err);
void model_files_unmap(model_files *files);

#endif
