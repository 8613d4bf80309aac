#ifndef POOL_SITE_H
#define POOL_SITE_H

#include "base/buffer.h"
#include "base/error.h"
#include "crypto/certificate.h"
#include "crypto/hash.h"
#include "crypto/seal.h"
#include "crypto/sign.h"
#include "ledger/succession.h"
#include "os/file.h"

/* A site on disk: one folder, mode 0700.
 *   pool.yaml   settings            ca.pem, ca.key          the site's authority
 *   pool.db     SQLite              server.pem, server.key  the pool's TLS certificate (leaf, then CA)
 *   lock        held while running  pool.key                the pool's Ed25519 key
 *                                              succession.json         its keys, if it has had another
 *                                              verify.key              32 random bytes: see site_verify_keys
 *                                              audit.checkpoint        of the audit log, beside the database
 *                                              sso.yaml                providers of single sign-on; may be
 * absent
 * The keys are sealed under a passphrase where there is one: crypto/key_file.h.
 */
typedef enum site_file {
    SITE_SETTINGS,
    SITE_DATABASE,
    SITE_LOCK,
    SITE_CA_CERTIFICATE,
    SITE_CA_KEY,
    SITE_SERVER_CERTIFICATE,
    SITE_SERVER_KEY,
    SITE_POOL_KEY,
    SITE_SUCCESSION,
    SITE_VERIFY_KEY,
    SITE_AUDIT,
    SITE_SSO,
    SITE_FILE_COUNT
} site_file;

enum { SITE_PATH_SIZE = 4096, SITE_PEM_LIMIT = 65536, SITE_RECORD_ID_SIZE = 16 };

/* Writes folder/name to `path`. ERROR_LIMIT when it doesn't fit. */
MUST_CHECK bool site_path(const char *folder, site_file file, char path[SITE_PATH_SIZE], error *err);

/* What is kept from workers and from who reads the database, each derived from verify.key (HKDF-SHA-256)
 * under its own label. */
typedef struct site_verify_keys {
    uint8_t seal[SEAL_KEY_SIZE];         /* seals what waits for a check in the database */
    uint8_t draw[HASH_SIZE];             /* decides which answers are checked, and by whom */
    uint8_t honeytoken[HASH_SIZE];       /* makes markers */
    uint8_t recovery[HASH_SIZE];         /* vouches for shares of users' memory in the database */
    uint8_t session_keys[SEAL_KEY_SIZE]; /* seals those in the database; wiped once the vault has it */
} site_verify_keys;

/* A site in use: its lock is held until site_close. */
typedef struct site {
    char folder[SITE_PATH_SIZE];
    file_lock *lock;
    sign_key *key;              /* the pool's */
    succession keys;            /* all that it has had; `key` is the current one */
    uint8_t pool_id[HASH_SIZE]; /* SHA-256 of the first one's public half */
    char pool_id_hex[HASH_HEX_SIZE];
    buffer ca_pem;
    uint8_t ca_pin[CERTIFICATE_PIN_SIZE];
    site_verify_keys *verify; /* in secret memory */
} site;

/* Seals a record of the database, so that it can be opened as row `id` of `table` only; opening it says
 * ERROR_CORRUPT otherwise. Both append, as crypto/seal.h says. */
MUST_CHECK bool site_seal(const site *s, const char *table, const uint8_t id[SITE_RECORD_ID_SIZE],
                          slice plain, buffer *sealed, error *err);
MUST_CHECK bool site_open_sealed(const site *s, const char *table, const uint8_t id[SITE_RECORD_ID_SIZE],
                                 slice sealed, buffer *plain, error *err);

/* Makes verify.key, new and random. Blocks. */
MUST_CHECK bool site_make_verify_key(const char *folder, error *err);
/* ERROR_NOT_FOUND, which says how to make one. */
MUST_CHECK bool site_exists(const char *folder, error *err);
/* Whether another process has the lock: looks by trying to take it. Blocks. */
bool site_is_served(const char *folder);
/* Takes the lock (refused while another pool has it), ends an exchange of keys or certificates that broke off
 * (secrets/files.h, secrets/pool_key.h), and reads the keys; makes verify.key for a site of an
 * older version, which has none. Blocks. */
MUST_CHECK bool site_open(const char *folder, site *s, error *err);
/* The same with the pool's key given, which it takes: pool.key is left alone. */
MUST_CHECK bool site_open_with(const char *folder, sign_key *key, site *s, error *err);
void site_close(site *s); /* harmless after a failed site_open */

/* Reads server.pem and server.key; the caller frees with certificate_pair_free. Blocks. */
MUST_CHECK bool site_read_server(const char *folder, certificate_pair *server, error *err);

#endif
