#ifndef POOL_REKEY_H
#define POOL_REKEY_H

#include "session.h"

/* The exchange of workers' keys. All keys have an epoch; raising it asks every worker for another key: those
 * that are connected soon, so many a second, the others when they come. The worker signs for the new key with
 * both; the store enrols it and revokes the old one; then the live session goes by the new key, and no job is
 * lost: what was given to the old key is signed with that.
 *
 *   asked ──new_key──> storing ──stored, rekeyed sent──> under its new key
 *
 * The machine keeps its standing, its owner, its place on a blacklist: fleet_worker.first and .former. */

void rekey_init(pool *p);
/* Reads the epoch. Before the loop runs; `database` is the store opened without one. */
MUST_CHECK bool rekey_load(pool *p, store *database, error *err);
void rekey_stop(pool *p);

/* Raises the epoch on the disk, then asks all workers. `done` comes once. */
MUST_CHECK bool rekey_all(pool *p, store_done *done, void *context, error *err);
/* Asks this one, whatever its epoch. False: it isn't connected, or is being asked. */
MUST_CHECK bool rekey_one(fleet_worker *worker);

/* Of a welcomed session whose key is of an older epoch, and one that was asked and said nothing for long: it
 * will be asked. At the welcome and with each beat. */
void rekey_look(session *s);
/* The worker's answer; may end the session. */
void rekey_handle_new_key(session *s, const proto_new_key *wish);

typedef struct rekey_progress {
    uint64_t epoch;
    size_t workers; /* that may serve */
    size_t done;    /* of these, with a key of this epoch */
    size_t away;    /* of the others, not connected */
} rekey_progress;
void rekey_describe(const pool *p, rekey_progress *progress);

/* POST /v1/admin/workers/rotate {"all": true}: all of them; GET the same: how far it is. POST
 * /v1/admin/workers/ID/rotate.
 */
void admin_rotate_all(pool *p, http_request *request, const account *who, slice segment);
void admin_rotation(pool *p, http_request *request, const account *who, slice segment);
void admin_rotate(pool *p, http_request *request, const account *who, slice worker_id);

#endif
