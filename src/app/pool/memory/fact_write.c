#include "memory/fact_write.h"

#include "base/memory.h"
#include "crypto/secret.h"
#include "index_internal.h"
#include "job.h"
#include "memory/embed.h"
#include "os/clock.h"

typedef struct writing {
    pool *pool;
    open_vault *vault;
    fact_written *done;
    void *context;
    uint8_t id[RECORD_ID_SIZE];
    uint8_t source[RECORD_ID_SIZE];
    size_t source_length;
    uint64_t created_ms;
    uint64_t changed_ms;
    bool edits;
    char model[FACT_EMBEDDER_MAX + 1]; /* who made `vector` */
    float *vector;                     /* NULL: the embedder that needs none serves */
    size_t dimensions;
    float plain[EMBEDDER_DIMENSIONS];
    bool has_words;
    bool current;
    buffer sealed;
    bool failed;
    error failure;
    size_t length;
    uint8_t text[];
} writing;

static void release(writing *w) {
    keyring_give_back(w->vault);
    buffer_free(&w->sealed);
    if (w->vector != NULL) {
        secret_wipe(w->vector, w->dimensions * sizeof w->vector[0]);
    }
    memory_free(w->vector);
    secret_wipe(w, sizeof *w + w->length);
    memory_free(w);
}

static void finish(writing *w, const error *failure) {
    error copy = failure == NULL ? (error){0} : *failure;
    fact_written *done = w->done;
    void *context = w->context;
    uint8_t id[RECORD_ID_SIZE];
    uint64_t created_ms = w->created_ms;
    memcpy(id, w->id, sizeof id);
    release(w);
    done(context, id, created_ms, failure == NULL ? NULL : &copy);
}

/* One that isn't there will be read from the store: at once where the fact is to get another vector. */
static void tell_index(const writing *w) {
    error ignored = {0};
    slice target = index_target(w->pool);
    index_entry entry = {.plain = w->has_words ? w->plain : NULL, .is_new = true};
    memcpy(entry.id, w->id, sizeof entry.id);
    if (w->vector != NULL && slice_equal_text(target, w->model)) {
        entry.vector = w->vector;
        entry.dimensions = w->dimensions;
    }
    entry.current = entry.vector != NULL || (w->vector == NULL && slice_equal_text(target, embedder_name));
    fact_index *x = w->vault->closed ? NULL : w->vault->attached;
    if (x == NULL && !entry.current) {
        x = index_of(w->pool, w->vault, &ignored);
    }
    if (x != NULL) {
        x->wanted = x->wanted || !entry.current;
        if (w->edits && !w->has_words) {
            index_remove(x, w->id); /* the former text's vector */
        }
        index_put(x, &entry);
    }
}

static void stored(void *context, const error *failure) {
    writing *w = context;
    if (failure == NULL) {
        tell_index(w);
    }
    finish(w, failure);
}

static void sealed(void *argument) {
    writing *w = argument;
    error err = {0};
    store_fact row = {.changed_ms = w->changed_ms, .sealed = buffer_slice(&w->sealed)};
    memcpy(row.id, w->id, sizeof row.id);
    if (w->edits) {
        index_note_edit(w->vault, w->id);
    }
    if (w->failed) {
        finish(w, &w->failure);
    } else if (!(w->edits
                     ? store_facts_replace(w->pool->store, w->vault->user_id, &row, 1, false, stored, w, &err)
                     : store_fact_add(w->pool->store, w->vault->user_id, &row, FACTS_OF_USER_MAX, stored, w,
                                      &err))) {
        finish(w, &err);
    }
}

/* In a thread. */
static void seal_fact(void *argument) {
    writing *w = argument;
    fact f = {.created_ms = w->created_ms,
              .text = slice_of(w->text, w->length),
              .source = slice_of(w->source, w->source_length)};
    w->has_words = index_embed(f.text, w->plain);
    if (w->vector != NULL) {
        f.embedder = slice_of_text(w->model);
        f.vector = w->vector;
        f.dimensions = w->dimensions;
    } else if (w->has_words) {
        f.embedder = slice_of_text(embedder_name);
        f.vector = w->plain;
        f.dimensions = EMBEDDER_DIMENSIONS;
    }
    w->failed = !fact_seal(w->vault->data_key, w->vault->user_id, w->id, &f, &w->sealed, &w->failure);
}


static void embedded(void *context, const float *values, size_t dimensions, bool refused) {
    writing *w = context;
    error err = {0};
    (void)refused;
    if (values != NULL && dimensions > 0 && dimensions <= FACT_DIMENSIONS_MAX) {
        w->vector = memory_allocate(dimensions * sizeof w->vector[0]);
        if (w->vector == NULL) {
            error_memory(&err);
            finish(w, &err);
            return;
        }
        memcpy(w->vector, values, dimensions * sizeof w->vector[0]);
        w->dimensions = dimensions;
    }
    if (!ev_work(w->pool->loop, seal_fact, sealed, w, &err)) {
        finish(w, &err);
    }
}

static bool draw_id(writing *w, error *err) {
    dispatch_id id;
    if (!job_draw_id(&id, err)) {
        return false;
    }
    memcpy(w->id, id.bytes, sizeof w->id);
    return true;
}

bool fact_write(pool *p, open_vault *v, const new_fact *f, fact_written *done, void *context, error *err) {
    writing *w = memory_allocate_zeroed(1, sizeof *w + f->text.length);
    if (w == NULL) {
        return error_memory(err);
    }
    w->pool = p;
    w->vault = v;
    w->done = done;
    w->context = context;
    w->edits = f->edits;
    w->changed_ms = clock_unix_ms();
    w->created_ms = f->edits ? f->created_ms : w->changed_ms;
    w->sealed = buffer_make(FACT_SEALED_MAX);
    w->length = f->text.length;
    memcpy(w->id, f->id, sizeof w->id);
    memcpy(w->text, f->text.data, f->text.length);
    if (f->source.length == sizeof w->source) {
        memcpy(w->source, f->source.data, sizeof w->source);
        w->source_length = sizeof w->source;
    }
    if (!f->edits && !draw_id(w, err)) {
        memory_free(w);
        return false;
    }
    keyring_hold(v);
    slice target = index_target(p);
    memcpy(w->model, target.data, target.length);
    bool asked = memory_embeds(p) && memory_embed(p, v->user_id, &f->text, 1, EMBED_PATIENCE_MS, embedded, w) != NULL;
    if (!asked && !ev_work(p->loop, seal_fact, sealed, w, err)) {
        release(w);
        return false;
    }
    return true;
}
