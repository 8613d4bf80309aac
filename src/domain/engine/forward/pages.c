#include "forward/pages.h"

#include "base/memory.h"
#include "crypto/secret.h"

void page_pool_start(page_pool *pool, const architecture *a, uint64_t limit) {
    size_t values = (size_t)a->layer_count * a->key_heads * a->head_size * CHUNK;
    *pool = (page_pool){.page_size = 2 * values * sizeof(uint16_t), .limit = limit};
}

page *page_take(page_pool *pool, error *err) {
    if (pool->page_size > pool->limit - pool->used) {
        error_set(err, ERROR_CONFLICT, "other sequences hold the engine's memory: try again later");
        return NULL;
    }
    page *p = memory_allocate_zeroed(1, sizeof *p);
    uint16_t *halves = memory_allocate_zeroed(pool->page_size / sizeof *halves, sizeof *halves);
    if (p == NULL || halves == NULL) {
        memory_free(p);
        memory_free(halves);
        error_memory(err);
        return NULL;
    }
    pool->used += pool->page_size;
    *p = (page){.references = 1, .halves = halves};
    return p;
}

void page_share(page *p) {
    p->references++;
}

void page_release(page_pool *pool, page *p) {
    if (p == NULL || --p->references > 0) {
        return;
    }
    secret_wipe(p->halves, pool->page_size);
    memory_free(p->halves);
    memory_free(p);
    pool->used -= pool->page_size;
}
