#ifndef STORE_VERIFICATIONS_INTERNAL_H
#define STORE_VERIFICATIONS_INTERNAL_H

#include "request.h"
#include "store/verifications.h"

/* What every query that gives verifications selects first, in the order verifications_read takes it; findings
 * and payload follow, or empty blobs in their place. */
#define VERIFICATION_COLUMNS                                                                                 \
    "v.number, id, job_id, user_id, worker_id, model, mode, state, created_ms, decided_ms, recheck, "        \
    "verifier_id, referee_id, independence, position, attempts, referees"
#define VERIFICATION_WITH_PAYLOAD                                                                            \
    "SELECT " VERIFICATION_COLUMNS ", findings, payload "                                                    \
    "FROM inference_verifications v LEFT JOIN inference_payloads p ON p.number = v.number "
#define VERIFICATION_ALONE "SELECT " VERIFICATION_COLUMNS ", NULL, NULL FROM inference_verifications v "

#define VERIFICATION_WITH_FINDINGS                                                                           \
    "SELECT " VERIFICATION_COLUMNS ", findings, NULL FROM inference_verifications v "

MUST_CHECK bool verifications_read(query *q, arena *memory, store_verification *v, error *err);

#endif
