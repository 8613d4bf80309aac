#ifndef RECEIPT_INTERNAL_H
#define RECEIPT_INTERNAL_H

#include "ledger/receipt.h"

/* 2^53: a time that every reader of JSON keeps exactly. */
#define RECEIPT_TIME_LIMIT (UINT64_C(1) << 53)

/* The name in JSON; NULL if there is none. */
const char *receipt_finish_name(receipt_finish finish);

#endif
