#include "release/acceptance.h"

#include <stdlib.h>

/* What is read of a release comes out as the same bytes, and nothing of it crashes. */
static void check_manifest(slice text) {
    static release_manifest m;
    error err;
    if (!release_manifest_parse(text, &m, &err)) {
        return;
    }
    buffer again = buffer_make((size_t)2 * RELEASE_NOTE_MAX);
    if (release_manifest_write(&m, &again, &err) && !slice_equal(buffer_slice(&again), text)) {
        abort();
    }
    buffer_free(&again);
}

static void check_list(slice text) {
    maintainers m;
    maintainers again;
    error err;
    if (!maintainers_parse(text, &m, &err)) {
        return;
    }
    buffer written = buffer_make((size_t)2 * RELEASE_NOTE_MAX);
    if (!maintainers_write(&m, &written, &err) || !maintainers_parse(buffer_slice(&written), &again, &err)) {
        abort();
    }
    buffer_free(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    slice text = slice_of(data, size);
    release_acceptance wanted;
    error err;
    uint64_t unix_s;
    check_manifest(text);
    check_list(text);
    if (release_acceptance_parse(text, &wanted, &err) && wanted.count > RELEASE_ACCEPTED_MAX) {
        abort();
    }
    if (release_date_parse(text, &unix_s)) {
        char again[RELEASE_DATE_SIZE];
        release_date_write(unix_s, again);
        if (!slice_equal_text(text, again)) {
            abort();
        }
    }
    return 0;
}
