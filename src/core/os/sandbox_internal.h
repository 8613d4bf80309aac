#ifndef OS_SANDBOX_INTERNAL_H
#define OS_SANDBOX_INTERNAL_H

#include "os/sandbox.h"

/* Out of core dumps, and not to be traced by others of the same user. */
MUST_CHECK bool sandbox_hide(error *err);

/* Landlock's part of a profile (landlock.c); sets `files` and `ports`. */
MUST_CHECK bool sandbox_limit_files(const sandbox_profile *profile, sandbox_walls *walls, error *err);

#endif
