#include "memory/embed.h"

#include "base/log.h"
#include "base/memory.h"
#include "embedding.h"

struct memory_embedding {
    pool *pool;
    embedding *job;
    memory_embedded *done;
    void *context;
    ev_timer timer;
};

bool memory_embeds(const pool *p) {
    return p->settings.embedding_model[0] != '\0';
}

size_t memory_embed_fits(const slice *texts, size_t count) {
    return embedding_fits(texts, count);
}

static void finish(memory_embedding *e, const float *values, size_t dimensions, bool refused) {
    memory_embedded *done = e->done;
    void *context = e->context;
    ev_timer_stop(&e->timer);
    memory_free(e);
    done(context, values, dimensions, refused);
}

/* Without a direction it is near to nothing, and can't be kept (memory/fact.h). */
static bool have_directions(const embedding_answer *answer) {
    for (size_t i = 0; i < answer->count; i++) {
        const float *vector = answer->values + i * answer->dimension;
        bool any = false;
        for (size_t k = 0; k < answer->dimension; k++) {
            any = any || vector[k] < 0 || vector[k] > 0;
        }
        if (!any) {
            return false;
        }
    }
    return true;
}

static void embedded(void *context, const embedding_answer *answer, const embedding_failure *failure) {
    memory_embedding *e = context;
    if (answer != NULL && !have_directions(answer)) {
        log_warning("a worker's vectors of facts are nothing but zeros; the built-in embedder serves",
                    LOG_TEXT("model", e->pool->settings.embedding_model));
        finish(e, NULL, 0, true);
        return;
    }
    if (answer != NULL) {
        finish(e, answer->values, answer->dimension, false);
        return;
    }
    log_info("no vectors of facts by the model", LOG_TEXT("code", failure->code));
    finish(e, NULL, 0, failure->status == 400);
}

static void give_up(void *context) {
    memory_embedding *e = context;
    embedding_cancel(e->job);
    finish(e, NULL, 0, false);
}

memory_embedding *memory_embed(pool *p, uint64_t user_id, const slice *texts, size_t count,
                               uint64_t patience_ms, memory_embedded *done, void *context) {
    error err = {0};
    memory_embedding *e = memory_allocate_zeroed(1, sizeof *e);
    if (e == NULL) {
        return NULL;
    }
    const embedding_wish wish = {.user_id = user_id,
                                 .model = slice_of_text(p->settings.embedding_model),
                                 .texts = texts,
                                 .count = count,
                                 .done = embedded,
                                 .context = e};
    *e = (memory_embedding){.pool = p, .done = done, .context = context};
    ev_timer_init(&e->timer, give_up, e);
    e->job = embedding_ask(p, &wish, &err);
    if (e->job == NULL) {
        log_debug("no vectors of facts by the model", LOG_CAUSE(&err));
        memory_free(e);
        return NULL;
    }
    if (patience_ms > 0) {
        ev_timer_start(p->loop, &e->timer, patience_ms);
    }
    return e;
}

void memory_embed_cancel(memory_embedding *e) {
    if (e != NULL) {
        ev_timer_stop(&e->timer);
        embedding_cancel(e->job);
        memory_free(e);
    }
}
