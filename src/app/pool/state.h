#ifndef POOL_STATE_H
#define POOL_STATE_H

#include "accounts.h"
#include "app_release/boot.h"
#include "base/arena.h"
#include "dispatch/dispatch.h"
#include "ev/loop.h"
#include "fleet.h"
#include "http/server.h"
#include "net/net.h"
#include "privilege/privilege.h"
#include "settings.h"
#include "site.h"
#include "store/store.h"

/* Everything a running pool holds. One loop thread owns it all; nothing here is locked. */
typedef struct pool_counters {
    uint64_t requests;           /* HTTP requests routed */
    uint64_t unauthorized;       /* answered with 401 or 403 */
    uint64_t chats;              /* chat requests accepted as jobs */
    uint64_t answers;            /* of these, completed with a stored receipt */
    uint64_t answer_failures;    /* of these, ended with an error */
    uint64_t clients_left;       /* of these, left by the client */
    uint64_t embeddings;         /* requests for embeddings that were answered */
    uint64_t tokens;             /* completion tokens delivered */
    uint64_t receipts_checked;   /* worker signatures verified before the answer was completed */
    uint64_t receipts_refused;   /* receipts that did not hold */
    uint64_t sessions_opened;    /* workers welcomed */
    uint64_t session_violations; /* sessions closed for breaking the protocol */
} pool_counters;

typedef struct pool {
    pool_settings settings;
    release_status release; /* what this very program is */
    const char *settings_path;
    const char *database; /* the setting, or what --database says instead */
    site site;
    privilege privilege;
    ev_loop *loop;
    net *net;
    net_tls *tls;
    certificate_pair worker_authority; /* enrol/certificates.h */
    http_server *server;
    store *store;
    dispatch *dispatch;
    accounts *accounts;           /* who may call, by the hash of the key */
    fleet *fleet;                 /* enrolled workers */
    arena *scratch;               /* for one message or request being handled; reset by its user */
    list_node jobs;               /* job.node */
    list_node stalled;            /* job.stalled_node: jobs whose client is behind */
    list_node sessions;           /* session.node */
    list_node embeddings;         /* embedding.node */
    list_node embedding_requests; /* embeddings.c */
    list_node erasings;           /* privacy/erase.c */
    ev_timer dispatch_timer;
    ev_timer stall_timer;
    ev_timer housekeeping_timer;
    ev_timer drain_timer;
    struct logins *logins;           /* sessions of people and services: sso/logins.h */
    struct providers *providers;     /* of identities: sso/providers.h */
    struct backchannel *backchannel; /* of providers: sso/backchannel.h */
    struct browsers *browsers;       /* logins of browsers under way: sso/browser.h */
    struct strangers *strangers;     /* who brings bad keys: sso/strangers.h */
    struct devices *devices;         /* logins of programs under way: sso/device.h */
    struct keyring *keyring;         /* of what users keep: memory/keyring.h */
    struct indexes *indexes;         /* of their facts: memory/index.h */
    list_node readings;              /* searches and exports of it: memory/reading.h */
    list_node lessons;               /* facts being learnt from conversations: memory/learn.h */
    struct recoveries *recoveries;   /* of it, that users ask for: recovery/requests.h */
    struct audit *audit;             /* what privileged callers do: audit/audit.h */
    struct proof *proof;             /* answers are checked: proof/proof.h */
    uint64_t key_epoch;              /* of workers' keys: rekey/rekey.h */
    ev_timer rekey_timer;
    struct secrets *secrets; /* certificates, exchanged while it serves: secrets/secrets.h */
    uint8_t map_seed[MAP_SEED_SIZE];
    bool draining;
    bool stopping;               /* the loop runs no more */
    bool expiring_conversations; /* privacy/expire.c */
    bool expiring_facts;
    bool check_only;      /* to see whether all is in order: it won't serve */
    bool models_compared; /* with what the settings name, once since the start (proof/names.h) */
    error start_failure;
    uint16_t port;
    char host_name[254];   /* this machine's, for join tokens */
    uint64_t check_second; /* receipts verified at once are counted by the second (receipts.h) */
    uint32_t checked_in_second;
    uint64_t egress_second; /* refused connections are entered in the audit log up to a rate (egress.h) */
    uint32_t egress_refused_in_second;
    uint64_t egress_unwritten;
    pool_counters counters;
} pool;

/* Sets the timer for the dispatcher's next deadline. After every call that may have moved one. */
void pool_arm_dispatch(pool *p);

#endif
