#ifndef ENGINE_MODEL_H
#define ENGINE_MODEL_H

#include "base/list.h"
#include "engine/engine.h"
#include "forward/forward.h"
#include "sample/sampler.h"
#include "serve/image.h"
#include "serve/prefix.h"
#include "serve/schedule.h"
#include "template/chat.h"
#include "tokenizer/tokenizer.h"

struct engine_threads {
    crew *members;
};

enum { MODEL_NAME_MAX = 128 };

/* One pass, and who takes part in it. */
typedef struct model_pass {
    engine_sequence *sequences[ENGINE_SLOTS_MAX]; /* unfinished ones, oldest first */
    schedule_entry entries[ENGINE_SLOTS_MAX];
    size_t sequence_count;
    forward_part parts[ENGINE_SLOTS_MAX];
    engine_sequence *owners[ENGINE_SLOTS_MAX]; /* of the parts */
    size_t part_count;
} model_pass;

struct engine_model {
    engine_information information;
    uint8_t name[MODEL_NAME_MAX];
    architecture architecture;
    const kernels *form;
    engine_threads *own_threads; /* when the caller gave none */
    crew *members;
    tokenizer *tokens;
    chat *chat;
    sampling *sampling; /* NULL: the model doesn't write */
    forward *forward;
    uint32_t batch;
    page_pool pool;
    prefix_index *prefixes;
    uint64_t promised;   /* pages that living sequences may yet take */
    list_node sequences; /* unfinished ones, oldest first */
    size_t sequence_count;
    size_t turn; /* passes begun */
    model_pass pass;
    image_work image_work;
    uint8_t image_header[IMAGE_HEADER_SIZE];
};

#endif
