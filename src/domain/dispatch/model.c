#include "dispatch_internal.h"

#include "base/memory.h"

/* Models and their variants: who offers what, best first. */

uint32_t offer_busy(const offer *o) {
    return o->busy + (o->twin == NULL ? 0 : o->twin->busy);
}

bool offer_has_room(const offer *o) {
    const dispatch_worker *w = o->worker;
    return w->state == DISPATCH_SERVING && w->availability != DISPATCH_PAUSED && w->hung == 0 &&
           (uint64_t)w->busy + w->foreign < w->slots && offer_busy(o) < o->slots;
}

static uint32_t reserved_of(const offer *o) {
    return o->reserved || (o->twin != NULL && o->twin->reserved) ? 1 : 0;
}

bool offer_can_take(const offer *o) {
    const dispatch_worker *w = o->worker;
    return !w->held && offer_has_room(o) && (uint64_t)w->busy + w->foreign + w->reserved < w->slots &&
           offer_busy(o) + reserved_of(o) < o->slots;
}

enum { HEALTHY, LIMITED, SUSPECT, CANNOT };

static int rank(const offer *o) {
    if (!offer_can_take(o)) {
        return CANNOT;
    }
    if (o->worker->suspect) {
        return SUSPECT;
    }
    return o->worker->availability == DISPATCH_LIMITED ? LIMITED : HEALTHY;
}

/* Least loaded first (a worker without slots counts as full, or as idle if it has no jobs), then fewest jobs,
 * then the one whose last assignment is longest ago. */
static bool offer_before(const offer *a, const offer *b) {
    int rank_a = rank(a);
    int rank_b = rank(b);
    if (rank_a != rank_b) {
        return rank_a < rank_b;
    }
    const dispatch_worker *x = a->worker;
    const dispatch_worker *y = b->worker;
    uint64_t busy_x = (uint64_t)x->busy + x->foreign;
    uint64_t busy_y = (uint64_t)y->busy + y->foreign;
    if (busy_x * y->slots != busy_y * x->slots) {
        return busy_x * y->slots < busy_y * x->slots;
    }
    if (busy_x != busy_y) {
        return busy_x < busy_y;
    }
    return x->assigned != y->assigned ? x->assigned < y->assigned : x->session < y->session;
}

static bool before_in_model(const heap_node *a, const heap_node *b) {
    return offer_before(LIST_ENTRY(a, const offer, in_model), LIST_ENTRY(b, const offer, in_model));
}

static bool before_in_variant(const heap_node *a, const heap_node *b) {
    return offer_before(LIST_ENTRY(a, const offer, in_variant), LIST_ENTRY(b, const offer, in_variant));
}

static slice model_key(const model *m) {
    return slice_of(m->key, m->key_length);
}

static slice write_key(uint8_t key[MODEL_KEY_MAX], slice name, dispatch_kind kind) {
    size_t length = name.length < DISPATCH_MODEL_NAME_MAX ? name.length : DISPATCH_MODEL_NAME_MAX;
    key[0] = (uint8_t)kind;
    memcpy(key + 1, name.data, length);
    return slice_of(key, 1 + length);
}

static model *model_new(dispatch *d, slice key) {
    model *m = memory_allocate_zeroed(1, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    memcpy(m->key, key.data, key.length);
    m->key_length = key.length;
    m->choices = heap_make(before_in_model, &d->stats.comparisons);
    list_init(&m->retried);
    list_init(&m->fresh);
    m->grace.owner = TIMER_MODEL;
    if (!heap_reserve(&d->timers, d->timers_needed + 1) || !map_put(d->models, key, m)) {
        memory_free(m);
        return NULL;
    }
    d->timers_needed++;
    return m;
}

model *model_find(const dispatch *d, slice name, dispatch_kind kind) {
    uint8_t key[MODEL_KEY_MAX];
    return name.length > DISPATCH_MODEL_NAME_MAX || name.length == 0
               ? NULL
               : map_get(d->models, write_key(key, name, kind));
}

bool model_is(const model *m, slice name, dispatch_kind kind) {
    return m->key[0] == (uint8_t)kind && slice_equal(slice_after(model_key(m), 1), name);
}

model *model_take(dispatch *d, slice name, dispatch_kind kind) {
    uint8_t key[MODEL_KEY_MAX];
    model *m = model_find(d, name, kind);
    if (m == NULL) {
        m = model_new(d, write_key(key, name, kind));
    }
    if (m != NULL) {
        m->references++;
    }
    return m;
}

void model_drop(dispatch *d, model *m) {
    if (m->references > 0 || m->grace.node.place != 0) {
        return;
    }
    map_remove(d->models, model_key(m));
    d->timers_needed--;
    heap_free(&m->choices);
    memory_free(m);
}

static variant *variant_new(dispatch *d, const uint8_t *key, size_t length, bool exact) {
    variant *v = memory_allocate_zeroed(1, sizeof *v);
    if (v == NULL) {
        return NULL;
    }
    memcpy(v->key, key, length);
    v->key_length = length;
    v->exact = exact;
    v->choices = heap_make(before_in_variant, &d->stats.comparisons);
    list_init(&v->pinned);
    if (!map_put(d->variants, slice_of(key, length), v)) {
        memory_free(v);
        return NULL;
    }
    return v;
}

variant *variant_take(dispatch *d, const dispatch_offer *spec) {
    uint8_t key[VARIANT_KEY_MAX];
    memcpy(key, spec->digest, DISPATCH_DIGEST_SIZE);
    key[DISPATCH_DIGEST_SIZE] = spec->exact ? 1 : 0;
    size_t length =
        DISPATCH_DIGEST_SIZE + 1 + write_key(key + DISPATCH_DIGEST_SIZE + 1, spec->model, spec->kind).length;
    variant *v = map_get(d->variants, slice_of(key, length));
    if (v == NULL) {
        v = variant_new(d, key, length, spec->exact);
    }
    if (v != NULL) {
        v->references++;
    }
    return v;
}

void variant_drop(dispatch *d, variant *v) {
    if (v->references == 0) {
        map_remove(d->variants, slice_of(v->key, v->key_length));
        heap_free(&v->choices);
        memory_free(v);
    }
}

bool dispatch_model_next(const dispatch *d, size_t *position, dispatch_model_info *info) {
    void *value = NULL;
    while (map_next(d->models, position, NULL, &value)) {
        const model *m = value;
        if (m->choices.count > 0) {
            *info = (dispatch_model_info){.name = slice_after(model_key(m), 1),
                                          .kind = (dispatch_kind)m->key[0],
                                          .workers = m->choices.count,
                                          .slots = m->slots,
                                          .running = m->running,
                                          .queued = m->queued};
            return true;
        }
    }
    return false;
}

bool dispatch_has_model(const dispatch *d, slice name, dispatch_kind kind) {
    const model *m = model_find(d, name, kind);
    return m != NULL && m->choices.count > 0;
}
