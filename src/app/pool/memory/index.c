#include "index_internal.h"

#include "base/log.h"
#include "base/memory.h"

enum { SMALL_BYTES = 1024 * 1024 /* wiped at once */ };

indexes *indexes_new(pool *p, error *err) {
    indexes *all = memory_allocate_zeroed(1, sizeof *all);
    if (all == NULL) {
        error_memory(err);
        return NULL;
    }
    all->pool = p;
    list_init(&all->all);
    return all;
}

static void free_index(fact_index *x) {
    index_unload(x);
    ev_defer_cancel(&x->turn);
    list_remove(&x->node);
    arena_free(x->sealed);
    memory_free(x);
}

static void fail_all(fact_index *x, const error *failure);

void indexes_end(indexes *all) {
    error closed = {0};
    error_set(&closed, ERROR_CONFLICT, "the pool is stopping");
    for (list_node *node = all == NULL ? NULL : all->all.next; node != NULL && node != &all->all;
         node = node->next) {
        fail_all(LIST_ENTRY(node, fact_index, node), &closed);
    }
}

void indexes_free(indexes *all) {
    if (all == NULL) {
        return;
    }
    while (!list_is_empty(&all->all)) { /* the keyring has detached them; the loop runs no turn any more */
        free_index(LIST_ENTRY(list_first(&all->all), fact_index, node));
    }
    memory_free(all);
}

void index_continue(fact_index *x) {
    ev_defer(x->all->pool->loop, &x->turn);
}

void indexes_stop(indexes *all) {
    if (all == NULL) {
        return;
    }
    all->stopped = true;
    for (list_node *node = all->all.next; node != &all->all; node = node->next) {
        refresh_end(LIST_ENTRY(node, fact_index, node));
    }
}

void indexes_reconsider(indexes *all) {
    for (list_node *node = all->all.next; node != &all->all; node = node->next) {
        fact_index *x = LIST_ENTRY(node, fact_index, node);
        if (x->data != NULL || x->busy) {
            x->wanted = true;
            index_continue(x);
        }
    }
}

/* -- what is loaded -- */

static void wipe_data(void *argument) {
    index_data_free(argument);
}

static void wiped(void *argument) {
    (void)argument;
}

void index_unload(fact_index *x) {
    index_data *data = x->data;
    error ignored = {0};
    refresh_end(x);
    x->data = NULL;
    x->all->bytes -= x->bytes;
    x->bytes = 0;
    if (data != NULL && (index_data_size(data) <= SMALL_BYTES ||
                         !ev_work(x->all->pool->loop, wipe_data, wiped, data, &ignored))) {
        index_data_free(data);
    }
}

/* The one that wasn't used for longest and isn't now. */
static fact_index *find_idle(const fact_index *but) {
    for (list_node *node = but->all->all.next; node != &but->all->all; node = node->next) {
        fact_index *x = LIST_ENTRY(node, fact_index, node);
        if (x != but && x->data != NULL && !x->busy && list_is_empty(&x->tasks)) {
            return x;
        }
    }
    return NULL;
}

bool index_count(fact_index *x, index_data *data, error *err) {
    indexes *all = x->all;
    size_t most = (size_t)all->pool->settings.fact_memory_mib * 1024 * 1024;
    for (;;) {
        size_t size = index_data_size(data);
        all->bytes = all->bytes - x->bytes + size;
        x->bytes = size;
        fact_index *idle = all->bytes <= most ? NULL : find_idle(x);
        if (all->bytes <= most) {
            return true;
        }
        if (idle != NULL) {
            index_unload(idle);
        } else if (data->model != NULL) {
            log_warning("the vectors that a model has made of a user's facts have no room in memory");
            index_data_forget_model(data);
            data->no_room = true;
        } else {
            return error_set(err, ERROR_LIMIT,
                             "there is no room in the pool's memory for your facts just now; try again in a "
                             "moment, or ask "
                             "your admin to raise fact_memory_mib");
        }
    }
}

/* -- one thing after the other -- */

static void fail_all(fact_index *x, const error *failure) {
    list_node ending;
    list_init(&ending);
    while (!list_is_empty(&x->tasks)) {
        list_node *node = list_first(&x->tasks);
        list_remove(node);
        list_append(&ending, node);
    }
    while (!list_is_empty(&ending)) {
        index_task *task = LIST_ENTRY(list_first(&ending), index_task, node);
        list_remove(&task->node);
        task->done(task, failure);
    }
}

void index_loaded(fact_index *x, index_data *data, const error *failure) {
    x->busy = false;
    x->data = failure == NULL && x->vault != NULL ? data : NULL;
    if (x->data == NULL) {
        x->all->bytes -= x->bytes;
        x->bytes = 0;
        index_data_free(data);
    }
    if (failure != NULL) {
        fail_all(x, failure);
    }
    index_continue(x);
}

typedef struct running {
    fact_index *index;
    index_task *task;
} running;

static void run_task(void *argument) {
    const running *r = argument;
    r->task->work(r->index, r->task);
}

static void task_run(void *argument) {
    running *r = argument;
    fact_index *x = r->index;
    index_task *task = r->task;
    error err = {0};
    memory_free(r);
    x->busy = false;
    if (!index_count(x, x->data, &err)) {
        index_unload(x);
    }
    index_continue(x);
    task->done(task, NULL);
}

static void start_task(fact_index *x, index_task *task) {
    error err = {0};
    running *r = memory_allocate(sizeof *r);
    if (r == NULL) {
        error_memory(&err);
        task->done(task, &err);
        return;
    }
    *r = (running){x, task};
    x->busy = ev_work(x->all->pool->loop, run_task, task_run, r, &err);
    if (!x->busy) {
        memory_free(r);
        task->done(task, &err);
    }
}

static index_task *next_task(fact_index *x) {
    index_task *task = LIST_ENTRY(list_first(&x->tasks), index_task, node);
    list_remove(&task->node);
    return task;
}

static void end_closed(fact_index *x) {
    error closed = {0};
    error_set(&closed, ERROR_CONFLICT, "your memory was locked meanwhile; ask again");
    fail_all(x, &closed);
    index_unload(x);
    if (list_is_empty(&x->tasks)) {
        free_index(x);
    } else {
        index_continue(x);
    }
}

static bool is_outdated(const fact_index *x) {
    return x->data != NULL && !slice_equal_text(index_target(x->all->pool), x->data->wish.target);
}

/* Each turn begins at most one thing: what ends may have the index's owner go. */
static void take_turn(void *context) {
    fact_index *x = context;
    if (x->busy) { /* it goes on behind that */
        return;
    }
    if (x->vault == NULL) {
        end_closed(x);
        return;
    }
    if (x->forget || is_outdated(x)) {
        x->forget = false;
        index_unload(x);
    }
    bool idle = list_is_empty(&x->tasks);
    if (!idle && x->data == NULL && LIST_ENTRY(list_first(&x->tasks), index_task, node)->only_loaded) {
        index_task *task = next_task(x);
        index_continue(x);
        task->done(task, NULL);
    } else if (x->data == NULL && (!idle || x->wanted)) {
        x->wanted = false;
        index_load(x);
    } else if (!idle) {
        index_continue(x);
        start_task(x, next_task(x));
    } else if (x->data != NULL) {
        x->wanted = false;
        refresh_consider(x);
    }
}

void index_add_task(fact_index *x, index_task *task) {
    list_init(&task->node);
    list_append(&x->tasks, &task->node);
    list_remove(&x->node);
    list_append(&x->all->all, &x->node);
    index_continue(x);
}

/* Nothing may be called back from here: the vault is being closed. */
static void detach(void *attached) {
    fact_index *x = attached;
    x->vault = NULL;
    if (x->busy) {
        refresh_end(x);
    } else {
        index_unload(x);
    }
    index_continue(x);
}

fact_index *index_of(pool *p, open_vault *v, error *err) {
    if (v->closed) {
        error_set(err, ERROR_CONFLICT, "your memory was locked meanwhile; ask again");
        return NULL;
    }
    if (v->attached != NULL) {
        return v->attached;
    }
    fact_index *x = memory_allocate_zeroed(1, sizeof *x);
    if (x == NULL) {
        error_memory(err);
        return NULL;
    }
    x->all = p->indexes;
    x->vault = v;
    x->user_id = v->user_id;
    list_init(&x->tasks);
    list_append(&p->indexes->all, &x->node);
    ev_deferred_init(&x->turn, take_turn, x);
    keyring_attach(v, x, detach);
    return x;
}
