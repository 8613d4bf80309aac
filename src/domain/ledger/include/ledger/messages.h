#ifndef LEDGER_MESSAGES_H
#define LEDGER_MESSAGES_H

#include "base/arena.h"
#include "codec/json.h"
#include "ledger/receipt.h"

enum { MESSAGES_LIMIT = 1024 };

/* The messages of a question, as OpenAI's API reference has them: an array of 1 to MESSAGES_LIMIT objects
 * with a role that there is and content, which is a string, or an array of parts that are all text; these
 * stand one behind the other. Read in one place, so that whoever verifies a receipt hashes what the pool has
 * hashed. Everything is copied into `memory`. ERROR_INVALID says what is wrong, ERROR_MEMORY. */
MUST_CHECK bool messages_read(const json_value *list, arena *memory, receipt_message **messages,
                              size_t *count, error *err);

#endif
