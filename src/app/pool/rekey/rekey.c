#include "rekey/rekey.h"

#include "audit/audit.h"
#include "base/log.h"
#include "base/memory.h"
#include "crypto/sign.h"
#include "os/clock.h"
#include "os/random.h"
#include "proof/proof.h"
#include "proto/rekey.h"
#include "revoke/revoke.h"
#include "session_internal.h"
#include "store/meta.h"

#include <stdio.h>

enum {
    TICK_MS = 20, /* so many are asked in each: the pool verifies two signatures for each that answers */
    ASKED_IN_TICK = 32,
    ANSWER_MS = 30000 /* then it is asked anew */
};

#define EPOCH "worker_key_epoch"

static void epoch_found(void *context, slice value, const error *failure) {
    pool *p = context;
    if (failure != NULL) {
        p->start_failure = failure->code == ERROR_NOT_FOUND ? p->start_failure : *failure;
    } else if (!slice_to_u64(value, &p->key_epoch) || p->key_epoch >= PROTO_INTEGER_MAX) {
        error_set(&p->start_failure, ERROR_CORRUPT, "the database's %s is no number", EPOCH);
    }
}

static void ask_some(void *context);

void rekey_init(pool *p) {
    ev_timer_init(&p->rekey_timer, ask_some, p);
}

bool rekey_load(pool *p, store *database, error *err) {
    return store_meta_get(database, SLICE_LITERAL(EPOCH), epoch_found, p, err);
}

void rekey_stop(pool *p) {
    ev_timer_stop(&p->rekey_timer);
}

static bool is_due(const session *s) {
    return s->state == PROTO_SERVING && s->rekey == REKEY_WANTED;
}

static void ask(session *s) {
    proto_message message = {.type = PROTO_REKEY, .rekey = {.epoch = s->rekey_epoch}};
    error err = {0};
    if (!random_bytes(s->rekey_nonce, sizeof s->rekey_nonce, &err)) {
        return; /* with its next beat */
    }
    memcpy(message.rekey.nonce, s->rekey_nonce, sizeof message.rekey.nonce);
    s->rekey = REKEY_ASKED;
    s->rekey_since_ms = ev_now_ms(s->pool->loop);
    if (!session_send(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "the worker doesn't read");
    }
}

/* A walk over all sessions that stops early; what it has asked isn't due any more. */
static void ask_some(void *context) {
    pool *p = context;
    size_t asked = 0;
    for (list_node *node = p->sessions.next, *next = NULL; node != &p->sessions; node = next) {
        session *s = LIST_ENTRY(node, session, node);
        next = node->next;
        if (is_due(s)) {
            ask(s);
            if (++asked == ASKED_IN_TICK) {
                ev_timer_start(p->loop, &p->rekey_timer, TICK_MS);
                return;
            }
        }
    }
}

static void want(session *s, uint64_t epoch) {
    s->rekey = REKEY_WANTED;
    s->rekey_epoch = epoch;
    if (!ev_timer_is_running(&s->pool->rekey_timer)) {
        ev_timer_start(s->pool->loop, &s->pool->rekey_timer, 0);
    }
}

void rekey_look(session *s) {
    uint64_t epoch = s->pool->key_epoch;
    bool silent = s->rekey == REKEY_ASKED && ev_now_ms(s->pool->loop) - s->rekey_since_ms > ANSWER_MS;
    if (s->state == PROTO_SERVING && !s->worker->replacing &&
        (silent || s->rekey == REKEY_WANTED || (s->rekey == REKEY_NONE && s->worker->key_epoch < epoch))) {
        want(s, epoch);
    }
}

bool rekey_one(fleet_worker *worker) {
    session *s = worker->session;
    if (s == NULL || s->state != PROTO_SERVING || s->rekey != REKEY_NONE || worker->replacing) {
        return false;
    }
    want(s, s->pool->key_epoch);
    return true;
}

/* What the store is being told, until it answers. */
typedef struct raising {
    pool *pool;
    uint64_t epoch;
    store_done *done;
    void *context;
} raising;

static void epoch_stored(void *context, const error *failure) {
    raising r = *(raising *)context;
    memory_free(context);
    if (failure == NULL && r.epoch > r.pool->key_epoch) {
        r.pool->key_epoch = r.epoch;
        for (list_node *node = r.pool->sessions.next; node != &r.pool->sessions; node = node->next) {
            session *s = LIST_ENTRY(node, session, node);
            if (s->worker != NULL) {
                rekey_look(s);
            }
        }
    }
    r.done(r.context, failure);
}

bool rekey_all(pool *p, store_done *done, void *context, error *err) {
    char text[24];
    raising *r = memory_allocate(sizeof *r);
    if (r == NULL) {
        return error_memory(err);
    }
    *r = (raising){p, p->key_epoch + 1, done, context};
    int length = snprintf(text, sizeof text, "%llu", (unsigned long long)r->epoch);
    if (!store_meta_set(p->store, SLICE_LITERAL(EPOCH), slice_of(text, (size_t)length), epoch_stored, r,
                        err)) {
        memory_free(r);
        return false;
    }
    return true;
}

/* A new key on its way to the disk. The session may end meanwhile: then the machine comes back with it. */
typedef struct replacing {
    pool *pool;
    uint8_t former_id[STORE_WORKER_ID_SIZE];
    uint8_t id[STORE_WORKER_ID_SIZE];
} replacing;

/* The session goes on under the new key. */
static void change_identity(session *s, fleet_worker *worker) {
    proto_message message = {.type = PROTO_REKEYED};
    fleet_worker *former = s->worker;
    dispatch_id id;
    error err = {0};
    memcpy(id.bytes, worker->id, sizeof id.bytes);
    memcpy(message.rekeyed.worker_id, worker->id, sizeof message.rekeyed.worker_id);
    s->rekey = REKEY_NONE;
    proof_worker_left(s);
    former->session = NULL;
    worker->session = s;
    worker->certificate_ms = former->certificate_ms; /* it still shows that one */
    s->worker = worker;
    if (s->handle == NULL || !dispatch_worker_rename(s->handle, &id, &err) || !proof_worker_ready(s, &err)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "out of memory"); /* it comes back with its new key */
    } else if (!session_send(s, &message)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "the worker doesn't read");
    } else {
        rekey_look(s); /* the epoch may have been raised again */
    }
}

static void take_successor(pool *p, fleet_worker *former, fleet_worker *worker) {
    bool was_revoked = former->revoked_ms != 0;
    session *s = former->session;
    char change[2 * sizeof worker->id_hex + 8];
    fleet_link(p->fleet, worker);
    former->revoked_ms = was_revoked ? former->revoked_ms : clock_unix_ms();
    snprintf(change, sizeof change, "%s to %s", former->id_hex, worker->id_hex);
    audit_note_event(p, "worker_rekeyed", slice_of_text(change), NULL);
    log_info("worker has another key", LOG_TEXT("worker", worker->id_hex),
             LOG_TEXT("former", former->id_hex));
    if (was_revoked) {
        revoke_worker_noted(p, worker, "revoked by the admin");
    } else if (former->suspected_ms != 0) {
        session_suspect(p, worker, "the key before this one was copied");
    } else if (s != NULL && s->rekey == REKEY_STORING) {
        change_identity(s, worker);
    } else if (s != NULL) { /* it came back meanwhile, under the key that it had */
        session_close(s, PROTO_CLOSE_GOING_AWAY, "this machine has another key by now");
    }
}

static void key_replaced(void *context, const store_worker *stored, const error *failure) {
    replacing r = *(replacing *)context;
    pool *p = r.pool;
    error err = {0};
    memory_free(context);
    fleet_worker *former = fleet_find(p->fleet, r.former_id);
    session *s = former == NULL ? NULL : former->session;
    if (former != NULL) {
        former->replacing = false;
    }
    bool put = failure == NULL && former != NULL && fleet_put_stored(p->fleet, stored, &err);
    fleet_worker *worker = put ? fleet_find(p->fleet, r.id) : NULL;
    if (worker != NULL) {
        take_successor(p, former, worker);
        return;
    }
    fleet_release(p->fleet, r.id);
    log_error("a worker's new key was not stored", LOG_CAUSE(failure == NULL ? &err : failure));
    if (s != NULL && s->rekey == REKEY_STORING) {
        s->rekey = REKEY_NONE; /* it is asked again with its next beat */
    }
}

static bool verify(const session *s, const proto_new_key *wish, error *err) {
    proto_rekey_input input = {.epoch = s->rekey_epoch};
    buffer bytes = buffer_make(1024);
    bool holds = websocket_tls_exporter(s->socket, PROTO_EXPORTER_LABEL, input.exporter, err);
    memcpy(input.pool_id, s->pool->site.pool_id, sizeof input.pool_id);
    memcpy(input.worker_id, s->worker->id, sizeof input.worker_id);
    memcpy(input.nonce, s->rekey_nonce, sizeof input.nonce);
    memcpy(input.public_key, wish->public_key, sizeof input.public_key);
    proto_rekey_bytes(&input, &bytes);
    holds = holds && (!buffer_failed(&bytes) || error_memory(err)) &&
            ((sign_verify(s->worker->public_key, buffer_slice(&bytes), wish->former_signature) &&
              sign_verify(wish->public_key, buffer_slice(&bytes), wish->signature)) ||
             error_set(err, ERROR_DENIED, "a new key that isn't signed with both keys"));
    buffer_free(&bytes);
    return holds;
}

static bool keep_key(session *s, const proto_new_key *wish, error *err) {
    store_new_worker_key key = {.key_epoch = s->rekey_epoch, .now_ms = clock_unix_ms()};
    pool *p = s->pool;
    memcpy(key.former_id, s->worker->id, sizeof key.former_id);
    memcpy(key.public_key, wish->public_key, sizeof key.public_key);
    if (!receipt_worker_id(wish->public_key, key.id, err)) {
        return false;
    }
    if (fleet_find(p->fleet, key.id) != NULL) {
        return error_set(err, ERROR_DENIED, "a new key that is enrolled already");
    }
    replacing *r = memory_allocate(sizeof *r);
    if (r == NULL) {
        return error_memory(err);
    }
    *r = (replacing){.pool = p};
    memcpy(r->former_id, key.former_id, sizeof r->former_id);
    memcpy(r->id, key.id, sizeof r->id);
    if (fleet_reserve(p->fleet, key.id, err) &&
        store_worker_replace_key(p->store, &key, key_replaced, r, err)) {
        s->worker->replacing = true;
        return true;
    }
    fleet_release(p->fleet, key.id);
    memory_free(r);
    return false;
}

void rekey_handle_new_key(session *s, const proto_new_key *wish) {
    error err = {0};
    if (s->rekey != REKEY_ASKED) {
        session_violation(s, PROTO_CLOSE_VIOLATION, "a new key that nobody asked for");
    } else if (verify(s, wish, &err) && keep_key(s, wish, &err)) {
        s->rekey = REKEY_STORING;
    } else if (err.code == ERROR_DENIED) {
        session_violation(s, PROTO_CLOSE_VIOLATION, err.text);
    } else {
        log_error("a worker's new key can't be taken now", LOG_CAUSE(&err));
        s->rekey = REKEY_NONE;
    }
}

void rekey_describe(const pool *p, rekey_progress *progress) {
    const fleet_worker *worker = NULL;
    uint64_t now = clock_unix_ms();
    *progress = (rekey_progress){.epoch = p->key_epoch};
    for (size_t i = 0; (worker = fleet_next(p->fleet, &i)) != NULL;) {
        if (worker->successor != NULL || fleet_refusal(worker, now) != NULL) {
            continue;
        }
        bool done = worker->key_epoch >= p->key_epoch;
        progress->workers++;
        progress->done += done;
        progress->away += !done && worker->session == NULL;
    }
}
