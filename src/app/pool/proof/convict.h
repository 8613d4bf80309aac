#ifndef POOL_PROOF_CONVICT_H
#define POOL_PROOF_CONVICT_H

#include "proof/check.h"

/* A worker is proved wrong by this check: it is shut out at once, the evidence is put down, what it answered
 * lately is checked, and whoever asked what was answered wrongly will be told. One
 * that was cleared since isn't convicted again for what it answered before. `reason`: of the human who
 * decided; NULL: two workers have proved it. */
void convict(check *c, const uint8_t worker[STORE_WORKER_ID_SIZE], const char *reason);

/* testimony.c: puts the signed evidence down. */
void testimony_store(const check *c, const uint8_t worker[STORE_WORKER_ID_SIZE], const char *reason);

#endif
