#include "release/manifest.h"

#include <inttypes.h>

#define HEADER "cellule release v1\n"

static bool is_letter_or_digit(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* A segment that begins with a dot would be hidden, or lead out of the folder. */
static bool path_is_good(slice path) {
    bool good = path.length > 0 && path.length <= RELEASE_PATH_MAX && path.data[path.length - 1] != '/';
    uint8_t before = '/';
    for (size_t i = 0; good && i < path.length; i++) {
        uint8_t c = path.data[i];
        bool inside = c == '.' || c == '_' || c == '+' || c == '-' || c == '/';
        good = is_letter_or_digit(c) || (inside && before != '/');
        before = c;
    }
    return good;
}

static slice path_of(const release_file *file) {
    return slice_of(file->path, strnlen(file->path, sizeof file->path));
}

static int compare(slice a, slice b) {
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    return order != 0 ? order : a.length < b.length ? -1 : a.length > b.length;
}

static bool check_path(const release_manifest *m, size_t i, error *err) {
    slice path = path_of(&m->files[i]);
    if (!path_is_good(path)) {
        return error_set(err, ERROR_INVALID,
                         "\"%.*s\" can't be in a release: a path of letters, digits and ._+- of at most %d "
                         "bytes can, none of it hidden",
                         SLICE_FORMAT(path), RELEASE_PATH_MAX);
    }
    return i == 0 || compare(path_of(&m->files[i - 1]), path) < 0 ||
           error_set(err, ERROR_INVALID, "\"%.*s\" is out of order in the manifest", SLICE_FORMAT(path));
}

bool release_manifest_write(const release_manifest *m, buffer *text, error *err) {
    char version[RELEASE_VERSION_SIZE];
    size_t before = buffer_length(text);
    if (m->count == 0 || m->count > RELEASE_FILES_MAX) {
        return error_set(err, ERROR_LIMIT, "a release has 1 to %d files", RELEASE_FILES_MAX);
    }
    for (size_t i = 0; i < m->count; i++) {
        if (!check_path(m, i, err)) {
            return false;
        }
    }
    release_version_write(&m->version, version);
    buffer_append_format(text, HEADER "version %s\nexpires %" PRIu64 "\n", version, m->expires_s);
    for (size_t i = 0; i < m->count; i++) {
        char digest[HASH_HEX_SIZE];
        hex_encode(slice_of(m->files[i].digest, HASH_SIZE), digest);
        buffer_append_format(text, "file %s %" PRIu64 " %s\n", digest, m->files[i].size, m->files[i].path);
    }
    if (buffer_failed(text)) {
        return error_memory(err);
    }
    return buffer_length(text) - before <= RELEASE_NOTE_MAX / 2 ||
           error_set(err, ERROR_LIMIT, "the release's manifest is longer than %d bytes",
                     RELEASE_NOTE_MAX / 2);
}

bool release_take_field(slice *rest, const char *word, slice *value) {
    slice start = slice_of_text(word);
    size_t end = slice_find(*rest, '\n');
    if (end == SIZE_MAX || end < start.length + 1 || !slice_starts_with(*rest, start) ||
        rest->data[start.length] != ' ') {
        return false;
    }
    *value = slice_part(*rest, start.length + 1, end - start.length - 1);
    *rest = slice_after(*rest, end + 1);
    return true;
}

static bool bad(error *err) {
    return error_set(err, ERROR_INVALID, "not a release's manifest as this version knows it");
}

/* "SHA256 BYTES PATH" */
static bool parse_file(slice line, release_file *file) {
    slice hex = slice_part(line, 0, (size_t)2 * HASH_SIZE);
    slice rest = slice_after(line, hex.length);
    size_t space = slice_find(slice_after(rest, 1), ' ');
    if (!hex_decode(hex, file->digest, HASH_SIZE) || rest.length == 0 || rest.data[0] != ' ' ||
        space == SIZE_MAX || !slice_to_u64(slice_part(rest, 1, space), &file->size)) {
        return false;
    }
    slice path = slice_after(rest, space + 2);
    if (!path_is_good(path)) {
        return false;
    }
    memcpy(file->path, path.data, path.length);
    file->path[path.length] = '\0';
    return true;
}

bool release_manifest_parse(slice text, release_manifest *m, error *err) {
    slice header = SLICE_LITERAL(HEADER);
    slice value;
    memset(m, 0, sizeof *m);
    if (text.length > RELEASE_NOTE_MAX / 2 || !slice_starts_with(text, header)) {
        return bad(err);
    }
    slice rest = slice_after(text, header.length);
    if (!release_take_field(&rest, "version", &value) || !release_version_parse(value, &m->version) ||
        !release_take_field(&rest, "expires", &value) || !slice_to_u64(value, &m->expires_s)) {
        return bad(err);
    }
    while (release_take_field(&rest, "file", &value)) {
        if (m->count == RELEASE_FILES_MAX) {
            return error_set(err, ERROR_LIMIT, "a release of more than %d files", RELEASE_FILES_MAX);
        }
        if (!parse_file(value, &m->files[m->count])) {
            return bad(err);
        }
        m->count++;
        if (!check_path(m, m->count - 1, err)) {
            return false;
        }
    }
    return (m->count > 0 && rest.length == 0) || bad(err);
}

const release_file *release_manifest_find(const release_manifest *m, slice path) {
    for (size_t i = 0; i < m->count; i++) {
        if (slice_equal(path_of(&m->files[i]), path)) {
            return &m->files[i];
        }
    }
    return NULL;
}

bool release_manifest_is_current(const release_manifest *m, uint64_t now_s, error *err) {
    char version[RELEASE_VERSION_SIZE];
    char date[RELEASE_DATE_SIZE];
    if (now_s < m->expires_s) {
        return true;
    }
    release_version_write(&m->version, version);
    release_date_write(m->expires_s, date);
    return error_set(err, ERROR_DENIED, "release %s has expired on %s: install a newer one", version, date);
}
