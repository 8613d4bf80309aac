#ifndef WORKER_HOME_H
#define WORKER_HOME_H

#include "auth/token.h"
#include "base/buffer.h"
#include "base/error.h"
#include "crypto/certificate.h"
#include "crypto/hash.h"
#include "crypto/sign.h"
#include "proto/message.h"

/* What an enrolled worker keeps on disk: one folder, mode 0700.
 *   worker.key        its Ed25519 key        ca.pem      the site's CA
 *   worker.key.next   the one to follow it   pool.json   which pool, under which id
 *   audit-POOL_ID.checkpoint                 the last that it believed of that pool's audit log
 *   keys-POOL_ID.json                        all keys that the pool is known to have had */
enum { HOME_PATH_SIZE = 4096, HOME_CA_LIMIT = 65536 };

typedef struct worker_home {
    sign_key *key;
    buffer ca_pem;
    uint8_t ca_pin[CERTIFICATE_PIN_SIZE];
    char host[AUTH_ADDRESS_MAX + 1];
    uint16_t port;
    uint8_t pool_id[HASH_SIZE];
    uint8_t worker_id[PROTO_ID_SIZE];
    char worker_id_hex[2 * PROTO_ID_SIZE + 1];
    proto_class class;  /* that it was enrolled with */
    sign_key *next_key; /* NULL: none is to follow */
    uint8_t next_worker_id[PROTO_ID_SIZE];
} worker_home;

/* $HOME/.cellule/worker, or ./worker without a home. */
const char *worker_home_default(void);

/* Loads the machine's key, or makes one, and the folder with it. The caller frees it. */
MUST_CHECK sign_key *worker_home_ensure_key(const char *folder, error *err);
/* What an enrolment says: where, as whom, under whose authority. */
typedef struct worker_enrolment {
    const char *address;
    slice pool_id_hex;
    slice worker_id_hex;
    slice class_name;
    slice ca_pem;
} worker_enrolment;
/* Writes ca.pem and pool.json, in this order: pool.json says that the enrolment is complete. */
MUST_CHECK bool worker_home_save(const char *folder, const worker_enrolment *enrolment, error *err);
/* ERROR_NOT_FOUND tells to join first. */
MUST_CHECK bool worker_home_load(const char *folder, worker_home *home, error *err);
/* Where the last checkpoint of this pool's audit log is kept, or (`forked`) the one that contradicts it. */
MUST_CHECK bool worker_home_checkpoint_path(const char *folder, const worker_home *home, bool forked,
                                            char path[HOME_PATH_SIZE], error *err);
/* Where the pool's keys are kept, or (`forked`) those that contradict them. */
MUST_CHECK bool worker_home_keys_path(const char *folder, const worker_home *home, bool forked,
                                      char path[HOME_PATH_SIZE], error *err);
void worker_home_free(worker_home *home); /* harmless after a failed load */

/* The site's other authority takes the place of the one in `home`, there and on the disk. Blocks. */
MUST_CHECK bool worker_home_replace_ca(const char *folder, worker_home *home, slice ca_pem, error *err);

/* Makes the next key, and writes it down. Blocks, as does: */
MUST_CHECK bool worker_home_stage_key(const char *folder, worker_home *home, error *err);
/* On the disk the next key takes the place of the key; `home` stays as it is. A crash in between is made up
 * for by worker_home_load. */
MUST_CHECK bool worker_home_commit_key(const char *folder, const worker_home *home, error *err);

#endif
