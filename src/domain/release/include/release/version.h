#ifndef RELEASE_VERSION_H
#define RELEASE_VERSION_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

/* Versions of releases: three numbers, MAJOR.MINOR.PATCH (Semantic Versioning, without labels). */
enum { RELEASE_VERSION_SIZE = 33 };

typedef struct release_version {
    uint32_t numbers[3];
} release_version;

/* Exactly what release_version_write gives; else false. */
MUST_CHECK bool release_version_parse(slice text, release_version *version);
void release_version_write(const release_version *version, char text[RELEASE_VERSION_SIZE]);
/* Below, at or above 0 as `a` is older than, the same as or newer than `b`. */
int release_version_compare(const release_version *a, const release_version *b);

#endif
