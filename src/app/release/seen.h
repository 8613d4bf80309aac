#ifndef APP_RELEASE_SEEN_H
#define APP_RELEASE_SEEN_H

#include "release/maintainers.h"

/* What a state folder remembers of the releases that ran on it: release.seen, the newest version and the
 * latest generation of the maintainers. */
typedef struct release_seen {
    release_version version;
    uint64_t generation;
} release_seen;

/* Zeros where none ran yet. ERROR_CORRUPT if the file is damaged. Blocks. */
MUST_CHECK bool release_seen_read(const char *folder, release_seen *seen, error *err);
MUST_CHECK bool release_seen_write(const char *folder, const release_seen *seen, error *err);

#endif
