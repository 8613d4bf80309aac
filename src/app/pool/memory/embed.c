#include "memory/embed.h"

struct memory_embedding {
    int unused;
};

bool memory_embeds(const pool *p) {
    return p->settings.embedding_model[0] != '\0';
}

memory_embedding *memory_embed(pool *p, uint64_t user_id, const slice *texts, size_t count,
                               uint64_t patience_ms, memory_embedded *done, void *context) {
    (void)p;
    (void)user_id;
    (void)texts;
    (void)count;
    (void)patience_ms;
    (void)done;
    (void)context;
    return NULL;
}

void memory_embed_cancel(memory_embedding *e) {
    (void)e;
}
