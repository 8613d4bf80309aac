#include "audit_internal.h"

#include "base/log.h"

enum { ATTEMPTS = 3 };

/* What the log does while the pool's key is exchanged (secrets/succeed.c). */

bool audit_hold_ready(audit *a) {
    void (*ready)(void *context) = a->held_ready;
    a->held_ready = NULL;
    if (ready != NULL) {
        ready(a->held_context);
    }
    return ready != NULL;
}

void audit_hold(pool *p, void (*ready)(void *context), void *context) {
    audit *a = p->audit;
    ev_timer_stop(&a->keep_timer);
    a->held = true;
    a->held_ready = ready;
    a->held_context = context;
    if (!a->keeping) {
        (void)audit_hold_ready(a);
    }
}

static bool sign_note(audit *a, error *err) {
    buffer fresh = buffer_make(AUDIT_NOTE_MAX);
    if (!audit_note_make(a->pool, &a->durable, &fresh, err)) {
        buffer_free(&fresh);
        return false;
    }
    buffer_free(&a->note);
    a->note = fresh;
    return true;
}

/* The pool isn't stopped for the sake of a few bytes that weren't there once. */
void audit_sign_anew(audit *a) {
    pool *p = a->pool;
    error err = {0};
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (sign_note(a, &err)) {
            a->kept_size = a->durable.size;
            return;
        }
    }
    log_error("the audit log can't be signed with the pool's new key: the pool stops", LOG_CAUSE(&err));
    error_set(&p->start_failure, err.code, "%s; start the pool again", err.text);
    ev_loop_stop(p->loop);
}

void audit_release(pool *p, bool rekeyed) {
    audit *a = p->audit;
    if (a == NULL) {
        return;
    }
    a->held = false;
    if (rekeyed) {
        a->key_changed = a->busy;
        audit_sign_anew(a);
    }
    audit_keep_soon(a);
}
