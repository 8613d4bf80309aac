#ifndef POOL_STAGING_H
#define POOL_STAGING_H

#include "site.h"

/* Several files of the site exchanged all or none: each new one is written beside the one that it replaces,
 * the last of the list last; from then on the exchange counts, and a crash while they are put in place is
 * made up for by staging_settle. All of this blocks. */
typedef struct staging_list {
    const site_file *files;
    size_t count;
} staging_list;

/* Writes what is to take the file's place. Keys are written as crypto/key_file.h says. */
MUST_CHECK bool staging_write(const char *folder, site_file file, slice content, error *err);
/* Where that is. */
MUST_CHECK bool staging_path(const char *folder, site_file file, char path[SITE_PATH_SIZE], error *err);
/* Whether an exchange counts that isn't put in place yet. */
bool staging_counts(const char *folder, const staging_list *list);
/* Puts all in place if it counts; removes what was written if not. */
MUST_CHECK bool staging_settle(const char *folder, const staging_list *list, error *err);

#endif
