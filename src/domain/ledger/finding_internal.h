#ifndef FINDING_INTERNAL_H
#define FINDING_INTERNAL_H

#include "codec/json.h"
#include "ledger/finding.h"

/* As finding_read_json, from a value; after a failure `s` may be half filled. */
MUST_CHECK bool finding_read_value(const json_value *root, signed_finding *s, error *err);

#endif
