#ifndef POOL_PROOF_CALIBRATIONS_H
#define POOL_PROOF_CALIBRATIONS_H

#include "base/error.h"
#include "crypto/hash.h"
#include "ledger/receipt.h"
#include "store/store.h"
#include "verify/learning.h"

/* How alike honest answers of each runtime and model are: CALIBRATIONS_MAX places in memory, each of which is
 * put down in the store now and then and at the end, so that a pool that starts again needn't learn it anew.
 * Digests and profiles are words of workers: when all places are taken, one that knows less gives way (not
 * yet calibrated, then taught by workers, then by referees; the longest unused first), and nobody's invention
 * makes what referees taught be forgotten. */
typedef struct calibrations calibrations;

enum { CALIBRATIONS_MAX = 64 };

typedef struct calibration_key {
    uint8_t bytes[HASH_SIZE];
} calibration_key;
/* What is compared: texts alone, or their tokens' logprobs too. What the one says of honest pairs says
 * nothing of the other. */
typedef enum calibration_kind { CALIBRATION_TEXTS, CALIBRATION_LOGPROBS, CALIBRATION_KINDS } calibration_kind;
/* Of a runtime's digest (which stands for runtime and model) and its profile. */
MUST_CHECK bool calibration_key_of(const uint8_t digest[HASH_SIZE], const char *profile,
                                   calibration_kind kind, calibration_key *key, error *err);

MUST_CHECK calibrations *calibrations_new(error *err);
/* Asks the store for what it has, the first time. Until that has come nothing is known or learnt. */
void calibrations_load(calibrations *all, store *s);
/* Puts down what isn't yet. What the store still answers is ignored. NULL is allowed. */
void calibrations_free(calibrations *all, store *s);

/* What is known; zeros where that is nothing. Valid until the next call. */
const agreement_calibration *calibrations_find(calibrations *all, const calibration_key *key);
/* True: with this pair enough is known. */
bool calibrations_learn(calibrations *all, store *s, const calibration_key *key, learning_lesson lesson,
                        double score);
/* Of how many too little is known yet. */
size_t calibrations_learning(const calibrations *all);

/* How one is stored: ERROR_CORRUPT for what no encoding gives. Pure. */
enum { CALIBRATION_ENCODED_SIZE = HASH_SIZE + 4 * (AGREEMENT_BINS + 2) };
void calibration_encode(const calibration_key *key, const agreement_calibration *c,
                        uint8_t bytes[CALIBRATION_ENCODED_SIZE]);
MUST_CHECK bool calibration_decode(slice bytes, calibration_key *key, agreement_calibration *c, error *err);

#endif
