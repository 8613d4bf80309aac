#ifndef CLIENT_VERIFY_H
#define CLIENT_VERIFY_H

#include "base/buffer.h"
#include "crypto/hash.h"
#include "ledger/succession.h"
#include "outcome.h"

/* What stands behind `cellule verify`: argv[0] is the verb; the exit code is an outcome. */
int verify_receipt_main(int argc, char **argv);
int verify_evidence_main(int argc, char **argv);
int verify_audit_main(int argc, char **argv);
int verify_release_main(int argc, char **argv);

/* Makes ready to verify; crypto_stop ends it. */
MUST_CHECK bool verify_begin(error *err);
/* The same; the id is what --pool-id gives. */
MUST_CHECK bool verify_start(const char *pool_id_hex, uint8_t pool_id[HASH_SIZE], error *err);

/* The keys that the pool has had, from a file with ledger/succession.h's JSON. `path` NULL: none is
 * given. That they are none says nothing of what is to be checked. */
MUST_CHECK bool verify_read_keys(const char *path, const uint8_t pool_id[HASH_SIZE], succession *keys,
                                 error *err);
/* After ERROR_NOT_FOUND of a signature: says how one gets the keys of now. */
void verify_ask_for_keys(error *err);

/* Reads what a file, or for "-" the standard input, holds. False: it isn't such an object at all (empty, cut,
 * something else), or can't be read; that says nothing about anybody. */
MUST_CHECK bool verify_read(const char *path, const char *object, buffer *json, error *err);

#endif
