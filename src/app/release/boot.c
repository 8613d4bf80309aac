#include "app_release/boot.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/clock.h"
#include "seen.h"

#include <inttypes.h>

bool release_policy_parse(const char *word, release_policy *policy) {
    static const char *const words[] = {
        [RELEASE_REFUSE] = "refuse", [RELEASE_WARN] = "warn", [RELEASE_OFF] = "off"};
    *policy = release_is_pinned() ? RELEASE_REFUSE : RELEASE_OFF;
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i]) == 0) {
            *policy = (release_policy)i;
            return true;
        }
    }
    return strcmp(word, "auto") == 0;
}

const char *release_state_name(release_state state) {
    static const char *const names[] = {
        [RELEASE_UNCHECKED] = "off", [RELEASE_VERIFIED] = "verified", [RELEASE_WRONG] = "wrong"};
    return names[state];
}

static bool check_seen(const release_check *check, const release_seen *seen, const release_manifest *m,
                       const maintainers *keys, error *err) {
    char version[RELEASE_VERSION_SIZE];
    char before[RELEASE_VERSION_SIZE];
    if (release_version_compare(&m->version, &seen->version) < 0) {
        release_version_write(&m->version, version);
        release_version_write(&seen->version, before);
        return error_set(err, ERROR_DENIED,
                         "release %s is older than %s, which ran here before: install that one or a newer "
                         "one; to go back on purpose remove %s/release.seen",
                         version, before, check->state_folder);
    }
    return keys->generation >= seen->generation ||
           error_set(err, ERROR_DENIED,
                     "the maintainers' keys are of generation %" PRIu64 ", and %" PRIu64
                     " was seen here: install the whole release",
                     keys->generation, seen->generation);
}

static bool check_manifest(const release_status *status, const release_manifest *m, error *err) {
    char version[RELEASE_VERSION_SIZE];
    const release_file *file = release_manifest_find(m, SLICE_LITERAL(RELEASE_PROGRAM));
    release_version_write(&m->version, version);
    if (file == NULL || memcmp(file->digest, status->program, HASH_SIZE) != 0) {
        return error_set(err, ERROR_CORRUPT,
                         "this program was changed: it isn't the one that was signed as release %s", version);
    }
    return strcmp(version, CELLULE_VERSION) == 0 ||
           error_set(err, ERROR_CORRUPT,
                     "the manifest is of version %s, and this program is " CELLULE_VERSION, version);
}

static bool remember(const release_check *check, const release_seen *seen, const release_manifest *m,
                     const maintainers *keys, error *err) {
    bool newer =
        release_version_compare(&m->version, &seen->version) > 0 || keys->generation > seen->generation;
    release_seen now = {.version = m->version, .generation = keys->generation};
    return check->only_look || !newer || release_seen_write(check->state_folder, &now, err);
}

static bool check_against(const release_check *check, release_status *status, release_manifest *m,
                          error *err) {
    release_seen seen;
    if (!maintainers_open_manifest(&status->keys, buffer_slice(&status->manifest), m, err) ||
        !release_manifest_is_current(m, clock_unix_ms() / 1000, err) || !check_manifest(status, m, err) ||
        !release_seen_read(check->state_folder, &seen, err) ||
        !check_seen(check, &seen, m, &status->keys, err) || !remember(check, &seen, m, &status->keys, err)) {
        return false;
    }
    status->expires_s = m->expires_s;
    return true;
}

static bool check_release(const release_check *check, const char *folder, release_status *status,
                          error *err) {
    release_manifest *m = memory_allocate(sizeof *m);
    if (m == NULL) {
        return error_memory(err);
    }
    bool good = release_read_manifest(folder, &status->manifest, err) && check_against(check, status, m, err);
    memory_free(m);
    return good;
}

/* Also where nothing is checked: whoever is asked for "signed" is judged by them. */
static bool load_keys(const release_check *check, const char *folder, release_status *status, error *err) {
    const char *keys_file = check->keys_file == NULL || check->keys_file[0] == '\0' ? NULL : check->keys_file;
    if (keys_file != NULL && release_is_pinned()) {
        return error_set(err, ERROR_INVALID,
                         "this program has its maintainers' keys in it: a file of keys is for development "
                         "builds; take it out of the settings");
    }
    if (keys_file == NULL && !release_is_pinned()) {
        return true;
    }
    status->has_keys = release_trust_load(keys_file, folder, &status->keys, err);
    return status->has_keys;
}

static bool check_all(const release_check *check, release_policy policy, release_status *status, error *err) {
    char folder[RELEASE_FOLDER_SIZE];
    if (!release_find_own_folder(folder, err) || !load_keys(check, folder, status, err)) {
        return false;
    }
    if (policy == RELEASE_OFF) {
        return true;
    }
    if (!status->has_keys) {
        maintainers none;
        return release_trust_load(NULL, NULL, &none, err); /* says what is missing */
    }
    return check_release(check, folder, status, err);
}

static void tell_state(const release_status *status) {
    if (status->state == RELEASE_VERIFIED) {
        char date[RELEASE_DATE_SIZE];
        release_date_write(status->expires_s, date);
        log_info("this program is the release that was signed", LOG_TEXT("version", CELLULE_VERSION),
                 LOG_TEXT("program", status->program_hex), LOG_TEXT("expires", date));
    } else if (status->state == RELEASE_WRONG) {
        log_warning("this program isn't a release that may run here, and runs as the settings want it",
                    LOG_TEXT("program", status->program_hex), LOG_TEXT("cause", status->problem));
    } else if (release_is_pinned()) {
        log_warning("this program's own bytes aren't checked, as the settings want it",
                    LOG_TEXT("program", status->program_hex));
    } else {
        log_info("a development build: its own bytes aren't checked",
                 LOG_TEXT("program", status->program_hex));
    }
}

bool release_check_self(const release_check *check, release_status *status, error *err) {
    release_policy policy = RELEASE_REFUSE;
    *status = (release_status){.manifest = buffer_make(RELEASE_NOTE_MAX)};
    if (!release_policy_parse(check->policy, &policy)) {
        return error_set(err, ERROR_INVALID,
                         "the check of the release is refuse, warn, off or auto, not \"%s\"", check->policy);
    }
    if (check->only_look && policy == RELEASE_OFF) {
        return true;
    }
    if (!release_hash_own_program(status->program, err)) {
        return false;
    }
    hex_encode(slice_of(status->program, HASH_SIZE), status->program_hex);
    bool good = check_all(check, policy, status, err);
    if (good) {
        status->state = policy == RELEASE_OFF ? RELEASE_UNCHECKED : RELEASE_VERIFIED;
    } else if (policy != RELEASE_WARN || err->code == ERROR_MEMORY) {
        return policy == RELEASE_OFF ? false : error_context(err, "this program may not run here");
    } else {
        status->state = RELEASE_WRONG;
        memcpy(status->problem, err->text, sizeof status->problem);
        buffer_clear(&status->manifest);
        *err = (error){0};
    }
    tell_state(status);
    return true;
}

void release_status_free(release_status *status) {
    buffer_free(&status->manifest);
}

bool release_status_accepts(const release_status *status, const release_acceptance *wanted,
                            const release_claim *claim, error *err) {
    release_asker asker = {.keys = status->has_keys ? &status->keys : NULL, .now_s = clock_unix_ms() / 1000};
    memcpy(asker.program, status->program, HASH_SIZE);
    return release_accepts(wanted, &asker, claim, err);
}
