#include "memory/embed.h"

bool memory_embeds(const pool *p) {
    (void)p;
    return false;
}

memory_embedding *memory_embed(pool *p, uint64_t user_id, const slice *texts, size_t count,
                               memory_embedded *done, void *context) {
    (void)p;
    (void)user_id;
    (void)texts;
    (void)count;
    (void)done;
    (void)context;
    return NULL;
}

void memory_embed_cancel(memory_embedding *e) {
    (void)e;
}
