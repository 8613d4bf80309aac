#ifndef ENGINE_PRETOKENIZER_H
#define ENGINE_PRETOKENIZER_H

#include "base/error.h"
#include "base/slice.h"

/* Cuts text into the pieces that byte pairs are merged within. */
typedef struct pretokenizer pretokenizer;

/* `name`: the model's `tokenizer.ggml.pre`. ERROR_UNSUPPORTED names one that isn't known. */
MUST_CHECK pretokenizer *pretokenizer_new(slice name, error *err);
void pretokenizer_free(pretokenizer *p);

typedef bool pretokenizer_visit(void *context, slice piece, error *err);
/* Calls `visit` for every piece in order; together they are `text`, byte for byte. Bytes that are no UTF-8
 * are pieces of their own. One call at a time on one pretokenizer. */
MUST_CHECK bool pretokenizer_split(pretokenizer *p, slice text, pretokenizer_visit *visit, void *context,
                                   error *err);

#endif
