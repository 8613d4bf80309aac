#include "client/client_file.h"

#include "codec/json_writer.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 65536 };

bool client_file_path(const char *site, char path[CLIENT_PATH_SIZE]) {
    const char *home = getenv("HOME");
    if (site == NULL && home == NULL) {
        return false;
    }
    int length = site != NULL ? snprintf(path, CLIENT_PATH_SIZE, "%s/client.json", site)
                              : snprintf(path, CLIENT_PATH_SIZE, "%s/.cellule/client.json", home);
    return length > 0 && length < CLIENT_PATH_SIZE && file_exists(path);
}

static json_value *read_file(const char *path, buffer *content, error *err) {
    if (!file_read_private(path, content, err)) {
        return NULL;
    }
    json_value *root = json_parse(buffer_slice(content), (json_limits){.size = FILE_LIMIT, .depth = 2}, err);
    if (root == NULL) {
        (void)error_context(err, "reading %s", path);
    }
    return root;
}

static bool take(const json_value *root, const char *name, char key[CLIENT_KEY_SIZE], error *err) {
    slice text = json_text_of(json_find(root, name));
    if (text.length >= CLIENT_KEY_SIZE) {
        return error_set(err, ERROR_INVALID, "\"%s\" is too long for a key", name);
    }
    snprintf(key, CLIENT_KEY_SIZE, "%.*s", SLICE_FORMAT(text));
    return true;
}

bool client_file_read(const char *path, client_keys *keys, error *err) {
    buffer content = buffer_make(FILE_LIMIT);
    json_value *root = read_file(path, &content, err);
    bool read =
        root != NULL && take(root, "key", keys->key, err) && take(root, "old_key", keys->old_key, err);
    if (read && keys->key[0] == '\0') {
        read = error_set(err, ERROR_NOT_FOUND, "%s names no key", path);
    }
    json_free(root);
    buffer_wipe(&content);
    return read;
}

static void write_others(json_writer *w, const json_value *root) {
    const json_value *value = NULL;
    for (const char *name = NULL; json_next_member(root, &name, &value);) {
        if (strcmp(name, "key") != 0 && strcmp(name, "old_key") != 0) {
            json_write_key(w, name);
            json_write_value(w, value);
        }
    }
}

bool client_file_write(const char *path, const client_keys *keys, error *err) {
    buffer content = buffer_make(FILE_LIMIT);
    buffer changed = buffer_make(FILE_LIMIT);
    (void)!buffer_reserve(&changed, FILE_LIMIT); /* no copy stays behind */
    json_value *root = read_file(path, &content, err);
    json_writer w = json_writer_make(&changed);
    json_write_object_begin(&w);
    write_others(&w, root);
    json_add_text(&w, "key", slice_of_text(keys->key));
    if (keys->old_key[0] != '\0') {
        json_add_text(&w, "old_key", slice_of_text(keys->old_key));
    }
    json_write_object_end(&w);
    buffer_append(&changed, SLICE_LITERAL("\n"));
    bool written = root != NULL && (!buffer_failed(&changed) || error_memory(err)) &&
                   file_write_atomic(path, buffer_slice(&changed), 0600, err);
    json_free(root);
    buffer_wipe(&content);
    buffer_wipe(&changed);
    return written;
}

static slice without_end_of_line(slice text) {
    while (text.length > 0 && (text.data[text.length - 1] == '\n' || text.data[text.length - 1] == '\r')) {
        text.length--;
    }
    return slice_trim(text);
}

bool client_read_key(const char *path, char key[CLIENT_KEY_SIZE], error *err) {
    buffer content = buffer_make(CLIENT_KEY_SIZE);
    bool read = strcmp(path, "-") == 0 ? file_read_input(path, &content, err)
                                       : file_read_private(path, &content, err);
    if (!read && err->code == ERROR_LIMIT) {
        error_set(err, ERROR_INVALID, "%s holds more than a key", path);
    }
    slice text = without_end_of_line(buffer_slice(&content));
    if (read && (text.length == 0 || text.length >= CLIENT_KEY_SIZE)) {
        read = error_set(err, ERROR_INVALID, "%s holds no key",
                         strcmp(path, "-") == 0 ? "standard input" : path);
    }
    if (read) {
        snprintf(key, CLIENT_KEY_SIZE, "%.*s", SLICE_FORMAT(text));
    }
    buffer_wipe(&content);
    return read;
}
