#ifndef CLIENT_SESSION_FILE_H
#define CLIENT_SESSION_FILE_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

/* session.json, mode 0600, where `cellule login` keeps what it was given: in the folder of client.json. */
enum { SESSION_PATH_SIZE = 4096, SESSION_TOKEN_SIZE = 1200, SESSION_REFRESH_SIZE = 128 };

typedef struct session_file {
    char url[SESSION_PATH_SIZE];
    char ca[SESSION_PATH_SIZE];
    char access[SESSION_TOKEN_SIZE];
    char refresh[SESSION_REFRESH_SIZE];
    uint64_t access_expires_ms; /* Unix */
} session_file;

/* Where it is: of a site's folder, or (`site` NULL) of ~/.cellule. `suffix` goes behind: "" or ".lock".
 * ERROR_NOT_FOUND: there is no home. */
MUST_CHECK bool session_file_path(const char *site, const char *suffix, char path[SESSION_PATH_SIZE],
                                  error *err);
/* Both block. The caller wipes what was read (secret_wipe). ERROR_NOT_FOUND: nobody has logged in. */
MUST_CHECK bool session_file_read(const char *path, session_file *session, error *err);
/* Makes ~/.cellule if it isn't there. */
MUST_CHECK bool session_file_write(const char *path, const session_file *session, error *err);
/* Takes the tokens of the pool's answer (RFC 6749 §5.1). */
MUST_CHECK bool session_file_take(session_file *session, slice answer, uint64_t now_ms, error *err);

#endif
