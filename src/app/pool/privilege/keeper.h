#ifndef POOL_KEEPER_H
#define POOL_KEEPER_H

#include "crypto/certificate.h"
#include "crypto/seal.h"
#include "privilege/helper.h"
#include "secrets/files.h"
#include "secrets/pool_key.h"

/* A process that opens the few files that the pool needs while it serves: the certificate and the settings
 * when they are to be read again, the audit log's checkpoint that is kept beside the database; and that
 * exchanges the certificates, for which it alone reads the authority's key. No other can be asked for; it has
 * no sockets and starts nothing. All block until the disk has done it. */

/* `transfer`: as signer_start has it. `confined` false: the kernel lacks seccomp or Landlock. */
MUST_CHECK helper *keeper_start(const char *site_folder, const char *settings_path,
                                const uint8_t transfer[SEAL_KEY_SIZE], bool *confined, error *err);

MUST_CHECK bool keeper_read_server(helper *keeper, certificate_pair *server, error *err);
/* Appends the settings' text. */
MUST_CHECK bool keeper_read_settings(helper *keeper, buffer *text, error *err);
/* As secrets_make (secrets/files.h). */
MUST_CHECK bool keeper_exchange(helper *keeper, secrets_act act, secrets_issued *issued, error *err);
/* As pool_key_exchange; what it seals is for the signer. `unsure`: after a failure the new key may be on the
 * disk all the same, for the keeper was asked and hasn't answered. */
MUST_CHECK bool keeper_exchange_key(helper *keeper, slice checkpoint, pool_key_issued *issued, bool *unsure,
                                    error *err);
MUST_CHECK bool keeper_write_checkpoint(helper *keeper, slice signed_note, error *err);

#endif
