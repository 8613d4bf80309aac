#include "release/version.h"

#include <inttypes.h>
#include <stdio.h>

bool release_version_parse(slice text, release_version *version) {
    *version = (release_version){{0, 0, 0}};
    for (size_t i = 0; i < 3; i++) {
        size_t end = i < 2 ? slice_find(text, '.') : text.length;
        uint64_t number = 0;
        if (end == SIZE_MAX || !slice_to_u64(slice_part(text, 0, end), &number) || number > UINT32_MAX) {
            return false;
        }
        version->numbers[i] = (uint32_t)number;
        text = slice_after(text, end + 1);
    }
    return true;
}

void release_version_write(const release_version *version, char text[RELEASE_VERSION_SIZE]) {
    snprintf(text, RELEASE_VERSION_SIZE, "%" PRIu32 ".%" PRIu32 ".%" PRIu32, version->numbers[0],
             version->numbers[1], version->numbers[2]);
}

int release_version_compare(const release_version *a, const release_version *b) {
    for (size_t i = 0; i < 3; i++) {
        if (a->numbers[i] != b->numbers[i]) {
            return a->numbers[i] < b->numbers[i] ? -1 : 1;
        }
    }
    return 0;
}
