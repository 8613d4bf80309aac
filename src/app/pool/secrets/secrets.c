#include "secrets/secrets_internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/clock.h"
#include "proto/trust.h"
#include "session_internal.h"

enum { TICK_MS = 20, TOLD_IN_TICK = 64 };

/* One exchange, until it is presented. */
typedef struct exchange {
    pool *pool;
    secrets_act act;
    char folder[SITE_PATH_SIZE];
    secrets_issued issued;
    error failure;
    bool made;
    store_done *done;
    void *context;
} exchange;

static void tell_some(void *context);

bool secrets_start(pool *p, error *err) {
    p->secrets = memory_allocate_zeroed(1, sizeof *p->secrets);
    if (p->secrets == NULL) {
        return error_memory(err);
    }
    p->secrets->pool = p;
    p->secrets->keys = buffer_make(SUCCESSION_JSON_LIMIT);
    ev_timer_init(&p->secrets->timer, tell_some, p);
    return succession_write_json(&p->site.keys, &p->secrets->keys, err);
}

slice secrets_keys(const pool *p) {
    return buffer_slice(&p->secrets->keys);
}

void secrets_presents(pool *p, slice chain_pem) {
    secrets *s = p->secrets;
    error err = {0};
    s->former = secrets_has_former(chain_pem, buffer_slice(&p->site.ca_pem));
    if (!certificate_start(chain_pem, &s->server_begins_ms, &err) ||
        !certificate_expiry(chain_pem, &s->server_expires_ms, &err)) {
        log_warning("the certificate's dates can't be read", LOG_CAUSE(&err));
    }
}

void secrets_stop(pool *p) {
    if (p->secrets != NULL) {
        ev_timer_stop(&p->secrets->timer);
        secrets_end_succeeding(p->secrets);
        buffer_free(&p->secrets->keys);
        memory_free(p->secrets);
        p->secrets = NULL;
    }
}

/* In a thread of the loop's; where the pool gave up its rights, by the process that kept this one. */
static void make(void *context) {
    exchange *e = context;
    helper *keeper = e->pool->privilege.keeper;
    e->made = keeper != NULL ? keeper_exchange(keeper, e->act, &e->issued, &e->failure)
                             : secrets_make(e->folder, e->act, &e->issued, &e->failure);
}

/* The authority in memory is the one on the disk. */
static bool take_authority(pool *p, buffer *ca_pem, error *err) {
    uint8_t pin[CERTIFICATE_PIN_SIZE];
    if (!certificate_pin(buffer_slice(ca_pem), pin, err)) {
        return false;
    }
    if (memcmp(pin, p->site.ca_pin, sizeof pin) != 0) {
        buffer former = p->site.ca_pem;
        p->site.ca_pem = *ca_pem;
        *ca_pem = former;
        memcpy(p->site.ca_pin, pin, sizeof pin);
        p->secrets->is_signed = false;
        ev_timer_start(p->loop, &p->secrets->timer, 0);
    }
    return true;
}

static bool present(exchange *e, error *err) {
    pool *p = e->pool;
    slice chain = buffer_slice(&e->issued.server.certificate);
    if (!net_tls_server_reload(p->tls, chain, buffer_slice(&e->issued.server.key), err) ||
        !take_authority(p, &e->issued.ca_pem, err)) {
        return error_context(err, "it is on the disk, but can't be used yet: start the pool again");
    }
    secrets_presents(p, chain);
    return true;
}

static void made(void *context) {
    exchange *e = context;
    error err = e->failure;
    bool good = e->made && present(e, &err);
    e->pool->secrets->busy = false;
    e->done(e->context, good ? NULL : &err);
    secrets_issued_free(&e->issued);
    memory_free(e);
}

bool secrets_exchange(pool *p, secrets_act act, store_done *done, void *context, error *err) {
    if (p->secrets->busy) {
        return error_set(err, ERROR_CONFLICT, "a secret is being exchanged already; try again in a moment");
    }
    exchange *e = memory_allocate_zeroed(1, sizeof *e);
    if (e == NULL) {
        return error_memory(err);
    }
    *e = (exchange){.pool = p, .act = act, .issued = secrets_issued_make(), .done = done, .context = context};
    memcpy(e->folder, p->site.folder, sizeof e->folder);
    if (!ev_work(p->loop, make, made, e, err)) {
        memory_free(e);
        return false;
    }
    p->secrets->busy = true;
    return true;
}

static bool sign_authority(pool *p, error *err) {
    secrets *own = p->secrets;
    if (own->is_signed) {
        return true;
    }
    buffer bytes = buffer_make(PROTO_CA_MAX + 256);
    proto_trust_bytes(p->site.pool_id, buffer_slice(&p->site.ca_pem), &bytes);
    own->is_signed = (!buffer_failed(&bytes) || error_memory(err)) &&
                     sign_bytes(p->site.key, buffer_slice(&bytes), own->signature, err);
    buffer_free(&bytes);
    return own->is_signed;
}

static bool is_said(const session *s) {
    static const uint8_t none[PROTO_PIN_SIZE];
    return memcmp(s->ca, none, sizeof none) != 0;
}

static bool is_welcomed(const session *s) {
    return s->state == PROTO_SERVING || s->state == PROTO_DRAINING;
}

static bool wants_authority(const session *s) {
    return is_welcomed(s) && is_said(s) && memcmp(s->ca, s->pool->site.ca_pin, sizeof s->ca) != 0;
}

static bool wants_keys(const session *s) {
    return is_welcomed(s) && s->keys_told != s->pool->site.keys.count;
}

static void tell_authority(session *s) {
    pool *p = s->pool;
    error err = {0};
    proto_message message = {.type = PROTO_TRUST, .trust = {.ca = buffer_slice(&p->site.ca_pem)}};
    if (!sign_authority(p, &err)) {
        log_error("workers aren't told of the site's authority", LOG_CAUSE(&err));
        return;
    }
    memcpy(message.trust.signature, p->secrets->signature, sizeof message.trust.signature);
    if (session_show_keys(s) && session_send(s, &message)) {
        memcpy(s->ca, p->site.ca_pin, sizeof s->ca);
    } else {
        session_close(s, PROTO_CLOSE_INTERNAL, "the worker doesn't read");
    }
}

void secrets_look(session *s) {
    if (wants_authority(s)) {
        tell_authority(s);
    }
}

/* False: it can't be said now. */
static bool tell(session *s) {
    if (!session_show_keys(s)) {
        session_close(s, PROTO_CLOSE_INTERNAL, "the worker doesn't read");
        return true;
    }
    if (!wants_authority(s)) {
        return true;
    }
    tell_authority(s);
    return s->pool->secrets->is_signed; /* if not they are told when they come back */
}

/* A walk over all sessions that stops early; who has been told isn't due any more. */
static void tell_some(void *context) {
    pool *p = context;
    size_t told = 0;
    for (list_node *node = p->sessions.next, *next = NULL; node != &p->sessions; node = next) {
        session *s = LIST_ENTRY(node, session, node);
        next = node->next;
        if (wants_keys(s) || wants_authority(s)) {
            if (!tell(s)) {
                return;
            }
            if (++told == TOLD_IN_TICK) {
                ev_timer_start(p->loop, &p->secrets->timer, TICK_MS);
                return;
            }
        }
    }
}

static bool knows(const pool *p, const session *s) {
    return s != NULL && memcmp(s->ca, p->site.ca_pin, sizeof s->ca) == 0;
}

void secrets_describe(const pool *p, secrets_progress *progress) {
    const secrets *own = p->secrets;
    const fleet_worker *worker = NULL;
    uint64_t now = clock_unix_ms();
    error err = {0};
    *progress = (secrets_progress){.former = own->former,
                                   .server_begins_ms = own->server_begins_ms,
                                   .server_expires_ms = own->server_expires_ms,
                                   .keys = p->site.keys.count + 1};
    if (p->site.keys.count > 0) {
        progress->key_begins_ms = p->site.keys.steps[p->site.keys.count - 1].made_ms;
    }
    (void)!certificate_start(buffer_slice(&p->site.ca_pem), &progress->ca_begins_ms, &err);
    (void)!certificate_expiry(buffer_slice(&p->site.ca_pem), &progress->ca_expires_ms, &err);
    for (size_t i = 0; (worker = fleet_next(p->fleet, &i)) != NULL;) {
        if (worker->successor == NULL && fleet_refusal(worker, now) == NULL) {
            progress->workers++;
            progress->know += knows(p, worker->session);
            progress->away += worker->session == NULL;
        }
    }
}
