#include "memory/derive.h"

#include "base/memory.h"

#include <unistd.h>

struct derive_queue {
    ev_loop *loop;
    list_node waiting; /* derivation.node */
    size_t waiting_count;
    size_t running;
    size_t limit; /* at once */
};

/* Half of the processors, so that the loop and the database always have one. */
static size_t limit_at_once(void) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors < 4 ? 1 : (size_t)processors / 2;
}

derive_queue *derive_queue_new(ev_loop *loop, error *err) {
    derive_queue *q = memory_allocate_zeroed(1, sizeof *q);
    if (q == NULL) {
        error_memory(err);
        return NULL;
    }
    q->loop = loop;
    q->limit = limit_at_once();
    list_init(&q->waiting);
    return q;
}

void derive_queue_free(derive_queue *q) {
    memory_free(q);
}

static void work(void *argument) {
    derivation *d = argument;
    d->failed =
        d->makes ? !wrap_seal(d->token, &d->owner, WRAP_COST, d->unix_ms, d->data_key, &d->made, &d->failure)
                 : !wrap_open(d->token, &d->owner, d->kind, d->cost, d->wrapped, d->data_key, &d->failure);
}

static void start_next(derive_queue *q);

static void worked(void *argument) {
    derivation *d = argument;
    derive_queue *q = d->queue;
    q->running--;
    start_next(q);
    d->done(d, d->failed ? &d->failure : NULL);
}

static bool start(derive_queue *q, derivation *d, error *err) {
    if (!ev_work(q->loop, work, worked, d, err)) {
        return false;
    }
    q->running++;
    return true;
}

static void start_next(derive_queue *q) {
    while (q->running < q->limit && !list_is_empty(&q->waiting)) {
        derivation *d = LIST_ENTRY(list_first(&q->waiting), derivation, node);
        error err = {0};
        list_remove(&d->node);
        q->waiting_count--;
        if (!start(q, d, &err)) {
            d->done(d, &err);
        }
    }
}

static size_t waiting_of(const derive_queue *q, uint64_t user_id) {
    size_t count = 0;
    for (list_node *node = q->waiting.next; node != &q->waiting; node = node->next) {
        count += LIST_ENTRY(node, derivation, node)->owner.user_id == user_id;
    }
    return count;
}

bool derive_submit(derive_queue *q, derivation *d, error *err) {
    d->queue = q;
    d->failed = false;
    d->made = buffer_make(WRAP_SIZE_MAX);
    list_init(&d->node);
    if (q->running < q->limit) {
        return start(q, d, err);
    }
    if (waiting_of(q, d->owner.user_id) >= DERIVE_WAITING_OF_USER_MAX) {
        return error_set(err, ERROR_LIMIT, "you are opening too much at once; try again in a moment");
    }
    if (q->waiting_count >= DERIVE_WAITING_MAX) {
        return error_set(err, ERROR_LIMIT,
                         "too many users are opening their memory just now; try again in a moment");
    }
    list_append(&q->waiting, &d->node);
    q->waiting_count++;
    return true;
}
