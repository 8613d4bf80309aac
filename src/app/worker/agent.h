#ifndef WORKER_AGENT_H
#define WORKER_AGENT_H

#include "app_release/boot.h"
#include "backend.h"
#include "base/list.h"
#include "ev/loop.h"
#include "home.h"
#include "http/websocket.h"
#include "key_watch.h"
#include "log_watch.h"
#include "os/host.h"
#include "proto/session.h"

/* The exit code of a worker whose pool's audit log was rewritten, or whose pool's keys are others now. */
enum { WORKER_EXIT_FORKED = 3 };

/* The worker's agent: one session with the pool on one side, one engine on the other, and the jobs between
 * them. It has the network and the key, but no model; the engine has the model and nothing else. One loop
 * thread. */
enum { AGENT_FORMER_KEYS = 4 };

typedef struct agent {
    worker_home home;
    const char *state_folder;
    sign_key *former[AGENT_FORMER_KEYS]; /* that answers under way are to be signed with (rekey.h) */
    size_t former_count;
    bool says_former; /* while there is a next key: this session was begun with the one before it */
    uint32_t refusals;
    host_description host;
    uint8_t machine[PROTO_MACHINE_SIZE];
    release_status release;           /* what this very program is */
    release_acceptance pool_releases; /* what the pool's may be */
    char model_name[PROTO_NAME_MAX + 1];
    ev_loop *loop;
    net *net;
    net_tls *tls; /* with the certificate, once it has one */
    struct {
        struct http_client *client; /* NULL: the pool has asked for none yet */
        buffer key;                 /* PEM, of the one that is being asked for */
        uint64_t renew_at;          /* ev_now_ms */
        bool missing;               /* the pool wants one */
        bool asked;                 /* it is under way */
    } certificate;

    backend *engine;
    bool engine_ready;
    uint8_t model_digest[PROTO_DIGEST_SIZE];
    char profile[PROTO_PROFILE_MAX + 1];
    uint32_t context;
    uint32_t slots;
    uint32_t vocabulary; /* tokens that the model has; 0: not known */
    bool can_generate;
    uint32_t dimension; /* of the model's embeddings; 0: it gives none */

    websocket *socket;
    proto_state state; /* PROTO_CLOSED: not connected */
    uint8_t nonce[PROTO_NONCE_SIZE];
    uint32_t lease_ms; /* without a word from the pool: the connection is dead */
    arena *scratch;    /* for the message being handled */
    ev_timer beat_timer;
    ev_timer connect_timer;
    uint32_t back_off_ms;

    list_node jobs; /* worker_job.node */
    size_t job_count;
    key_watch keys;
    log_watch log;
    bool log_asked;   /* a proof is awaited */
    bool log_doubted; /* a session ended without the proof that was asked for: no jobs until one is seen */
    uint64_t log_asked_ms;
    bool log_keeping; /* its checkpoint is being written */
    bool log_newer;   /* than the one that is being written */
    bool stopping;
    bool wiping; /* the engine is asked to forget; it ends when it has, or after a moment */
    ev_timer wipe_timer;
    int exit_status;
} agent;

/* What it computes is an exact engine's. */
bool agent_is_exact(const agent *a);
/* Encodes and sends; false if it couldn't be queued (the session is then being closed). */
bool agent_send(agent *a, const proto_message *message);
/* Tells the pool how busy this machine is. */
void agent_beat(agent *a);
/* When stopping and no job is left: ends the loop. */
void agent_check_stopped(agent *a);
/* Stops for good: this worker may not serve any more. Its jobs are dropped, and the engine wipes its memory
 * before it ends. */
void agent_end_revoked(agent *a);

/* What it remembers of the pool's keys (link_keys.c): loading blocks, as does taking more of them. False: the
 * session, or the worker, ends. */
MUST_CHECK bool link_keys_load(agent *a, error *err);
MUST_CHECK bool link_keys_take(agent *a, slice shown);
/* What it remembers of the pool's audit log (link_log.c), once the keys are known. Loading blocks. False from
 * link_log_welcome: the session, or the worker, ends. */
MUST_CHECK bool link_log_load(agent *a, error *err);
MUST_CHECK bool link_log_welcome(agent *a, const proto_welcome *welcome);
void link_log_proof(agent *a, const proto_log_proof *proof);
void link_log_beat(agent *a);
/* The session is over. */
void link_log_closed(agent *a);
/* Stops for good: nothing is computed for a pool that took back what it had shown. */
void link_end_forked(agent *a);
/* The TLS certificate that a pool may ask for (certificate.c): for a new key each time, which is never
 * written down. */
void certificate_init(agent *a);
void certificate_stop(agent *a);
/* The pool has refused for want of one: what it was shown is no good. */
void certificate_refused(agent *a);
/* Asks for one; afterwards it dials, if there is no connection: later, if there is no certificate. */
void certificate_fetch(agent *a);
/* At every beat: gets the next one when half of its life is over. */
void certificate_check(agent *a);

/* The session with the pool (link.c). */
void link_init(agent *a);
void link_connect(void *agent_context);
/* After a while that grows. */
void link_connect_later(agent *a);
/* The pool wants nothing of this worker any more: ends the process, and says why. */
void link_give_up(agent *a, slice reason);
void link_close(agent *a, unsigned code, const char *reason);

#endif
