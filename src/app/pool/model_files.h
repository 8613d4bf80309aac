#ifndef POOL_MODEL_FILES_H
#define POOL_MODEL_FILES_H

#include "base/error.h"
#include "base/slice.h"
#include "crypto/hash.h"

/* The setting model_files: "name=SHA-256, name=SHA-256:profile, ...". What a model is called is up to the
 * worker that offers it, and a check compares only those who have the same file: who offers a cheaper one
 * under a good name is found out by nobody, unless the site says which file the name stands for. */

/* ERROR_INVALID: it can't be read. */
MUST_CHECK bool model_files_check(const char *list, error *err);
/* A name that isn't in the list may be any file; one that comes several times is one of these. False also for
 * a list that can't be read. */
bool model_files_allow(const char *list, slice name, const uint8_t digest[HASH_SIZE], slice profile);

#endif
