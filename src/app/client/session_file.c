#include "session_file.h"

#include "codec/json.h"
#include "codec/json_writer.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 16384 };

bool session_file_path(const char *site, const char *suffix, char path[SESSION_PATH_SIZE], error *err) {
    const char *home = getenv("HOME");
    int length = 0;
    if (site != NULL) {
        length = snprintf(path, SESSION_PATH_SIZE, "%s/session.json%s", site, suffix);
    } else if (home != NULL) {
        length = snprintf(path, SESSION_PATH_SIZE, "%s/.cellule/session.json%s", home, suffix);
    } else {
        return error_set(err, ERROR_NOT_FOUND, "there is no home folder: set HOME, or give --site DIR");
    }
    return (length > 0 && length < SESSION_PATH_SIZE) || error_set(err, ERROR_LIMIT, "the path is too long");
}

static bool take_text(const json_value *root, const char *name, char *place, size_t size, error *err) {
    slice text;
    if (!json_get_text(root, name, &text, err)) {
        return false;
    }
    if (text.length >= size) {
        return error_set(err, ERROR_INVALID, "\"%s\" is too long", name);
    }
    memcpy(place, text.data, text.length);
    place[text.length] = '\0';
    return true;
}

static bool read_content(slice json, session_file *s, error *err) {
    json_value *root = json_parse(json, (json_limits){.size = FILE_LIMIT, .depth = 2, .values = 16}, err);
    bool read = root != NULL && take_text(root, "url", s->url, sizeof s->url, err) &&
                take_text(root, "ca", s->ca, sizeof s->ca, err) &&
                take_text(root, "access_token", s->access, sizeof s->access, err) &&
                take_text(root, "refresh_token", s->refresh, sizeof s->refresh, err) &&
                json_get_u64(root, "access_expires_ms", 0, UINT64_MAX >> 11, &s->access_expires_ms, err);
    json_free(root);
    return read;
}

bool session_file_read(const char *path, session_file *session, error *err) {
    buffer content = buffer_make(FILE_LIMIT);
    *session = (session_file){.access_expires_ms = 0};
    bool read =
        file_read_private(path, &content, err) &&
        (read_content(buffer_slice(&content), session, err) || error_context(err, "reading %s", path));
    buffer_wipe(&content);
    return read;
}

static bool make_folder(const char *path, error *err) {
    char folder[SESSION_PATH_SIZE];
    snprintf(folder, sizeof folder, "%s", path);
    char *end = strrchr(folder, '/');
    if (end == NULL) {
        return true;
    }
    *end = '\0';
    return file_exists(folder) || file_make_folder(folder, 0700, err);
}

bool session_file_write(const char *path, const session_file *session, error *err) {
    buffer content = buffer_make(FILE_LIMIT);
    (void)!buffer_reserve(&content, FILE_LIMIT); /* no copy stays behind */
    json_writer w = json_writer_make(&content);
    json_write_object_begin(&w);
    json_add_text(&w, "url", slice_of_text(session->url));
    json_add_text(&w, "ca", slice_of_text(session->ca));
    json_add_text(&w, "access_token", slice_of_text(session->access));
    json_add_text(&w, "refresh_token", slice_of_text(session->refresh));
    json_add_u64(&w, "access_expires_ms", session->access_expires_ms);
    json_write_object_end(&w);
    bool written = (!buffer_failed(&content) || error_memory(err)) && make_folder(path, err) &&
                   file_write_atomic(path, buffer_slice(&content), 0600, err);
    buffer_wipe(&content);
    return written;
}

bool session_file_take(session_file *session, slice answer, uint64_t now_ms, error *err) {
    uint64_t seconds = 0;
    json_value *root = json_parse(answer, (json_limits){.size = FILE_LIMIT, .depth = 2, .values = 32}, err);
    bool taken = root != NULL &&
                 take_text(root, "access_token", session->access, sizeof session->access, err) &&
                 take_text(root, "refresh_token", session->refresh, sizeof session->refresh, err) &&
                 json_get_u64(root, "expires_in", 0, 86400, &seconds, err);
    session->access_expires_ms = now_ms + seconds * 1000;
    json_free(root);
    return taken || error_context(err, "the pool's answer to a login");
}
