#ifndef STORE_RECEIPTS_H
#define STORE_RECEIPTS_H

#include "store/workers.h"

enum {
    STORE_JOB_ID_SIZE = 16,
    STORE_SALT_SIZE = 32,
    STORE_RECEIPT_MAX = 65536,
    STORE_HONEYTOKEN_DAYS = 1825 /* that are seen nowhere, and no receipt is as old */
};

/* The signed account of an answer; no word of the prompt or of the answer. Writes survive the death of the
 * process (kill -9) when answered; a power cut may lose the last ones. */
typedef struct store_receipt {
    uint8_t job_id[STORE_JOB_ID_SIZE];
    uint64_t user_id;
    uint8_t worker_id[STORE_WORKER_ID_SIZE];
    uint64_t created_ms;
    slice receipt; /* the bytes that are signed; 1..STORE_RECEIPT_MAX */
    uint8_t worker_signature[STORE_SIGNATURE_SIZE];
    uint8_t worker_key[STORE_KEY_SIZE];
    uint8_t salt[STORE_SALT_SIZE];
    bool countersigned; /* pool_signature is set */
    uint8_t pool_signature[STORE_SIGNATURE_SIZE];
} store_receipt;

/* ERROR_CONFLICT: the job has one. ERROR_INVALID: no such user or worker. */
MUST_CHECK bool store_receipt_add(store *s, const store_receipt *receipt, store_done *done, void *context,
                                  error *err);

/* ERROR_NOT_FOUND: no such job, or another user's: these two can't be told apart. */
typedef void store_receipt_found(void *context, const store_receipt *receipt, const error *failure);
MUST_CHECK bool store_receipt_get(store *s, const uint8_t job_id[STORE_JOB_ID_SIZE], uint64_t user_id,
                                  store_receipt_found *done, void *context, error *err);

/* Countersigns. ERROR_NOT_FOUND: no such job. ERROR_CONFLICT: countersigned already with another signature.
 */
MUST_CHECK bool store_receipt_set_pool_signature(store *s, const uint8_t job_id[STORE_JOB_ID_SIZE],
                                                 const uint8_t signature[STORE_SIGNATURE_SIZE],
                                                 store_done *done, void *context, error *err);

/* Deletes the oldest receipts made before `before_ms`, and with them the checks of answers that are decided
 * or open and the notices as old, and honeytokens older by STORE_HONEYTOKEN_DAYS; at most `limit`
 * (1..STORE_LIST_MAX) of each per call, so that it never holds others up for long. Gives the greatest of the
 * counts; call again while that is `limit`. */
typedef void store_receipts_deleted(void *context, size_t count, const error *failure);
MUST_CHECK bool store_receipts_delete_before(store *s, uint64_t before_ms, size_t limit,
                                             store_receipts_deleted *done, void *context, error *err);

#endif
