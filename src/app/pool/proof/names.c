#include "proof/names.h"

#include "base/log.h"
#include "fleet.h"
#include "proof/policy.h"

static bool has_tier(const pool *p, slice name) {
    const fleet_worker *worker = NULL;
    for (size_t i = 0; (worker = fleet_next(p->fleet, &i)) != NULL;) {
        if (worker->revoked_ms == 0 && policy_tiers_have(slice_of_text(worker->tiers), name)) {
            return true;
        }
    }
    return false;
}

void names_warn_of_tiers(const pool *p) {
    slice name;
    for (slice rest = slice_of_text(p->settings.verify_tiers); policy_list_next(&rest, &name);) {
        if (!has_tier(p, name)) {
            log_warning("verify_tiers names a tier that no enrolled worker has: correct it if it is misspelt",
                        LOG_SLICE("tier", name));
        }
    }
}

static bool has_model(const pool *p, slice name, size_t *known) {
    dispatch_model_info model;
    *known = 0;
    for (size_t i = 0; dispatch_model_next(p->dispatch, &i, &model); ++*known) {
        if (slice_equal(model.name, name)) {
            return true;
        }
    }
    return false;
}

void names_warn_of_models(const pool *p) {
    slice name;
    size_t known = 0;
    for (slice rest = slice_of_text(p->settings.verify_models); policy_list_next(&rest, &name);) {
        if (!has_model(p, name, &known) && known > 0) {
            log_warning(
                "verify_models names a model that no connected worker has: correct it if it is misspelt",
                LOG_SLICE("model", name));
        }
    }
}
