#ifndef RECEIPT_INTERNAL_H
#define RECEIPT_INTERNAL_H

#include "codec/json.h"
#include "ledger/receipt.h"

/* The name in JSON; NULL if there is none. */
const char *receipt_finish_name(receipt_finish finish);

/* As receipt_read_json, from a value; after a failure `s` may be half filled. */
MUST_CHECK bool receipt_read_value(const json_value *root, signed_receipt *s, error *err);

#endif
