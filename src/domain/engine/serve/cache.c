#include "base/memory.h"
#include "serve/sequence.h"

/* A sequence's part of the cache. What it may need until its end is promised at its start, so that it never
 * stands still for want of memory: pages in use and promised ones together never pass the pool's limit, and
 * what stands in the index without a user makes room. */

static uint64_t pages_of(uint64_t bytes, const page_pool *pool) {
    return bytes / pool->page_size;
}

/* Whether so many pages more can be promised. What was just joined may already take more than there is. */
static bool has_room(const engine_model *m, uint64_t wanted) {
    uint64_t held = pages_of(m->pool.used, &m->pool) - prefix_idle(m->prefixes) + m->promised;
    return held + wanted <= pages_of(m->pool.limit, &m->pool);
}

/* At least one token of a prompt is always computed: its logits are wanted. */
static bool join_prefix(engine_sequence *s, error *err) {
    uint32_t most = (s->prompt_count - 1) / CHUNK;
    while (s->indexed < most) {
        uint8_t key[PREFIX_KEY_SIZE];
        if (!prefix_next(s->key, s->tokens + s->indexed * CHUNK, key, err)) {
            return false;
        }
        prefix_entry *entry = prefix_join(s->model->prefixes, key);
        if (entry == NULL) {
            return true;
        }
        memcpy(s->key, key, sizeof key);
        s->entries[s->indexed] = entry;
        s->pages[s->indexed] = prefix_page(entry);
        page_share(s->pages[s->indexed]);
        s->taken = ++s->indexed;
        s->reused = s->indexed * CHUNK;
        s->computed = s->reused;
    }
    return true;
}

bool sequence_reserve(engine_sequence *s, uint32_t positions, error *err) {
    engine_model *m = s->model;
    uint32_t wanted = positions / CHUNK + (positions % CHUNK != 0);
    if (wanted > pages_of(m->pool.limit, &m->pool)) {
        return error_set(err, ERROR_LIMIT,
                         "a sequence of %u tokens takes more memory than the engine was given: shorten the "
                         "conversation, or ask for a shorter answer",
                         positions);
    }
    s->pages = memory_allocate_zeroed(wanted, sizeof(page *));
    s->entries = memory_allocate_zeroed(wanted, sizeof(prefix_entry *));
    if (s->pages == NULL || s->entries == NULL) {
        return error_memory(err);
    }
    if (s->shares && !join_prefix(s, err)) {
        return false;
    }
    if (!has_room(m, wanted - s->taken)) {
        return error_set(err, ERROR_CONFLICT, "other sequences hold the engine's memory: try again later");
    }
    s->page_count = wanted;
    m->promised += wanted - s->taken;
    return true;
}

/* Makes room by what nobody uses; a promised page always finds some within the limit. */
static page *take_page(engine_model *m, error *err) {
    page *taken = page_take(&m->pool, err);
    while (taken == NULL && prefix_evict(m->prefixes)) {
        taken = page_take(&m->pool, err);
    }
    return taken;
}

bool sequence_take_pages(engine_sequence *s, uint32_t end, error *err) {
    while ((uint64_t)s->taken * CHUNK < end) {
        page *taken = take_page(s->model, err);
        if (taken == NULL) {
            err->code = ERROR_MEMORY;
            return false;
        }
        s->pages[s->taken++] = taken;
        s->model->promised--;
    }
    return true;
}

void sequence_share_pages(engine_sequence *s) {
    engine_model *m = s->model;
    while (s->shares && (s->indexed + 1) * (uint64_t)CHUNK <= s->computed) {
        error ignored;
        uint8_t key[PREFIX_KEY_SIZE];
        page *own = s->pages[s->indexed];
        prefix_entry *entry = prefix_next(s->key, s->tokens + s->indexed * CHUNK, key, &ignored)
                                  ? prefix_offer(m->prefixes, key, own)
                                  : NULL;
        if (entry == NULL) { /* those behind couldn't be found without it */
            s->shares = false;
            return;
        }
        if (prefix_page(entry) != own) {
            page_share(prefix_page(entry));
            s->pages[s->indexed] = prefix_page(entry);
            page_release(&m->pool, own);
        }
        s->entries[s->indexed++] = entry;
        memcpy(s->key, key, sizeof key);
    }
}

/* The last pages first: they go out of the index before those that they follow. */
void sequence_release_pages(engine_sequence *s) {
    engine_model *m = s->model;
    if (s->page_count > 0) {
        m->promised -= s->page_count - s->taken;
    }
    while (s->taken > 0) {
        s->taken--;
        if (s->entries[s->taken] != NULL) {
            prefix_leave(m->prefixes, s->entries[s->taken]);
        }
        page_release(&m->pool, s->pages[s->taken]);
    }
    s->page_count = 0;
    memory_free(s->pages);
    memory_free(s->entries);
    s->pages = NULL;
    s->entries = NULL;
}
