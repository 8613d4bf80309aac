#include "app_release/trust.h"

#include "os/file.h"
#include "pinned.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

bool release_is_pinned(void) {
    return CELLULE_MAINTAINERS[0] != '\0';
}

/* A list that has been signed is taken as well: it is trusted for where it comes from. */
static bool parse_first_list(slice text, maintainers *m, error *err) {
    note n;
    if (slice_find_slice(text, SLICE_LITERAL("\n\n")) == SIZE_MAX) {
        return maintainers_parse(text, m, err);
    }
    return note_parse(text, &n, err) && maintainers_parse(n.text, m, err);
}

static bool read_first_list(const char *path, maintainers *m, error *err) {
    buffer bytes = buffer_make(RELEASE_NOTE_MAX);
    bool read = file_read_all(path, &bytes, err) && parse_first_list(buffer_slice(&bytes), m, err);
    buffer_free(&bytes);
    return read || error_context(err, "the maintainers' keys in %s", path);
}

static bool follow(const char *folder, maintainers *m, bool *more, error *err) {
    char path[RELEASE_FOLDER_SIZE];
    *more = false;
    if (snprintf(path, sizeof path, "%s/" RELEASE_NOTES "/maintainers-%" PRIu64, folder, m->generation + 1) >=
        (int)sizeof path) {
        return error_set(err, ERROR_LIMIT, "the path of the release's folder is too long");
    }
    if (!file_exists(path)) {
        return true;
    }
    buffer bytes = buffer_make(RELEASE_NOTE_MAX);
    *more = file_read_all(path, &bytes, err) && maintainers_succeed(m, buffer_slice(&bytes), err);
    buffer_free(&bytes);
    return *more || error_context(err, "%s", path);
}

bool release_trust_load(const char *keys_file, const char *folder, maintainers *m, error *err) {
    if (keys_file == NULL && !release_is_pinned()) {
        return error_set(err, ERROR_NOT_FOUND,
                         "this is a development build, with no maintainers' keys in it: say whose releases "
                         "you trust by a file of keys (release_keys, --release-keys)");
    }
    if (keys_file != NULL ? !read_first_list(keys_file, m, err)
                          : !parse_first_list(slice_of_text(CELLULE_MAINTAINERS), m, err)) {
        return false;
    }
    bool more = folder != NULL;
    for (int i = 0; more && i < MAINTAINERS_SUCCESSIONS_MAX; i++) {
        if (!follow(folder, m, &more, err)) {
            return false;
        }
    }
    return !more || folder == NULL ||
           error_set(err, ERROR_LIMIT,
                     "more than %d lists of maintainers follow the first: install a newer release",
                     MAINTAINERS_SUCCESSIONS_MAX);
}

bool release_read_manifest(const char *folder, buffer *note_bytes, error *err) {
    char path[RELEASE_FOLDER_SIZE];
    if (snprintf(path, sizeof path, "%s/" RELEASE_NOTES "/manifest", folder) >= (int)sizeof path) {
        return error_set(err, ERROR_LIMIT, "the path of the release's folder is too long");
    }
    if (!file_exists(path)) {
        return error_set(err, ERROR_NOT_FOUND, "there is no signed manifest %s: install the whole release",
                         path);
    }
    return file_read_all(path, note_bytes, err);
}

bool release_find_own_folder(char folder[RELEASE_FOLDER_SIZE], error *err) {
    ssize_t length = readlink("/proc/self/exe", folder, RELEASE_FOLDER_SIZE - 1);
    if (length < 0) {
        return error_set_errno(err, ERROR_IO, errno, "finding where this program lies");
    }
    folder[length] = '\0';
    for (int up = 0; up < 2; up++) {
        char *slash = strrchr(folder, '/');
        if (slash == NULL) {
            break;
        }
        *slash = '\0';
    }
    return true; /* empty: the root folder */
}

bool release_hash_own_program(uint8_t digest[HASH_SIZE], error *err) {
    slice program;
    if (!file_map("/proc/self/exe", &program, err)) {
        return false;
    }
    bool hashed = hash_sha256(program, digest, err);
    file_unmap(program);
    return hashed;
}
