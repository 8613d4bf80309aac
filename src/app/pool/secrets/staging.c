#include "secrets/staging.h"

#include "crypto/key_file.h"

#include <stdio.h>

bool staging_path(const char *folder, site_file file, char path[SITE_PATH_SIZE], error *err) {
    char name[SITE_PATH_SIZE];
    if (!site_path(folder, file, name, err)) {
        return false;
    }
    int length = snprintf(path, SITE_PATH_SIZE, "%s.next", name);
    return (length > 0 && length < SITE_PATH_SIZE) ||
           error_set(err, ERROR_LIMIT, "the site's path is too long; choose a shorter one");
}

bool staging_write(const char *folder, site_file file, slice content, error *err) {
    char path[SITE_PATH_SIZE];
    bool is_key = file == SITE_CA_KEY || file == SITE_SERVER_KEY;
    return staging_path(folder, file, path, err) &&
           (is_key ? key_file_write(path, content, err)
                   : file_write_atomic(path, content, file == SITE_AUDIT ? 0600 : 0644, err));
}

static bool settle_one(const char *folder, site_file file, bool keep, error *err) {
    char next[SITE_PATH_SIZE];
    char path[SITE_PATH_SIZE];
    if (!staging_path(folder, file, next, err) || !site_path(folder, file, path, err)) {
        return false;
    }
    return !file_exists(next) || (keep ? file_replace(next, path, err) : file_remove(next, err));
}

bool staging_counts(const char *folder, const staging_list *list) {
    char last[SITE_PATH_SIZE];
    error err = {0};
    return staging_path(folder, list->files[list->count - 1], last, &err) && file_exists(last);
}

bool staging_settle(const char *folder, const staging_list *list, error *err) {
    bool counts = staging_counts(folder, list);
    bool settled = true;
    for (size_t i = 0; settled && i < list->count; i++) {
        settled = settle_one(folder, list->files[i], counts, err);
    }
    return settled;
}
