#include "database.h"

#include "net/egress.h"
#include "site.h"
#include "store/server.h"

#include <stdio.h>

bool database_check_setting(const char *setting, error *err) {
    store_server server;
    if (store_path_is_server(setting)) {
        return store_server_find(setting, &server, err) || error_context(err, "database");
    }
    return setting[0] == '\0' || setting[0] == '/' ||
           error_set(err, ERROR_INVALID,
                     "database: neither postgresql://user@host/name nor a file by its whole path");
}

static bool find_path(const char *folder, const char *setting, char path[SITE_PATH_SIZE], error *err) {
    if (setting[0] == '\0') {
        return site_path(folder, SITE_DATABASE, path, err);
    }
    return snprintf(path, SITE_PATH_SIZE, "%s", setting) < SITE_PATH_SIZE ||
           error_set(err, ERROR_LIMIT, "database: longer than %d bytes", (int)SITE_PATH_SIZE - 1);
}

static bool let_through(const char *path, error *err) {
    store_server server;
    return store_server_find(path, &server, err) &&
           (server.host[0] == '\0' ||
            net_egress_allow_host(slice_of_text(server.host), server.port, false, err));
}

store *site_database_open(const char *folder, const char *setting, bool keeps_files, error *err) {
    char path[SITE_PATH_SIZE];
    if (!find_path(folder, setting, path, err) || (store_path_is_server(path) && !let_through(path, err))) {
        return NULL;
    }
    return store_open(&(store_options){.path = path, .keeps_files = keeps_files}, err);
}

bool database_describe(const char *folder, const char *setting, char *text, size_t size, error *err) {
    char path[SITE_PATH_SIZE];
    return find_path(folder, setting, path, err) && store_path_describe(path, text, size, err);
}
