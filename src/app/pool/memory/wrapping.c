#include "keyring_internal.h"

#include "auth/token.h"
#include "base/memory.h"
#include "os/clock.h"

/* One more token that opens a vault which is open. */
typedef struct wrapping {
    derivation work;
    open_vault *vault; /* held: its key doesn't go meanwhile */
    uint64_t key_id;
    uint8_t *token; /* slot */
    store_done *done;
    void *context;
} wrapping;

static void free_wrapping(wrapping *w) {
    slots_give(w->vault->ring->slots, w->token);
    buffer_wipe(&w->work.made);
    keyring_give_back(w->vault);
    memory_free(w);
}

static void end(void *context, const error *failure) {
    wrapping ended = *(wrapping *)context;
    free_wrapping(context);
    ended.done(ended.context, failure);
}

static void stretched(derivation *d, const error *failure) {
    wrapping *w = LIST_ENTRY(d, wrapping, work);
    error err = {0};
    store_wrap wrap = {.key_id = w->key_id,
                       .kind = slice_of_text(wrap_kind),
                       .cost = WRAP_COST,
                       .wrapped = buffer_slice(&d->made)};
    if (failure != NULL) {
        end(w, failure);
    } else if (!store_wrap_put(w->vault->ring->pool->store, w->vault->user_id, d->owner.salt, &wrap, 0, end,
                               w, &err)) {
        end(w, &err);
    }
}

bool keyring_wrap(open_vault *v, uint64_t key_id, slice token, store_done *done, void *context, error *err) {
    if (!auth_user_key_check(token)) {
        return error_set(err, ERROR_INVALID, "this is not a key: it is the text that begins with ck_");
    }
    wrapping *w = memory_allocate_zeroed(1, sizeof *w);
    if (w == NULL) {
        return error_memory(err);
    }
    *w = (wrapping){.vault = v, .key_id = key_id, .done = done, .context = context};
    keyring_hold(v);
    w->token = slots_take(v->ring->slots, err);
    if (w->token == NULL) {
        free_wrapping(w);
        return false;
    }
    memcpy(w->token, token.data, token.length);
    w->work = (derivation){.owner = {.user_id = v->user_id, .key_id = key_id},
                           .token = slice_of(w->token, token.length),
                           .data_key = (uint8_t *)(uintptr_t)v->data_key,
                           .makes = true,
                           .unix_ms = clock_unix_ms(),
                           .done = stretched};
    memcpy(w->work.owner.salt, v->salt, sizeof v->salt);
    if (!derive_submit(v->ring->derivations, &w->work, err)) {
        free_wrapping(w);
        return false;
    }
    return true;
}
