#ifndef APP_RELEASE_FOLDER_H
#define APP_RELEASE_FOLDER_H

#include "release/manifest.h"

/* A release that lies unpacked in a folder. Everything here blocks. */

/* Fills in `files` with every file below `folder`, hashed, but the manifest and the lists of keys up to
 * `generation`. ERROR_DENIED names what can't be part of a release: a link, a device, a hidden name, a file
 * that runs as somebody else; ERROR_LIMIT: too many or too deep. */
MUST_CHECK bool release_folder_scan(const char *folder, uint64_t generation, release_manifest *found,
                                    error *err);
/* Whether the files are those of the manifest, all of them and no others. ERROR_CORRUPT names the first that
 * is missing, extra or changed. */
MUST_CHECK bool release_folder_compare(const release_manifest *expected, const release_manifest *found,
                                       error *err);

#endif
