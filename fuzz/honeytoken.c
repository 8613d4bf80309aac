/* What is found in any bytes is a UUID of version 4 in its one form, is found again in itself, and the search
 * comes to an end; a pattern from outside becomes exactly as long as it has to be. */
#include "verify/honeytoken.h"

#include <stdlib.h>

enum { PROMPT_LIMIT = 65536 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

static void search(slice text) {
    char marker[HONEYTOKEN_LENGTH + 1];
    size_t at = 0;
    for (size_t before = 0; honeytoken_find(text, &at, marker); before = at) {
        require(at > before && at <= text.length);
        require(strlen(marker) == HONEYTOKEN_LENGTH && marker[14] == '4');
        char again[HONEYTOKEN_LENGTH + 1];
        size_t start = 0;
        require(honeytoken_find(slice_of_text(marker), &start, again) && strcmp(marker, again) == 0);
    }
    require(at == text.length && marker[0] == '\0');
}

static void write(slice pattern) {
    error err;
    buffer out = buffer_make(PROMPT_LIMIT);
    if (honeytoken_write(pattern, "0123456789", &out, &err)) {
        size_t grown = buffer_length(&out) - pattern.length; /* ten bytes for each four */
        require(grown >= 6 && grown % 6 == 0);
    } else {
        require(buffer_length(&out) == 0);
    }
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    search(slice_of(data, size));
    write(slice_of(data, size));
    return 0;
}
