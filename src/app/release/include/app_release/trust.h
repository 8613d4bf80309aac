#ifndef APP_RELEASE_TRUST_H
#define APP_RELEASE_TRUST_H

#include "release/maintainers.h"

/* Whom this program believes about releases. Everything here blocks. */

/* Where a release keeps what is said of it, below its folder: "manifest", and "maintainers-N", the Nth list
 * of keys. */
#define RELEASE_NOTES "share/cellule/release"
enum { RELEASE_FOLDER_SIZE = 4096 };

/* Whether maintainers' keys were built into this program: then it is a release, else a development build. */
bool release_is_pinned(void);

/* The first list is `keys_file` (as `cellule release keys` writes it), else the one in the program; the lists
 * that follow it are taken from `folder`/RELEASE_NOTES; `folder` may be NULL. ERROR_NOT_FOUND: there is no
 * first list. */
MUST_CHECK bool release_trust_load(const char *keys_file, const char *folder, maintainers *m, error *err);

/* Reads folder/RELEASE_NOTES/manifest, as it was signed, or says that there is none (ERROR_NOT_FOUND). */
MUST_CHECK bool release_read_manifest(const char *folder, buffer *note_bytes, error *err);

/* The folder that this program was installed under: /usr/local for /usr/local/bin/cellule. */
MUST_CHECK bool release_find_own_folder(char folder[RELEASE_FOLDER_SIZE], error *err);

/* SHA-256 of this very program. */
MUST_CHECK bool release_hash_own_program(uint8_t digest[HASH_SIZE], error *err);

#endif
