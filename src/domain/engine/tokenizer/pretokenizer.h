#ifndef ENGINE_PRETOKENIZER_H
#define ENGINE_PRETOKENIZER_H

#include "base/error.h"
#include "base/slice.h"

/* Cuts text into the pieces that byte pairs are merged within. */
typedef struct pretokenizer pretokenizer;

/* `name`: the model's `tokenizer.ggml.pre`. ERROR_UNSUPPORTED names one that isn't known. */
MUST_CHECK pretokenizer *pretokenizer_new(slice name, error *err);
void pretokenizer_free(pretokenizer *p);

/* Whether a piece that is a token as a whole becomes it, whatever the merges would give. */
bool pretokenizer_ignores_merges(const pretokenizer *p);
/* Whether models with it want a first token when the file doesn't say. */
bool pretokenizer_wants_first(const pretokenizer *p);

typedef bool pretokenizer_visit(void *context, slice piece, error *err);
/* Calls `visit` for every piece in order; together they are `text`, byte for byte. Bytes that are no UTF-8
 * are pieces of their own. Any number of threads at once. */
MUST_CHECK bool pretokenizer_split(const pretokenizer *p, slice text, pretokenizer_visit *visit,
                                   void *context, error *err);

#endif
