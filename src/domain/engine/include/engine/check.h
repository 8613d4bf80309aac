#ifndef ENGINE_CHECK_H
#define ENGINE_CHECK_H

#include "engine/gguf.h"

/* Whether this build computes models of such a family with such a tokenizer: cheap, as no weight is read, and
 * so no promise. engine_open looks at every key and tensor. False: the error says by name what isn't known.
 */
MUST_CHECK bool engine_check(const gguf *file, error *err);

#endif
