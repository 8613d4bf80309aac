#include "privacy/erase.h"

#include "base/log.h"
#include "base/memory.h"
#include "memory/keyring.h"
#include "store/vaults.h"

enum { FOUND_AT_ONCE = 100 };

/* Of one user, while the store works for it. */
typedef struct erasing {
    list_node node; /* in pool.erasings */
    pool *pool;
    uint64_t user_id;
    erase_begun *done; /* NULL once called: the wraps are gone */
    void *context;
} erasing;

static erasing *find(const pool *p, uint64_t user_id) {
    for (list_node *node = p->erasings.next; node != &p->erasings; node = node->next) {
        erasing *e = LIST_ENTRY(node, erasing, node);
        if (e->user_id == user_id) {
            return e;
        }
    }
    return NULL;
}

static void finish(erasing *e) {
    list_remove(&e->node);
    memory_free(e);
}

static void tell(erasing *e, erase_state state, const error *failure) {
    erase_begun *done = e->done;
    e->done = NULL;
    if (done != NULL) {
        done(e->context, state, failure);
    }
}

static void step_done(void *context, bool more, const error *failure);

static bool step(erasing *e, error *err) {
    return store_vault_erase(e->pool->store, e->user_id, step_done, e, err);
}

/* What can't go on now is found again within the minute. */
static void give_up(erasing *e, const error *failure) {
    log_error("what a user kept isn't erased to its end yet", LOG_U64("user", e->user_id),
              LOG_CAUSE(failure));
    tell(e, ERASE_CLEARING, failure);
    finish(e);
}

static void step_done(void *context, bool more, const error *failure) {
    erasing *e = context;
    error err = {0};
    bool was_there = failure == NULL;
    if (failure != NULL && failure->code != ERROR_NOT_FOUND) {
        give_up(e, failure);
        return;
    }
    /* Whoever has read the wraps meanwhile must not open with them. */
    keyring_erase_user(e->pool->keyring, e->user_id);
    if (was_there && more) {
        tell(e, ERASE_CLEARING, NULL);
        if (e->pool->stopping) {
            finish(e); /* the next start goes on */
        } else if (!step(e, &err)) {
            give_up(e, &err);
        }
        return;
    }
    log_info("what a user kept is erased", LOG_U64("user", e->user_id));
    tell(e, ERASE_DONE, NULL);
    finish(e);
}

static bool start(pool *p, uint64_t user_id, erase_begun *done, void *context, error *err) {
    erasing *e = memory_allocate(sizeof *e);
    if (e == NULL) {
        return error_memory(err);
    }
    *e = (erasing){.pool = p, .user_id = user_id, .done = done, .context = context};
    list_init(&e->node);
    keyring_erase_user(p->keyring, user_id);
    if (!step(e, err)) {
        memory_free(e);
        return false;
    }
    list_append(&p->erasings, &e->node);
    return true;
}

bool erase_begin(pool *p, uint64_t user_id, erase_begun *done, void *context, error *err) {
    const erasing *other = find(p, user_id);
    if (other == NULL) {
        return start(p, user_id, done, context, err);
    }
    if (other->done != NULL) {
        return error_set(err, ERROR_CONFLICT, "another request has just begun to erase it; ask again");
    }
    done(context, ERASE_CLEARING, NULL);
    return true;
}

/* One that was found may have come to its end since, but not without being told of here first: the store
 * answers in the order in which it works. So what is erased here is never a vault that was made after it. */
static void found(void *context, const uint64_t *user_ids, size_t count, const error *failure) {
    pool *p = context;
    error err = failure == NULL ? (error){0} : *failure;
    bool started = failure == NULL;
    for (size_t i = 0; started && i < count; i++) {
        started = find(p, user_ids[i]) != NULL || start(p, user_ids[i], NULL, NULL, &err);
    }
    if (!started) {
        log_warning("erasing doesn't go on; it is tried again in a minute", LOG_CAUSE(&err));
    }
}

void erase_go_on(pool *p) {
    error err = {0};
    if (!store_vaults_erasing(p->store, FOUND_AT_ONCE, found, p, &err)) {
        found(p, NULL, 0, &err);
    }
}

size_t erase_count(const pool *p) {
    size_t count = 0;
    for (const list_node *node = p->erasings.next; node != &p->erasings; node = node->next) {
        count++;
    }
    return count;
}
