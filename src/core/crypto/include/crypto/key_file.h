#ifndef CRYPTO_KEY_FILE_H
#define CRYPTO_KEY_FILE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* Files that hold a private key or another secret: mode 0600, and sealed once the process has a passphrase.
 * Sealed means: a key from Argon2id (RFC 9106; libsodium's, 64 MiB, three passes, 16 random bytes of salt),
 * and the content under it with crypto/seal.h. A file that isn't sealed is read all the same. What is here
 * blocks. Any thread; crypto_start comes first. */
enum { KEY_FILE_PASSPHRASE_MIN = 12, KEY_FILE_PASSPHRASE_MAX = 1024, KEY_FILE_PASSPHRASES = 2 };

/* From now on until key_file_forget files that are sealed with it can be read, and what is written is sealed
 * with the one given last. ERROR_INVALID: too short or too long; ERROR_LIMIT beyond KEY_FILE_PASSPHRASES. */
MUST_CHECK bool key_file_use(slice passphrase, error *err);
/* The same with what the file holds, but for a newline at its end. "-" is standard input; otherwise it has to
 * be as private as a key. NULL: the systemd credential "cellule.passphrase", if the service was given one
 * (LoadCredential=, systemd.exec(5)); without it nothing is sealed. */
MUST_CHECK bool key_file_use_from(const char *path, error *err);
bool key_file_has_passphrase(void);
/* What is written from now on isn't sealed. */
void key_file_write_plain(void);
void key_file_forget(void);

/* As file_read_private and file_write_atomic. Sealed, and by none of the passphrases: ERROR_DENIED. */
MUST_CHECK bool key_file_read(const char *path, buffer *content, error *err);
MUST_CHECK bool key_file_write(const char *path, slice content, error *err);
/* Whether what a file holds is sealed. */
bool key_file_is_sealed(slice content);

#endif
