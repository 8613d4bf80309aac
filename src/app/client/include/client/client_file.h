#ifndef CLIENT_CLIENT_FILE_H
#define CLIENT_CLIENT_FILE_H

#include "client/api.h"

/* client.json, mode 0600: which pool, whom to trust, and the key. While a key is exchanged the one before it
 * stands there too. All of it blocks. */
enum { CLIENT_PATH_SIZE = 4096, CLIENT_KEY_SIZE = 128 };

typedef struct client_keys {
    char key[CLIENT_KEY_SIZE];
    char old_key[CLIENT_KEY_SIZE]; /* empty: none is being exchanged */
} client_keys;

/* --site DIR's, or (`site` NULL) ~/.cellule's. False: there is none. */
bool client_file_path(const char *site, char path[CLIENT_PATH_SIZE]);
/* After api_open. The caller wipes `keys`. ERROR_NOT_FOUND: the file names no key. */
MUST_CHECK bool client_file_read(const char *path, client_keys *keys, error *err);
/* Writes the keys, as one act; the rest stays as it is. */
MUST_CHECK bool client_file_write(const char *path, const client_keys *keys, error *err);

/* A key alone in a file that only its owner can read, or ("-") from the standard input. `key` is wiped by the
 * caller. */
MUST_CHECK bool client_read_key(const char *path, char key[CLIENT_KEY_SIZE], error *err);

#endif
