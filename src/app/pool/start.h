#ifndef POOL_START_H
#define POOL_START_H

#include "state.h"

/* From settings to a pool that listens, and back. */

/* Opens the site, reads the database and listens; the loop isn't run. `p` is zeroed but for the settings and
 * their path. After a failure too pool_stop must follow. Blocks. */
MUST_CHECK bool pool_start(pool *p, const char *site_folder, error *err);
/* Ends every job and frees all but `p` itself; harmless for what wasn't started. Blocks. */
void pool_stop(pool *p);

/* Whether what a pool on this site would serve with, or takes at SIGHUP, is good. Blocks. */
MUST_CHECK bool pool_check_certificate(const char *site_folder, error *err);

/* SIGHUP: reads certificate and settings again. What is wrong with either is logged, and the old one stays.
 */
void pool_reload(pool *p);
/* Level and format of the log, as the settings have them. */
void pool_configure_log(const pool_settings *settings);

#endif
