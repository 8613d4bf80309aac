#ifndef ADMIN_ERASING_H
#define ADMIN_ERASING_H

#include "call.h"

/* Erasing all that somebody keeps, after a question on the terminal unless `yes`. */
#define ERASING_YES_ROW(target)                                                                              \
    { "yes", OPTION_FLAG, target, NULL, "don't ask whether it is meant", 0, 0 }

/* `name` NULL: of oneself. Returns the exit code. */
MUST_CHECK int admin_run_erasing(const admin_options *options, const char *program, const char *path,
                                 const char *name, bool yes);

#endif
