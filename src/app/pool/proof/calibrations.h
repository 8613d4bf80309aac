#ifndef POOL_PROOF_CALIBRATIONS_H
#define POOL_PROOF_CALIBRATIONS_H

#include "base/error.h"
#include "base/map.h"
#include "crypto/hash.h"
#include "store/store.h"
#include "verify/agreement.h"

/* How alike honest answers of each runtime and model are: in memory, and now and then put down in the store,
 * so that a pool that starts again needn't learn it anew. */
typedef struct calibrations calibrations;

enum { CALIBRATIONS_MAX = 256 }; /* runtimes and models; the digests come from workers, so there is a bound */

MUST_CHECK calibrations *calibrations_new(const uint8_t seed[MAP_SEED_SIZE], error *err);
/* What the store still answers is ignored. NULL is allowed. */
void calibrations_free(calibrations *all);

/* The score's log-likelihood ratio, 0 while too little is known (or what is stored is still on its way). The
 * digest is a runtime's: it stands for runtime and model. */
double calibrations_ratio(calibrations *all, store *s, const uint8_t digest[HASH_SIZE], double score);
/* Learns from an honest pair. */
void calibrations_learn(calibrations *all, store *s, const uint8_t digest[HASH_SIZE], double score);

/* How one is stored: ERROR_CORRUPT for what no encoding gives. Pure. */
enum { CALIBRATION_ENCODED_SIZE = 4 * (AGREEMENT_BINS + 1) };
void calibration_encode(const agreement_calibration *c, uint8_t bytes[CALIBRATION_ENCODED_SIZE]);
MUST_CHECK bool calibration_decode(slice bytes, agreement_calibration *c, error *err);

#endif
