#ifndef POOL_PROOF_RECORD_H
#define POOL_PROOF_RECORD_H

#include "base/arena.h"
#include "base/buffer.h"
#include "chat_request.h"
#include "ledger/finding.h"
#include "ledger/receipt.h"

/* All that is needed to have an answer computed again: the receipt, which has the parameters, the seed and
 * the salt, and what it keeps secret, prompt and token ids. Stored sealed only, and wiped when decided. Pure.
 */
typedef struct answer_record {
    signed_receipt entry; /* by the worker */
    slice model;          /* name */
    const receipt_message *messages;
    size_t message_count;
    const slice *stops;
    size_t stop_count;
    const uint32_t *tokens;
    size_t token_count;
} answer_record;

enum { RECORD_LIMIT = 8 * 1024 * 1024 };

/* Bytes that record_encode appends, at most. */
size_t record_size(const answer_record *record);
/* Appends it to `out`; on failure wipe that. */
MUST_CHECK bool record_encode(const answer_record *record, buffer *out, error *err);
/* What the record points at is in `bytes` and `memory`. The receipt's signature is verified, and that prompt,
 * stops and tokens are those that it is about. ERROR_CORRUPT, ERROR_MEMORY. */
MUST_CHECK bool record_decode(slice bytes, arena *memory, answer_record *record, error *err);

/* The findings about one answer, in the order in which they came, as they are stored. */
enum { FINDINGS_MAX = 4 };

typedef struct finding_list {
    size_t count;
    signed_finding items[FINDINGS_MAX];
} finding_list;

MUST_CHECK bool findings_encode(const finding_list *list, buffer *out, error *err);
/* Signatures are verified. ERROR_CORRUPT. */
MUST_CHECK bool findings_decode(slice bytes, finding_list *list, error *err);

#endif
