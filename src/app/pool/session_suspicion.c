#include "session_internal.h"

#include "audit/audit.h"
#include "base/log.h"
#include "os/clock.h"

/* A key that is seen where it doesn't belong has been copied: which of two holders is the thief can't be
 * told, so neither serves until a person has looked. */

static void suspicion_stored(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("a suspected worker could not be quarantined in the database", LOG_CAUSE(failure));
    }
}

bool session_is_elsewhere(const session *s) {
    return s->worker->has_machine && memcmp(s->worker->machine, s->machine, sizeof s->machine) != 0;
}

void session_suspect(pool *p, fleet_worker *worker, const char *why) {
    error err = {0};
    if (worker->suspected_ms != 0) {
        return;
    }
    worker->suspected_ms = clock_unix_ms();
    log_warning("a worker's key was copied; it is quarantined", LOG_TEXT("worker", worker->id_hex),
                LOG_TEXT("cause", why));
    audit_note_event(p, "worker_quarantined", slice_of_text(worker->id_hex), why);
    session_revoke(worker, "this worker's key was seen in two places; ask the admin");
    if (!store_worker_suspect(p->store, worker->id, worker->suspected_ms, suspicion_stored, NULL, &err)) {
        suspicion_stored(NULL, &err);
    }
}

/* Whoever was replaced still answers, from another address: so there are two who hold the key. A worker that
 * has lost its connection doesn't answer on the old one. */
void session_check_replaced(session *s) {
    const session *newer = s->worker == NULL ? NULL : s->worker->session;
    if (s->replaced && newer != NULL && newer != s && websocket_peer_closed(s->socket) &&
        strcmp(newer->peer, s->peer) != 0) {
        session_suspect(s->pool, s->worker, "two sessions at once, from two addresses");
    }
}
