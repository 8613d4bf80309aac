#include "session_internal.h"

#include "audit/audit.h"
#include "base/log.h"
#include "base/memory.h"
#include "os/clock.h"
#include "proof/proof.h"
#include "rekey/rekey.h"
#include "reply.h"
#include "revoke/revoke.h"

enum { STRANGER_MESSAGE_MAX = 65536 /* until the welcome: more than any hello */ };

bool session_send(session *s, const proto_message *message) {
    error err = {0};
    buffer text = buffer_make(PROTO_JOB_MAX);
    bool sent = proto_encode(message, &text, &err) && websocket_send_text(s->socket, buffer_slice(&text));
    buffer_free(&text);
    return sent;
}

/* Takes the session out of the dispatcher; its jobs go elsewhere. */
static void leave_dispatch(session *s) {
    dispatch_worker *handle = s->handle;
    s->handle = NULL;
    proof_worker_left(s);
    if (s->worker != NULL && s->worker->session == s) {
        s->worker->session = NULL;
    }
    if (handle != NULL) {
        dispatch_worker_remove(handle, ev_now_ms(s->pool->loop));
        pool_arm_dispatch(s->pool);
    }
}

/* The socket's on_closed frees the session. */
void session_close(session *s, unsigned code, const char *reason) {
    if (s->state == PROTO_CLOSED) {
        return;
    }
    s->state = PROTO_CLOSED;
    leave_dispatch(s);
    websocket_close(s->socket, code, reason);
}

void session_violation(session *s, unsigned code, const char *what) {
    s->pool->counters.session_violations++;
    log_warning("worker broke the protocol", LOG_TEXT("worker", s->worker == NULL ? "" : s->worker->id_hex),
                LOG_TEXT("peer", s->peer), LOG_U64("close_code", code), LOG_TEXT("cause", what));
    session_close(s, code, what);
}

static void handle_beat(session *s, const proto_beat *beat) {
    static const dispatch_availability availability[] = {[PROTO_AVAILABLE] = DISPATCH_AVAILABLE,
                                                         [PROTO_LIMITED] = DISPATCH_LIMITED,
                                                         [PROTO_PAUSED] = DISPATCH_PAUSED};
    dispatch_beat heard = {.load = beat->load,
                           .running = beat->running,
                           .slots = beat->slots,
                           .availability = availability[beat->state]};
    error err = {0};
    s->worker->last_seen_ms = clock_unix_ms();
    dispatch_worker_beat(s->handle, &heard, ev_now_ms(s->pool->loop));
    pool_arm_dispatch(s->pool);
    if (!store_worker_seen(s->pool->store, s->worker->id, s->worker->last_seen_ms, &err)) {
        log_debug("beat not noted", LOG_CAUSE(&err));
    }
    rekey_look(s);
    session_check_expiry(s);
}

static void handle_message(session *s, const proto_message *message) {
    switch (message->type) {
    case PROTO_HELLO:
        session_handle_hello(s, &message->hello);
        return;
    case PROTO_PROOF:
        session_handle_proof(s, &message->proof);
        return;
    case PROTO_DELTA:
        session_handle_delta(s, &message->delta);
        return;
    case PROTO_DONE:
        session_handle_done(s, &message->done);
        return;
    case PROTO_SCORED:
        session_handle_scored(s, &message->scored);
        return;
    case PROTO_EMBEDDED:
        session_handle_embedded(s, &message->embedded);
        return;
    case PROTO_FAIL:
        session_handle_fail(s, &message->fail);
        return;
    case PROTO_NEW_KEY:
        rekey_handle_new_key(s, &message->new_key);
        return;
    case PROTO_BEAT:
        handle_beat(s, &message->beat);
        return;
    case PROTO_LOG_ASK:
        session_handle_log_ask(s, &message->log_ask);
        return;
    default:
        session_violation(s, PROTO_CLOSE_VIOLATION, "a message that only the pool sends");
    }
}

static void on_message(void *context, slice text, bool is_text) {
    session *s = context;
    proto_message message;
    error err = {0};
    unsigned close_code = 0;
    if (s->state == PROTO_CLOSED) {
        return;
    }
    if (!is_text) {
        session_violation(s, PROTO_CLOSE_NOT_TEXT, "a binary message");
        return;
    }
    arena_reset(s->pool->scratch);
    if (!proto_decode(text, s->pool->scratch, &message, &err)) {
        if (err.code == ERROR_MEMORY) {
            session_close(s, PROTO_CLOSE_INTERNAL, err.text);
        } else {
            session_violation(s, PROTO_CLOSE_BAD_MESSAGE, err.text);
        }
    } else if (!proto_session_move(&s->state, PROTO_WORKER, message.type, &close_code)) {
        session_violation(s, close_code, "a message that this state of the session doesn't allow");
    } else {
        handle_message(s, &message);
    }
}

static void on_closed(void *context, unsigned code, slice reason) {
    session *s = context;
    if (s->worker != NULL) {
        log_info("worker disconnected", LOG_TEXT("worker", s->worker->id_hex), LOG_U64("close_code", code),
                 LOG_SLICE("reason", reason));
    }
    s->state = PROTO_CLOSED;
    leave_dispatch(s);
    session_forget_log_ask(s);
    session_check_replaced(s);
    ev_timer_stop(&s->timer);
    list_remove(&s->node);
    buffer_free(&s->names);
    memory_free(s->models);
    memory_free(s->offers);
    memory_free(s);
}

void session_accept(pool *p, http_request *request) {
    static const websocket_handlers handlers = {.on_message = on_message, .on_closed = on_closed};
    error err = {0};
    if (!http_request_is_tls(request) || !http_request_wants_websocket(request, PROTO_SUBPROTOCOL)) {
        reply_error(request, 426, NULL, "websocket_wanted",
                    "workers connect here with a WebSocket over TLS, "
                    "subprotocol " PROTO_SUBPROTOCOL);
        return;
    }
    session *s = memory_allocate_zeroed(1, sizeof *s);
    if (s == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *s = (session){.pool = p, .state = PROTO_AWAITING_HELLO};
    s->socket = http_request_upgrade(request, PROTO_SUBPROTOCOL, &handlers, s, &err);
    if (s->socket == NULL) {
        memory_free(s);
        reply_failure(request, &err);
        return;
    }
    websocket_limit_messages(s->socket, STRANGER_MESSAGE_MAX);
    websocket_peer(s->socket, s->peer);
    list_append(&p->sessions, &s->node);
    session_start_handshake(s);
}

void session_closed_by_dispatch(session *s, dispatch_closing reason) {
    s->handle = NULL;
    s->replaced = reason == DISPATCH_REPLACED;
    proof_worker_left(s);
    session_close(s, reason == DISPATCH_REPLACED ? PROTO_CLOSE_REPLACED : PROTO_CLOSE_DEAD,
                  dispatch_closing_name(reason));
}

void session_drained(session *s) {
    session_close(s, PROTO_CLOSE_GOING_AWAY, "drained");
}

const fleet_worker *session_worker(const session *s) {
    return s->worker;
}

uint64_t session_count_receipt(session *s) {
    return ++s->receipts;
}

void session_revoke(fleet_worker *worker, const char *reason) {
    session *s = worker->session;
    if (s == NULL) {
        return;
    }
    proto_message revoke = {.type = PROTO_REVOKE, .revoke = {.reason = slice_of_text(reason)}};
    (void)!session_send(s, &revoke);
    session_close(s, PROTO_CLOSE_REVOKED, reason);
}

void session_enrolment_changed(fleet_worker *worker) {
    if (worker->session != NULL) {
        session_check_expiry(worker->session);
    }
}

void session_revoke_forger(pool *p, const uint8_t worker_id[STORE_WORKER_ID_SIZE]) {
    fleet_worker *worker = fleet_find(p->fleet, worker_id);
    if (worker == NULL || fleet_newest(worker)->revoked_ms != 0) {
        return;
    }
    audit_note_event(p, "worker_forged", slice_of_text(worker->id_hex), "a receipt signed by it is forged");
    revoke_worker_noted(p, worker, "a receipt signed by this worker is forged");
}

void session_drain_all(pool *p) {
    proto_message drain = {.type = PROTO_DRAIN};
    unsigned ignored = 0;
    for (list_node *node = p->sessions.next, *next = NULL; node != &p->sessions; node = next) {
        session *s = LIST_ENTRY(node, session, node);
        next = node->next;
        if (s->state == PROTO_SERVING && session_send(s, &drain) &&
            proto_session_move(&s->state, PROTO_POOL, PROTO_DRAIN, &ignored)) {
            dispatch_worker_drain(s->handle, ev_now_ms(p->loop));
        } else {
            session_close(s, PROTO_CLOSE_GOING_AWAY, "the pool is stopping");
        }
    }
    pool_arm_dispatch(p);
}

void session_greet_again(pool *p) {
    for (list_node *node = p->sessions.next, *next = NULL; node != &p->sessions; node = next) {
        next = node->next;
        session_close(LIST_ENTRY(node, session, node), PROTO_CLOSE_GOING_AWAY,
                      "the accepted releases have changed");
    }
    pool_arm_dispatch(p);
}

void session_describe(const session *s, session_view *view) {
    *view = (session_view){.state = proto_state_name(s->state),
                           .peer = s->peer,
                           .build = s->build,
                           .model_count = s->model_count};
    if (s->handle != NULL) {
        dispatch_worker_info info;
        dispatch_worker_describe(s->handle, &info);
        view->running = info.running;
        view->slots = info.slots;
        view->completed = info.completed;
    }
}

slice session_model_name(const session *s, size_t index) {
    return s->models[index].name;
}
