#include "index_internal.h"

#include "base/memory.h"

static void search_beside(fact_index *x, index_task *task) {
    index_search *s = LIST_ENTRY(task, index_search, task);
    s->count = index_data_search(x->data, s);
}

static void searched(index_task *task, const error *failure) {
    index_search *s = LIST_ENTRY(task, index_search, task);
    s->done(s, failure);
}

void index_search_start(fact_index *x, index_search *s) {
    s->count = 0;
    s->task = (index_task){.work = search_beside, .done = searched};
    index_add_task(x, &s->task);
}

static void look_beside(fact_index *x, index_task *task) {
    index_look *l = LIST_ENTRY(task, index_look, task);
    l->facts = x->data->used;
    l->embedded = x->data->current;
}

static void looked(index_task *task, const error *failure) {
    index_look *l = LIST_ENTRY(task, index_look, task);
    l->done(l, failure);
}

void index_look_start(fact_index *x, index_look *l) {
    l->task = (index_task){.work = look_beside, .done = looked};
    index_add_task(x, &l->task);
}

typedef struct change {
    index_task task;
    fact_index *index;
    index_entry entry;
    bool removes;
    bool failed;
    float plain[EMBEDDER_DIMENSIONS];
    float vector[]; /* the model's */
} change;

static void change_beside(fact_index *x, index_task *task) {
    change *c = LIST_ENTRY(task, change, task);
    error ignored = {0};
    if (c->removes) {
        index_data_remove(x->data, c->entry.id);
    } else {
        c->failed = !index_data_put(x->data, &c->entry, &ignored);
    }
}

static void changed(index_task *task, const error *failure) {
    change *c = LIST_ENTRY(task, change, task);
    if (c->failed || (failure != NULL && failure->code != ERROR_CONFLICT)) {
        c->index->forget = true;
    }
    memory_free(c);
}

static void add_change(fact_index *x, const index_entry *entry, bool removes) {
    size_t dimensions = entry->vector == NULL ? 0 : entry->dimensions;
    change *c = memory_allocate_zeroed(1, sizeof *c + dimensions * sizeof c->vector[0]);
    if (c == NULL) {
        x->forget = true;
        index_continue(x);
        return;
    }
    c->task = (index_task){.work = change_beside, .done = changed, .only_loaded = true};
    c->index = x;
    c->entry = *entry;
    c->removes = removes;
    if (entry->plain != NULL) {
        memcpy(c->plain, entry->plain, sizeof c->plain);
        c->entry.plain = c->plain;
    }
    if (dimensions > 0) {
        memcpy(c->vector, entry->vector, dimensions * sizeof c->vector[0]);
        c->entry.vector = c->vector;
    }
    index_add_task(x, &c->task);
}

void index_put(fact_index *x, const index_entry *entry) {
    add_change(x, entry, false);
}

void index_remove(fact_index *x, const uint8_t id[RECORD_ID_SIZE]) {
    index_entry entry = {0};
    memcpy(entry.id, id, sizeof entry.id);
    add_change(x, &entry, true);
}
