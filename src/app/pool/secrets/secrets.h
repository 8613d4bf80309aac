#ifndef POOL_SECRETS_H
#define POOL_SECRETS_H

#include "secrets/files.h"
#include "state.h"

/* The pool's own secrets, exchanged while it serves: connections that are open go on, new ones get the new
 * certificate. The files are exchanged first (secrets/files.h), in a thread of their own. Loop thread. */
typedef struct secrets secrets;
typedef struct session session;

/* Before secrets_presents. */
MUST_CHECK bool secrets_start(pool *p, error *err);
/* What the listener presents, at the start. */
void secrets_presents(pool *p, slice chain_pem);
void secrets_stop(pool *p);

/* All keys that the pool has had, as succession_write_json writes them. */
slice secrets_keys(const pool *p);

/* `done` comes once, when it is on the disk and presented. ERROR_CONFLICT: another exchange is under way. */
MUST_CHECK bool secrets_exchange(pool *p, secrets_act act, store_done *done, void *context, error *err);

/* Another key signs for the pool, named by the one before; as secrets_exchange. Connected workers are told at
 * once, the others when they come. ERROR_CONFLICT too after SUCCESSION_MAX exchanges. */
MUST_CHECK bool secrets_succeed(pool *p, store_done *done, void *context, error *err);

/* A worker is welcome: if it trusts another authority than the site has it is told of that one. */
void secrets_look(session *s);

/* Of workers that may serve: how many know the site's authority, or have been told of it, and how many aren't
 * connected. */
typedef struct secrets_progress {
    uint64_t workers;
    uint64_t know;
    uint64_t away;
    bool former; /* the authority before is still presented */
    uint64_t server_begins_ms;
    uint64_t server_expires_ms;
    uint64_t ca_begins_ms;
    uint64_t ca_expires_ms;
    uint64_t keys;          /* that the pool has had, with the current one */
    uint64_t key_begins_ms; /* 0: the first one */
} secrets_progress;
void secrets_describe(const pool *p, secrets_progress *progress);

/* GET /v1/admin/secrets */
void admin_secrets(pool *p, http_request *request, const account *who, slice segment);
/* POST /v1/admin/secrets/KIND/rotate: ca {"finish": false}, server, pool, session {"at_once": false},
 * database. */
void admin_secret_rotate(pool *p, http_request *request, const account *who, slice kind);

#endif
