#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "engine/engine.h"
#include "forward/forward.h"
#include "sample/sampler.h"
#include "template/chat.h"
#include "tokenizer/tokenizer.h"

struct engine_model {
    engine_information information;
    gguf *file;
    architecture architecture;
    tokenizer *tokens;
    forward *forward;   /* shared by the sequences: one step at a time */
    sampling *sampling; /* likewise */
    uint64_t memory_limit;
    uint64_t memory_used; /* by the caches of live sequences */
    chat *chat;
    uint32_t ends[SAMPLING_ENDS_MAX]; /* at which an answer ends, that of a turn first */
    size_t end_count;
};

#endif
