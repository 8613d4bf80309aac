#ifndef CLIENT_OUTCOME_H
#define CLIENT_OUTCOME_H

#include "base/error.h"

/* How a verification ends: the exit codes. */
typedef enum outcome {
    OUTCOME_GOOD = 0,     /* valid; proved */
    OUTCOME_REFUTED = 1,  /* it isn't what it is said to be */
    OUTCOME_UNCHECKED = 2 /* that can't be told here, or by these means */
} outcome;

/* What an error says of the thing that was looked at: what is wrong in it refutes it; that memory is out, or
 * its version isn't known here, doesn't. */
outcome outcome_of(const error *err);

#endif
