#ifndef ADMIN_DOWNLOAD_H
#define ADMIN_DOWNLOAD_H

#include "call.h"

/* Gets a file from the pool. `file` "-": to standard output; else it is there whole or not at all, and nobody
 * else can read it. Returns the exit code. */
MUST_CHECK int admin_download(const admin_options *options, const char *program, const char *path,
                              const char *file);

#endif
