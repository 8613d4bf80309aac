#ifndef CLIENT_RECOMPUTE_H
#define CLIENT_RECOMPUTE_H

#include "app_model/load.h"
#include "ledger/receipt.h"
#include "outcome.h"
#include "request.h"

/* Computes the answer of a receipt again, which was verified before, and compares. */
typedef struct recomputation {
    const signed_receipt *entry;
    const request *asked;
    const slice *answer;     /* the text that is held against it; NULL: none */
    bool answer_is_receipts; /* the receipt is about that text */
    load_options load;
} recomputation;

/* Enters the sandbox: afterwards nothing more can be opened, and the process ends by tool_exit. `*token` is
 * the first that can't be the answer's, from 1, or 0 if that can't be told; `err` says why it isn't proved.
 */
outcome recompute(const recomputation *r, size_t *token, error *err);

#endif
