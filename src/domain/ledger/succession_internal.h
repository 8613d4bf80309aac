#ifndef LEDGER_SUCCESSION_INTERNAL_H
#define LEDGER_SUCCESSION_INTERNAL_H

#include "ledger/succession.h"

/* What was read: every step, and that all are of this pool; NULL: of the one that it names. */
MUST_CHECK bool succession_verify(const succession *s, const uint8_t pool_id[HASH_SIZE], error *err);
/* For who knows the id alone. ERROR_NOT_FOUND: nothing here leads from it to this key. */
MUST_CHECK bool succession_check_first(const uint8_t key[SIGN_PUBLIC_SIZE], const uint8_t pool_id[HASH_SIZE],
                                       error *err);

#endif
