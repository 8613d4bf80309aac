#ifndef POOL_PROOF_POLICY_H
#define POOL_PROOF_POLICY_H

#include "base/error.h"
#include "base/slice.h"
#include "verify/policy.h"
#include "verify/standing.h"

/* What the settings say of checking. Pure. */
typedef struct pool_settings pool_settings;

/* "name=mode, other=mode": the mode of `name`, VERIFY_OFF if it isn't in the list. False, with the strictest
 * mode, for a list that can't be read. */
MUST_CHECK bool policy_list_find(slice list, slice name, verify_mode *mode);

/* The next name of a list that can be read; `*rest` is the list at first. False: there is none any more. */
bool policy_list_next(slice *rest, slice *name);

/* Whether `name` is one of a worker's tiers ("a, b"). */
bool policy_tiers_have(slice tiers, slice name);

/* Every word of the settings that says how answers are checked. ERROR_INVALID names the setting. */
MUST_CHECK bool policy_check_settings(const pool_settings *settings, error *err);

/* The least that the site asks for an answer of this model, from a worker of any of these tiers ("a, b"). */
verify_mode policy_of_model(const pool_settings *settings, slice model);
verify_mode policy_of_tiers(const pool_settings *settings, slice tiers);

standing_rules policy_rules(const pool_settings *settings);

#endif
