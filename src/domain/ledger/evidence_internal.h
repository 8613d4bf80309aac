#ifndef LEDGER_EVIDENCE_INTERNAL_H
#define LEDGER_EVIDENCE_INTERNAL_H

#include "ledger/evidence.h"

/* ERROR_UNSUPPORTED: it isn't one of ours; ERROR_CORRUPT: it doesn't go with the reason. */
MUST_CHECK bool evidence_version_is_known(const evidence *e, error *err);

#endif
