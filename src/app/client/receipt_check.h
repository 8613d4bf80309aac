#ifndef CLIENT_RECEIPT_CHECK_H
#define CLIENT_RECEIPT_CHECK_H

#include "ledger/receipt.h"

/* What is to be held against a receipt. NULL or 0: not known, not compared. */
typedef struct receipt_claims {
    const uint8_t *pool_id; /* HASH_SIZE bytes; must be given */
    const succession *keys; /* that it has had; NULL: its first alone */
    const char *job_hex;
    const receipt_message *messages;
    size_t message_count;
    const slice *answer;
} receipt_claims;

/* Verifies the signatures of the JSON receipt and that it is about these things. On success `entry` holds it.
 */
MUST_CHECK bool receipt_check(slice json, const receipt_claims *claims, signed_receipt *entry, error *err);

#endif
