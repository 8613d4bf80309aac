#ifndef RELEASE_MANIFEST_H
#define RELEASE_MANIFEST_H

#include "base/buffer.h"
#include "crypto/hash.h"
#include "release/version.h"

/* What a release consists of: the text that maintainers sign as a note (ledger/note.h). A line each:
 * "cellule release v1", "version 1.2.3", "expires UNIX_SECONDS", then "file SHA256 BYTES PATH" in the
 * order of the paths' bytes. There is one text for a manifest. */
enum {
    RELEASE_FILES_MAX = 64,
    RELEASE_PATH_MAX = 127,   /* bytes; segments of letters, digits and "._+-", none of them hidden */
    RELEASE_NOTE_MAX = 16384, /* bytes of a signed manifest or list of keys; half of it for the text */
    RELEASE_DATE_SIZE = 11
};
#define RELEASE_PROGRAM "bin/cellule" /* the program's path in a release */

typedef struct release_file {
    char path[RELEASE_PATH_MAX + 1]; /* from the release's folder; no "..", no leading slash */
    uint64_t size;
    uint8_t digest[HASH_SIZE];
} release_file;

/* Large: not for the stack. */
typedef struct release_manifest {
    release_version version;
    uint64_t expires_s; /* Unix seconds; from then on it counts no more */
    size_t count;
    release_file files[RELEASE_FILES_MAX];
} release_manifest;

/* Appends the text. ERROR_INVALID names the path that can't be in one, or stands twice or out of order. */
MUST_CHECK bool release_manifest_write(const release_manifest *m, buffer *text, error *err);
/* Takes exactly what release_manifest_write gives. ERROR_INVALID, ERROR_LIMIT. */
MUST_CHECK bool release_manifest_parse(slice text, release_manifest *m, error *err);
/* NULL if it isn't in it. */
const release_file *release_manifest_find(const release_manifest *m, slice path);
/* ERROR_DENIED from `expires_s` on, which says since when. `now_s`: Unix seconds. */
MUST_CHECK bool release_manifest_is_current(const release_manifest *m, uint64_t now_s, error *err);

/* "2027-11-22", UTC. The years 1970 to 9999; anything else is false, or written as the last of them. */
MUST_CHECK bool release_date_parse(slice text, uint64_t *unix_s);
void release_date_write(uint64_t unix_s, char text[RELEASE_DATE_SIZE]);

/* "WORD VALUE\n" at the start of `rest`, which is moved behind it. The line form of the release's texts. */
MUST_CHECK bool release_take_field(slice *rest, const char *word, slice *value);

#endif
