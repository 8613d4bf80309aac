#ifndef ENGINE_PASS_H
#define ENGINE_PASS_H

#include "kernel/kernels.h"
#include "model_file.h"

/* A model file through the engine's own reader and pass, with one thread, in portions as large as given (an
 * encoder: at once). Fails the test that calls it when something doesn't go well. States: `width` numbers per
 * token; logits, unless NULL: MODEL_VOCABULARY. */
void engine_pass(const model_file *file, const kernels *form, const uint32_t *tokens, uint32_t count,
                 uint32_t portion, float *states, float *logits);

#endif
