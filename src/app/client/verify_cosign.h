#ifndef CLIENT_VERIFY_COSIGN_H
#define CLIENT_VERIFY_COSIGN_H

#include "ledger/note.h"

/* A witness of an audit log (C2SP tlog-cosignature): it signs what a log says of itself after it has checked
 * it, and never what isn't a continuation of what it signed before. */
enum { COSIGN_PATH_SIZE = 4096 };

/* Where the witness with this key file keeps what it signed last of a log: "FILE.ORIGIN.checkpoint", the
 * origin's slashes as dots. */
MUST_CHECK bool verify_cosign_memory(const char *key_file, const char *origin, char path[COSIGN_PATH_SIZE],
                                     error *err);

/* Keeps the note `bytes` at `memory`, then writes it with the witness's signature to `path`; nothing is
 * written there if it has signed already. The key is made if there is none. `key_text`: how readers name it.
 */
MUST_CHECK bool verify_cosign(const char *key_file, const char *name, slice bytes, const char *memory,
                              const char *path, char key_text[NOTE_KEY_TEXT_MAX + 1], error *err);

#endif
