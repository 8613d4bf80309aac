#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "engine/engine.h"
#include "forward/forward.h"
#include "sample/sampler.h"
#include "tokenizer/tokenizer.h"

enum { END_TOKENS_MAX = 2 };

struct engine_model {
    engine_information information;
    gguf *file;
    architecture architecture;
    tokenizer *tokens;
    forward *forward; /* shared by the sequences: one step at a time */
    sampling *sampling; /* likewise */
    uint64_t memory_limit;
    uint64_t memory_used; /* by the caches of live sequences */
    uint32_t message_start;
    uint32_t message_end;
    bool has_first;
    uint32_t first; /* begins every prompt when has_first */
    uint32_t ends[END_TOKENS_MAX];
    size_t end_count;
};

#endif
