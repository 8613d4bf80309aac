#include "dispatch_internal.h"

#include "base/memory.h"

#include <assert.h>

bool worker_holds(const dispatch_worker *w) {
    bool choosable = w->state == DISPATCH_JOINED || w->state == DISPATCH_SERVING;
    for (size_t i = 0; i < w->offer_count; i++) {
        const offer *o = &w->offers[i];
        if ((o->in_model.place != 0) != choosable || (o->in_variant.place != 0) != choosable) {
            return false;
        }
    }
    return w->busy <= w->capacity && (w->state != DISPATCH_GONE || w->busy == 0);
}

static void set_state(dispatch_worker *w, dispatch_worker_state state) {
    static const bool allowed[4][4] = {
        [DISPATCH_JOINED] = {[DISPATCH_SERVING] = true, [DISPATCH_DRAINING] = true, [DISPATCH_GONE] = true},
        [DISPATCH_SERVING] = {[DISPATCH_DRAINING] = true, [DISPATCH_GONE] = true},
        [DISPATCH_DRAINING] = {[DISPATCH_GONE] = true},
    };
    assert(allowed[w->state][state]);
    w->state = state;
    assert(worker_holds(w));
}

/* To its new place in the order of every model it offers; and if it has just become empty, says so. */
void worker_changed(dispatch_worker *w) {
    for (size_t i = 0; i < w->offer_count; i++) {
        offer *o = &w->offers[i];
        if (o->in_model.place != 0) {
            heap_update(&o->model->choices, &o->in_model);
            heap_update(&o->variant->choices, &o->in_variant);
        }
    }
    if (w->state == DISPATCH_DRAINING && w->busy == 0 && !w->drained) {
        w->drained = true;
        notice_add(w->dispatch, &w->notice, WORKER_DRAINED);
    }
}

offer *worker_find_offer(const dispatch_worker *w, slice name, dispatch_kind kind) {
    for (size_t i = 0; i < w->offer_count; i++) {
        if (model_is(w->offers[i].model, name, kind)) {
            return &w->offers[i];
        }
    }
    return NULL;
}

void worker_free(dispatch_worker *w) {
    if (w != NULL) {
        memory_free(w->offers);
        memory_free(w->leases);
        memory_free(w);
    }
}

static bool check_offers(const dispatch_offer *models, size_t count, uint64_t *slots, error *err) {
    if (count == 0 || count > DISPATCH_MODELS_MAX) {
        return error_set(err, ERROR_INVALID, "a worker must offer between 1 and %d models",
                         DISPATCH_MODELS_MAX);
    }
    *slots = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t fresh = models[i].slots;
        if (models[i].model.length == 0 || models[i].model.length > DISPATCH_MODEL_NAME_MAX) {
            return error_set(err, ERROR_INVALID, "a model name must have between 1 and %d bytes",
                             DISPATCH_MODEL_NAME_MAX);
        }
        if (models[i].slots == 0) {
            return error_set(err, ERROR_INVALID, "a model must have at least one slot");
        }
        for (size_t j = 0; j < i; j++) {
            if (!slice_equal(models[i].model, models[j].model)) {
                continue;
            }
            if (models[i].kind == models[j].kind || models[i].slots != models[j].slots) {
                return error_set(err, ERROR_INVALID, "a worker must not offer a model twice");
            }
            fresh = 0;
        }
        *slots += fresh;
    }
    return *slots <= DISPATCH_SLOTS_MAX ||
           error_set(err, ERROR_INVALID, "a worker must have at most %d slots", DISPATCH_SLOTS_MAX);
}

static void init_leases(dispatch_worker *w) {
    list_init(&w->free);
    list_init(&w->running);
    list_init(&w->lingering);
    for (uint32_t i = 0; i < w->capacity; i++) {
        lease *l = &w->leases[i];
        l->worker = w;
        l->grace.owner = TIMER_LEASE;
        l->notice.owner = NOTICE_LEASE;
        list_append(&w->free, &l->link);
    }
}

static dispatch_worker *worker_new(dispatch *d, const dispatch_id *id, void *context, size_t model_count,
                                   uint32_t slots) {
    dispatch_worker *w = memory_allocate_zeroed(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    w->offers = memory_allocate_zeroed(model_count, sizeof *w->offers);
    w->leases = memory_allocate_zeroed(slots, sizeof *w->leases);
    if (w->offers == NULL || w->leases == NULL) {
        worker_free(w);
        return NULL;
    }
    w->dispatch = d;
    w->id = *id;
    w->context = context;
    w->capacity = slots;
    w->slots = slots;
    w->beat.owner = TIMER_WORKER;
    w->notice.owner = NOTICE_WORKER;
    init_leases(w);
    return w;
}

static void drop_offers(dispatch_worker *w) {
    for (size_t i = 0; i < w->offer_count; i++) {
        offer *o = &w->offers[i];
        o->variant->references--;
        variant_drop(w->dispatch, o->variant);
        o->model->references--;
        model_drop(w->dispatch, o->model);
    }
    w->offer_count = 0;
}

static bool take_offer(dispatch_worker *w, const dispatch_offer *spec) {
    dispatch *d = w->dispatch;
    model *m = model_take(d, spec->model, spec->kind);
    if (m == NULL) {
        return false;
    }
    variant *v = variant_take(d, spec);
    if (v == NULL) {
        m->references--;
        model_drop(d, m);
        return false;
    }
    offer *twin =
        worker_find_offer(w, spec->model, spec->kind == DISPATCH_EMBED ? DISPATCH_GENERATE : DISPATCH_EMBED);
    offer *added = &w->offers[w->offer_count++];
    *added = (offer){.worker = w, .model = m, .variant = v, .twin = twin, .slots = spec->slots};
    if (twin != NULL) {
        twin->twin = added;
    }
    return heap_reserve(&m->choices, m->choices.count + 1) && heap_reserve(&v->choices, v->choices.count + 1);
}

/* All the memory it will ever need. */
static bool reserve(dispatch_worker *w, const dispatch_offer *models, size_t model_count) {
    dispatch *d = w->dispatch;
    for (size_t i = 0; i < model_count; i++) {
        if (!take_offer(w, &models[i])) {
            return false;
        }
    }
    return heap_reserve(&d->timers, d->timers_needed + 1 + w->capacity) &&
           map_put(d->workers, id_slice(&w->id), w);
}

static void join(dispatch_worker *w, uint64_t now) {
    dispatch *d = w->dispatch;
    d->timers_needed += 1 + (size_t)w->capacity;
    d->stats.workers++;
    d->stats.slots += w->slots;
    w->session = ++d->sessions;
    w->heard_at = now;
    timer_arm(d, &w->beat, now + d->config.dead_after_ms);
    for (size_t i = 0; i < w->offer_count; i++) {
        offer *o = &w->offers[i];
        o->model->slots += o->slots;
        timer_disarm(d, &o->model->grace);
        heap_insert(&o->model->choices, &o->in_model);
        heap_insert(&o->variant->choices, &o->in_variant);
    }
    assert(worker_holds(w));
}

dispatch_worker *dispatch_worker_add(dispatch *d, const dispatch_id *id, void *context,
                                     const dispatch_offer *models, size_t model_count, uint64_t now,
                                     error *err) {
    uint64_t slots = 0;
    if (!check_offers(models, model_count, &slots, err)) {
        return NULL;
    }
    dispatch_worker *old = dispatch_worker_find(d, id);
    dispatch_worker *w = worker_new(d, id, context, model_count, (uint32_t)slots);
    if (w == NULL || !reserve(w, models, model_count)) {
        if (w != NULL) {
            drop_offers(w);
        }
        worker_free(w);
        error_memory(err);
        return NULL;
    }
    dispatch_enter(d);
    join(w, now);
    if (old != NULL) {
        worker_close(old, DISPATCH_REPLACED, now);
    }
    dispatch_leave(d);
    return w;
}

/* Out of every choice. */
static void withdraw(dispatch_worker *w, dispatch_worker_state state) {
    for (size_t i = 0; i < w->offer_count; i++) {
        offer *o = &w->offers[i];
        if (o->in_model.place != 0) {
            heap_remove(&o->model->choices, &o->in_model);
            heap_remove(&o->variant->choices, &o->in_variant);
            o->model->slots -= o->slots;
        }
    }
    if (state != DISPATCH_GONE) {
        set_state(w, state);
    }
}

static void move_jobs(dispatch_worker *w, uint64_t now) {
    list_node *node = NULL;
    while ((node = list_first(&w->running)) != NULL) {
        lease *l = LIST_ENTRY(node, lease, link);
        dispatch_job *job = l->job;
        lease_release(l);
        job_move_on(job, now);
    }
    while ((node = list_first(&w->lingering)) != NULL) {
        lease_release(LIST_ENTRY(node, lease, link));
    }
}

/* Out of every table; only the memory stays. */
static void worker_end(dispatch_worker *w, uint64_t now) {
    dispatch *d = w->dispatch;
    bool choosable = w->state != DISPATCH_DRAINING;
    w->drained = true;
    withdraw(w, DISPATCH_GONE);
    if (map_get(d->workers, id_slice(&w->id)) == w) {
        map_remove(d->workers, id_slice(&w->id));
    }
    move_jobs(w, now);
    if (choosable) {
        queue_withdrawn(w, now);
    }
    set_state(w, DISPATCH_GONE);
    drop_offers(w);
    notice_drop(&w->notice);
    timer_disarm(d, &w->beat);
    d->timers_needed -= 1 + (size_t)w->capacity;
    d->stats.workers--;
    d->stats.slots -= w->slots;
}

void worker_close(dispatch_worker *w, dispatch_closing reason, uint64_t now) {
    worker_end(w, now);
    w->closing = reason;
    notice_add(w->dispatch, &w->notice, WORKER_CLOSED);
}

void dispatch_worker_remove(dispatch_worker *w, uint64_t now) {
    dispatch *d = w->dispatch;
    if (w->state == DISPATCH_GONE) { /* its worker_closed was about to be called */
        notice_drop(&w->notice);
        worker_free(w);
        return;
    }
    dispatch_enter(d);
    worker_end(w, now);
    worker_free(w);
    dispatch_leave(d);
}

void dispatch_worker_ready(dispatch_worker *w, uint64_t now) {
    if (w->state != DISPATCH_JOINED) {
        return;
    }
    dispatch_enter(w->dispatch);
    set_state(w, DISPATCH_SERVING);
    worker_changed(w);
    queue_fill(w, now);
    dispatch_leave(w->dispatch);
}

bool dispatch_worker_rename(dispatch_worker *w, const dispatch_id *id, error *err) {
    dispatch *d = w->dispatch;
    if (map_get(d->workers, id_slice(id)) != NULL) {
        return error_set(err, ERROR_CONFLICT, "another session goes by this id");
    }
    if (w->state != DISPATCH_GONE) {
        if (!map_put(d->workers, id_slice(id), w)) {
            return error_memory(err);
        }
        map_remove(d->workers, id_slice(&w->id));
    }
    w->id = *id;
    return true;
}

void dispatch_worker_hold(dispatch_worker *w, bool hold, uint64_t now) {
    if (w->state == DISPATCH_GONE || w->held == hold) {
        return;
    }
    dispatch_enter(w->dispatch);
    w->held = hold;
    worker_changed(w);
    queue_fill(w, now);
    dispatch_leave(w->dispatch);
}

bool dispatch_worker_reserve(dispatch_worker *w, slice name, bool reserve, uint64_t now) {
    offer *o = w->state == DISPATCH_GONE ? NULL : worker_find_offer(w, name, DISPATCH_GENERATE);
    bool hopeless = w->state != DISPATCH_SERVING || w->availability == DISPATCH_PAUSED || w->hung > 0;
    if (o == NULL || (reserve && hopeless)) {
        return false;
    }
    if (o->reserved != reserve) {
        dispatch_enter(w->dispatch);
        o->reserved = reserve;
        w->reserved = reserve ? w->reserved + 1 : w->reserved - 1;
        worker_changed(w);
        queue_fill(w, now);
        dispatch_leave(w->dispatch);
    }
    return true;
}

void dispatch_worker_drain(dispatch_worker *w, uint64_t now) {
    if (w->state != DISPATCH_JOINED && w->state != DISPATCH_SERVING) {
        return;
    }
    dispatch_enter(w->dispatch);
    withdraw(w, DISPATCH_DRAINING);
    queue_withdrawn(w, now);
    worker_changed(w);
    dispatch_leave(w->dispatch);
}

void dispatch_worker_beat(dispatch_worker *w, const dispatch_beat *beat, uint64_t now) {
    if (w->state == DISPATCH_GONE) {
        return;
    }
    dispatch *d = w->dispatch;
    dispatch_enter(d);
    w->heard_at = now;
    w->load = beat->load;
    w->availability = beat->availability;
    w->foreign = beat->running > w->busy ? beat->running - w->busy : 0;
    d->stats.slots -= w->slots;
    w->slots = beat->slots < w->capacity ? beat->slots : w->capacity;
    d->stats.slots += w->slots;
    worker_changed(w);
    queue_fill(w, now);
    dispatch_leave(d);
}

/* Beats don't touch the timer: it looks here when it runs out. */
void worker_expire(dispatch_worker *w, uint64_t now) {
    uint64_t due = w->heard_at + w->dispatch->config.dead_after_ms;
    if (due > now) {
        timer_arm(w->dispatch, &w->beat, due);
    } else {
        worker_close(w, DISPATCH_DEAD, now);
    }
}

dispatch_worker *dispatch_worker_find(const dispatch *d, const dispatch_id *id) {
    return map_get(d->workers, id_slice(id));
}

void dispatch_worker_describe(const dispatch_worker *w, dispatch_worker_info *info) {
    uint32_t running = 0;
    for (const list_node *node = w->running.next; node != &w->running; node = node->next) {
        running++;
    }
    *info = (dispatch_worker_info){.id = w->id,
                                   .context = w->context,
                                   .state = w->state,
                                   .availability = w->availability,
                                   .held = w->held,
                                   .suspect = w->suspect,
                                   .load = w->load,
                                   .running = running,
                                   .busy = w->busy + w->foreign,
                                   .slots = w->slots,
                                   .completed = w->completed};
}

dispatch_worker *dispatch_worker_next(const dispatch *d, size_t *position) {
    void *value = NULL;
    return map_next(d->workers, position, NULL, &value) ? value : NULL;
}
