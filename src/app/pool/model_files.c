#include "model_files.h"

typedef struct entry {
    slice name;
    uint8_t digest[HASH_SIZE];
    slice profile; /* empty: any */
} entry;

static slice until(slice *rest, uint8_t mark) {
    size_t end = slice_find(*rest, mark);
    slice part = slice_trim(slice_part(*rest, 0, end));
    *rest = end == SIZE_MAX ? (slice){0} : slice_after(*rest, end + 1);
    return part;
}

/* False: it is none. */
static bool read_entry(slice text, entry *e) {
    e->name = until(&text, '=');
    slice digest = until(&text, ':');
    e->profile = slice_trim(text);
    return e->name.length > 0 && digest.length == 2 * sizeof e->digest &&
           hex_decode(digest, e->digest, sizeof e->digest);
}

static bool read_list(const char *list, slice name, const entry *offered, bool *listed, bool *allowed) {
    for (slice rest = slice_of_text(list); rest.length > 0;) {
        slice text = until(&rest, ',');
        entry e;
        if (text.length == 0) {
            continue;
        }
        if (!read_entry(text, &e)) {
            return false;
        }
        if (slice_equal(e.name, name)) {
            *listed = true;
            *allowed = *allowed || (memcmp(e.digest, offered->digest, sizeof e.digest) == 0 &&
                                    (e.profile.length == 0 || slice_equal(e.profile, offered->profile)));
        }
    }
    return true;
}

bool model_files_check(const char *list, error *err) {
    const entry none = {.name = {0}};
    bool ignored = false;
    return read_list(list, (slice){0}, &none, &ignored, &ignored) ||
           error_set(err, ERROR_INVALID,
                     "model_files: write it as \"name=digest, name=digest:profile\" with the SHA-256 of the "
                     "model file in 64 lower-case hex digits");
}

bool model_files_allow(const char *list, slice name, const uint8_t digest[HASH_SIZE], slice profile) {
    entry offered = {.name = name, .profile = profile};
    bool listed = false;
    bool allowed = false;
    memcpy(offered.digest, digest, sizeof offered.digest);
    return read_list(list, name, &offered, &listed, &allowed) && (allowed || !listed);
}
