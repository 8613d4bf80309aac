#ifndef STORE_SERVER_H
#define STORE_SERVER_H

#include "store/store.h"

/* What a store's path asks for when it is a URL, "postgresql://user@host:port/database?option=value", as
 * libpq has it: who opens it has to let it through (net/egress.h), and whoever gives up rights has to leave
 * those that a lost connection takes to be made again. */
enum { STORE_HOST_SIZE = 256, STORE_SERVER_FILES_MAX = 8 };

bool store_path_is_server(const char *path);

typedef struct store_server {
    char host[STORE_HOST_SIZE]; /* empty: a Unix socket of this machine */
    uint16_t port;
} store_server;
/* ERROR_INVALID: the URL is wrong, and what is. */
MUST_CHECK bool store_server_find(const char *path, store_server *server, error *err);

/* The path without what may be secret in it: "host/database", or the file. */
MUST_CHECK bool store_path_describe(const char *path, char *text, size_t size, error *err);

/* Files that each connection of this store reads: certificates. Their paths belong to the store. */
size_t store_server_files(const store *s, const char *files[STORE_SERVER_FILES_MAX]);

#endif
