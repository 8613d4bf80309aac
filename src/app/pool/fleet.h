#ifndef POOL_FLEET_H
#define POOL_FLEET_H

#include "base/map.h"
#include "store/workers.h"

/* The enrolled workers, in memory: what the store says of each, and its live session if it has one. */
typedef struct fleet fleet;
typedef struct session session;

enum { FLEET_NETWORK_SIZE = 64, FLEET_CLASS_SIZE = 8 };

typedef struct fleet_worker fleet_worker;
struct fleet_worker {
    uint8_t id[STORE_WORKER_ID_SIZE];
    char id_hex[2 * STORE_WORKER_ID_SIZE + 1];
    uint8_t public_key[STORE_KEY_SIZE];
    char name[STORE_NAME_MAX + 1];
    char owner[STORE_NAME_MAX + 1];
    char tiers[STORE_TIERS_MAX + 1];
    char class_name[FLEET_CLASS_SIZE];
    uint64_t requested_by; /* user ids */
    uint64_t approved_by;
    uint64_t approval; /* the request that was approved; 0: nobody else was asked */
    bool contractor;
    bool referee;     /* run by the pool's operator; it may judge others */
    bool has_machine; /* `machine` is set */
    uint8_t machine[STORE_MACHINE_SIZE];
    uint64_t created_ms;
    uint64_t expires_ms;   /* Unix; 0: never */
    uint64_t revoked_ms;   /* 0: approved */
    uint64_t suspected_ms; /* its key came from another machine; 0: no */
    uint64_t last_seen_ms;
    uint64_t certificate_ms;          /* when the last of its TLS certificates ends; 0: it was given none */
    char network[FLEET_NETWORK_SIZE]; /* "192.0.2.0/24", of its last session; empty: none since the start */
    bool enrolled;                    /* false: only a place, see fleet_reserve */
    session *session;                 /* the session that serves under this id; NULL: not connected */
    size_t checks;                    /* of its answers, in memory (proof/check.h) */
    size_t checks_bytes;              /* of their payloads */
    uint64_t key_epoch;               /* of the site's keys when this one was made */
    /* A machine whose key was exchanged has an entry for each key it has had (rekey/rekey.h). */
    bool has_former_id;
    uint8_t former_id[STORE_WORKER_ID_SIZE];
    bool replacing;            /* its successor is on its way to the disk */
    fleet_worker *former;      /* its key before; NULL: none */
    fleet_worker *successor;   /* its key now, or nearer to now; NULL: this is the one that counts */
    const fleet_worker *first; /* under whose id its standing is kept; never NULL once it is linked */
};

MUST_CHECK fleet *fleet_new(const uint8_t seed[MAP_SEED_SIZE], error *err);
void fleet_free(fleet *f); /* NULL is allowed */

/* Adds or updates; a live session stays linked. */
MUST_CHECK bool fleet_put_stored(fleet *f, const store_worker *stored, error *err);
/* Makes a place for a worker that is about to be stored, so that putting it can't fail for memory afterwards.
 * Until then it isn't found; fleet_release gives the place back, and does nothing if the worker is enrolled.
 */
MUST_CHECK bool fleet_reserve(fleet *f, const uint8_t id[STORE_WORKER_ID_SIZE], error *err);
void fleet_release(fleet *f, const uint8_t id[STORE_WORKER_ID_SIZE]);
/* Joins keys of one machine, once all are put; fleet_link a single one, whose former is. */
void fleet_link_all(fleet *f);
void fleet_link(fleet *f, fleet_worker *worker);
/* The entry under the key that this machine has now. */
const fleet_worker *fleet_newest(const fleet_worker *worker);
/* The id under which a machine's standing is kept, whatever key is named; of one that isn't enrolled its own.
 */
const uint8_t *fleet_first_id(const fleet *f, const uint8_t id[STORE_WORKER_ID_SIZE]);

/* NULL if none is enrolled under this id. Valid until fleet_free. */
fleet_worker *fleet_find(const fleet *f, const uint8_t id[STORE_WORKER_ID_SIZE]);
size_t fleet_count(const fleet *f); /* machines, however many keys they have had */
/* One was ever enrolled, whatever became of it. */
bool fleet_has_referee(const fleet *f);
/* for (size_t i = 0; (w = fleet_next(f, &i)) != NULL;) */
fleet_worker *fleet_next(const fleet *f, size_t *position);

/* "approved", "revoked" or "quarantined". */
const char *fleet_state_name(const fleet_worker *worker);
/* Why it may not serve now (PROTO_REFUSE_REVOKED, ..._QUARANTINED, ..._EXPIRED), or NULL if it may. */
const char *fleet_refusal(const fleet_worker *worker, uint64_t unix_ms);

#endif
