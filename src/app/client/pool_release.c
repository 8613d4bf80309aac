#include "pool_release.h"

#include "app_release/trust.h"
#include "os/clock.h"

/* Without keys in this program nothing is signed for it: then `keys` isn't looked at. */
static bool find_keys(maintainers *keys, release_asker *asker, error *err) {
    char folder[RELEASE_FOLDER_SIZE];
    if (!release_is_pinned()) {
        return true;
    }
    asker->keys = keys;
    return release_find_own_folder(folder, err) && release_trust_load(NULL, folder, keys, err);
}

bool pool_release_check(const json_value *answer, const release_acceptance *wanted, error *err) {
    maintainers keys;
    release_asker asker = {.now_s = clock_unix_ms() / 1000};
    release_claim claim = {.manifest = json_text_of(json_find(answer, "manifest"))};
    if (!hex_decode(json_text_of(json_find(answer, "program")), claim.program, sizeof claim.program)) {
        return error_set(err, ERROR_DENIED, "the pool doesn't say which program it runs");
    }
    return find_keys(&keys, &asker, err) && release_hash_own_program(asker.program, err) &&
           (release_accepts(wanted, &asker, &claim, err) || error_context(err, "the pool's release"));
}
