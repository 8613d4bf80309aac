#include "seen.h"

#include "app_release/trust.h"
#include "os/file.h"

#include <inttypes.h>
#include <stdio.h>

#define HEADER "cellule release seen v1\n"
enum { FILE_LIMIT = 256 };

static bool path_in(const char *folder, char path[RELEASE_FOLDER_SIZE], error *err) {
    return snprintf(path, RELEASE_FOLDER_SIZE, "%s/release.seen", folder) < RELEASE_FOLDER_SIZE ||
           error_set(err, ERROR_LIMIT, "the folder's path is too long");
}

static bool parse(slice text, release_seen *seen) {
    slice header = SLICE_LITERAL(HEADER);
    slice rest = slice_after(text, header.length);
    slice value;
    return slice_starts_with(text, header) && release_take_field(&rest, "version", &value) &&
           release_version_parse(value, &seen->version) && release_take_field(&rest, "generation", &value) &&
           slice_to_u64(value, &seen->generation) && rest.length == 0;
}

bool release_seen_read(const char *folder, release_seen *seen, error *err) {
    char path[RELEASE_FOLDER_SIZE];
    *seen = (release_seen){.generation = 0};
    if (!path_in(folder, path, err)) {
        return false;
    }
    if (!file_exists(path)) {
        return true;
    }
    buffer text = buffer_make(FILE_LIMIT);
    bool read = file_read_all(path, &text, err) &&
                (parse(buffer_slice(&text), seen) ||
                 error_set(err, ERROR_CORRUPT,
                           "%s is damaged, so that nobody knows which release ran here last: restore it, or "
                           "remove it if you know",
                           path));
    buffer_free(&text);
    return read;
}

bool release_seen_write(const char *folder, const release_seen *seen, error *err) {
    char path[RELEASE_FOLDER_SIZE];
    char version[RELEASE_VERSION_SIZE];
    buffer text = buffer_make(FILE_LIMIT);
    release_version_write(&seen->version, version);
    buffer_append_format(&text, HEADER "version %s\ngeneration %" PRIu64 "\n", version, seen->generation);
    bool written = (!buffer_failed(&text) || error_memory(err)) && path_in(folder, path, err) &&
                   file_write_atomic(path, buffer_slice(&text), 0600, err);
    buffer_free(&text);
    return written;
}
