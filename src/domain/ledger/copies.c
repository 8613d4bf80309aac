#include "copies_internal.h"

#include "crypto/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum { COPIES_LIMIT = 8192 };

static const json_limits limits = {.size = COPIES_LIMIT, .depth = 2};

void copies_add_hex(json_writer *w, const char *name, const uint8_t *bytes, size_t length) {
    char text[HASH_HEX_SIZE];
    hex_encode(slice_of(bytes, length), text);
    json_add_text(w, name, slice_of_text(text));
}

void copies_add_float(json_writer *w, const char *name, float value) {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value) {
            break;
        }
    }
    json_write_key(w, name);
    json_write_raw(w, slice_of_text(text));
}

bool copies_check(const json_value *root, copies_writer *write, const void *fields, error *err) {
    const json_value *copies = NULL;
    if (!json_get_object_or(root, "fields", &copies, err)) {
        return false;
    }
    if (copies == NULL) {
        return true;
    }
    buffer text = buffer_make(COPIES_LIMIT);
    json_writer w = json_writer_make(&text);
    write(&w, fields);
    json_value *expected = buffer_failed(&text) ? NULL : json_parse(buffer_slice(&text), limits, err);
    bool good = expected != NULL || error_memory(err);
    good = good &&
           (json_values_equal(expected, copies) ||
            error_set(err, ERROR_CORRUPT, "the readable \"fields\" say something else than what is signed"));
    json_free(expected);
    buffer_free(&text);
    return good;
}
