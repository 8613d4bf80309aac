#include "store/server.h"

#include "database_driver.h"
#include "postgresql.h"
#include "request.h"

#include <stdio.h>

bool store_path_is_server(const char *path) {
    return postgresql_is_url(path);
}

bool store_server_find(const char *path, store_server *server, error *err) {
    postgresql_target *t = postgresql_target_parse(path, err);
    if (t == NULL) {
        return false;
    }
    const char *host = postgresql_target_host(t, &server->port);
    int length = snprintf(server->host, sizeof server->host, "%s", host == NULL ? "" : host);
    postgresql_target_free(t);
    return (size_t)length < sizeof server->host ||
           error_set(err, ERROR_INVALID, "the database's host has too long a name");
}

bool store_path_describe(const char *path, char *text, size_t size, error *err) {
    if (!postgresql_is_url(path)) {
        snprintf(text, size, "%s", path);
        return true;
    }
    postgresql_target *t = postgresql_target_parse(path, err);
    if (t != NULL) {
        snprintf(text, size, "%s", postgresql_target_name(t));
        postgresql_target_free(t);
    }
    return t != NULL;
}

size_t store_server_files(const store *s, const char *files[STORE_SERVER_FILES_MAX]) {
    return postgresql_files(store_database(s), files, STORE_SERVER_FILES_MAX);
}
