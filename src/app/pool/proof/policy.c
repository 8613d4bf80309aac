#include "proof/policy.h"

#include "settings.h"

/* Cuts `*rest` at the first comma; what comes out has no blanks around it. */
static slice next_entry(slice *rest) {
    size_t end = slice_find(*rest, ',');
    slice entry = slice_trim(slice_part(*rest, 0, end));
    *rest = end == SIZE_MAX ? (slice){0} : slice_after(*rest, end + 1);
    return entry;
}

static bool read_entry(slice entry, slice *name, verify_mode *mode) {
    size_t equals = slice_find(entry, '=');
    *name = slice_trim(slice_part(entry, 0, equals));
    *mode = VERIFY_REQUIRED;
    return equals != SIZE_MAX && name->length > 0 &&
           verify_mode_parse(slice_trim(slice_after(entry, equals + 1)), mode);
}

bool policy_list_next(slice *rest, slice *name) {
    verify_mode ignored;
    while (rest->length > 0) {
        slice entry = next_entry(rest);
        if (entry.length > 0 && read_entry(entry, name, &ignored)) {
            return true;
        }
    }
    return false;
}

bool policy_tiers_have(slice tiers, slice name) {
    for (slice rest = tiers; rest.length > 0;) {
        if (slice_equal(next_entry(&rest), name)) {
            return true;
        }
    }
    return false;
}

static verify_mode stricter(verify_mode a, verify_mode b) {
    const verify_mode both[] = {a, b};
    return verify_strictest(both, 2);
}

/* Of a name that comes several times the strictest counts. `wanted` empty: the list is only read. */
static bool read_list(slice list, slice wanted, verify_mode *mode) {
    *mode = VERIFY_OFF;
    for (slice rest = list; rest.length > 0;) {
        slice name;
        verify_mode said;
        slice entry = next_entry(&rest);
        if (entry.length == 0) {
            continue;
        }
        if (!read_entry(entry, &name, &said)) {
            *mode = VERIFY_REQUIRED;
            return false;
        }
        if (slice_equal(name, wanted)) {
            *mode = stricter(*mode, said);
        }
    }
    return true;
}

bool policy_list_find(slice list, slice name, verify_mode *mode) {
    return read_list(list, name, mode);
}

static bool check_list(const char *setting, const char *list, error *err) {
    verify_mode ignored;
    return read_list(slice_of_text(list), (slice){0}, &ignored) ||
           error_set(err, ERROR_INVALID,
                     "%s: write it as \"name=mode, name=mode\" with modes off, spot, every, proved, required",
                     setting);
}

bool policy_check_settings(const pool_settings *settings, error *err) {
    verify_mode ignored;
    if (!verify_mode_parse(slice_of_text(settings->verify), &ignored)) {
        return error_set(err, ERROR_INVALID,
                         "verify: \"%s\" is not one of off, spot, every, proved, required", settings->verify);
    }
    return check_list("verify_models", settings->verify_models, err) &&
           check_list("verify_tiers", settings->verify_tiers, err);
}

verify_mode policy_of_model(const pool_settings *settings, slice model) {
    verify_mode of_site = VERIFY_REQUIRED;
    verify_mode of_model = VERIFY_REQUIRED;
    if (!verify_mode_parse(slice_of_text(settings->verify), &of_site) ||
        !policy_list_find(slice_of_text(settings->verify_models), model, &of_model)) {
        return VERIFY_REQUIRED;
    }
    return stricter(of_site, of_model);
}

verify_mode policy_of_tiers(const pool_settings *settings, slice tiers) {
    verify_mode mode = VERIFY_OFF;
    slice list = slice_of_text(settings->verify_tiers);
    for (slice rest = tiers; rest.length > 0;) {
        verify_mode said = VERIFY_REQUIRED;
        slice tier = next_entry(&rest);
        if (tier.length > 0 && !policy_list_find(list, tier, &said)) {
            return VERIFY_REQUIRED;
        }
        mode = tier.length > 0 ? stricter(mode, said) : mode;
    }
    return mode;
}

standing_rules policy_rules(const pool_settings *settings) {
    standing_rules rules = standing_rules_default();
    rules.floor = (double)settings->verify_floor / 100.0;
    return rules;
}
