#ifndef POOL_DATABASE_H
#define POOL_DATABASE_H

#include "settings.h"
#include "store/store.h"

/* The site's database: pool.db in its folder, or what the setting `database` names. */

/* The setting is empty, a URL that is right, or a whole path. */
MUST_CHECK bool database_check_setting(const char *setting, error *err);
/* Opens it without a loop. A server that the setting names may be connected to, at a private address; at a
 * public one where `egress` says so. `keeps_files` as in store_options. */
MUST_CHECK store *site_database_open(const char *folder, const char *setting, bool keeps_files, error *err);
/* Where it is, for people. */
MUST_CHECK bool database_describe(const char *folder, const char *setting, char *text, size_t size,
                                  error *err);

#endif
