#ifndef APP_RELEASE_COMMANDS_H
#define APP_RELEASE_COMMANDS_H

#include "release/maintainers.h"

/* The verbs of `cellule release`; argv[0] is the verb. Each returns the exit code. */
int release_key_main(int argc, char **argv);
int release_keys_main(int argc, char **argv);
int release_manifest_main(int argc, char **argv);
int release_sign_main(int argc, char **argv);

/* Reads a maintainer's private key; `name` is the one that stands in the lists. */
MUST_CHECK sign_key *release_load_key(const char *path, const char *name, note_key *key, error *err);

#endif
