#ifndef POOL_PROOF_NAMES_H
#define POOL_PROOF_NAMES_H

#include "state.h"

/* Names in the settings that nobody has: a slip of the pen would leave answers unchecked that should be. Each
 * is named in a warning. Tiers are those of enrolled workers; models those of connected ones, and without any
 * nothing is said of them. */
void names_warn_of_tiers(const pool *p);
void names_warn_of_models(const pool *p);

#endif
