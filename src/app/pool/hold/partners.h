#ifndef POOL_PARTNERS_H
#define POOL_PARTNERS_H

#include "fleet.h"
#include "ledger/receipt.h"
#include "state.h"

/* Whether somebody is connected who could compute this worker's answer again: with another owner or a
 * referee, and with the same model file in the same profile. It may be busy. */
bool partners_can_prove(const pool *p, slice model, const uint8_t worker_id[STORE_WORKER_ID_SIZE],
                        const receipt *answer);

#endif
