#ifndef CLIENT_POOL_RELEASE_H
#define CLIENT_POOL_RELEASE_H

#include "codec/json.h"
#include "release/acceptance.h"

/* Whether the program that a pool says it runs (what GET /v1/release answers) is one that `wanted` accepts.
 * ERROR_DENIED says why not. Blocks: this program's own bytes and keys are looked at. */
MUST_CHECK bool pool_release_check(const json_value *answer, const release_acceptance *wanted, error *err);

#endif
