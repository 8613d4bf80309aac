#include "memory/fact.h"
#include "memory/recalled.h"

#include <stdlib.h>

/* Any bytes as what a model answers: each line that counts is a fact that can be kept, and takes one line
 * where facts are given to a model. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_lines(slice text) {
    size_t count = 1;
    for (size_t i = 0; i < text.length; i++) {
        count += text.data[i] == '\n' || text.data[i] == '\r' ? 1 : 0;
    }
    return count;
}

static void check_line(slice line, size_t before, size_t after) {
    buffer out = buffer_make(LEARNED_LINE_MAX + 4096);
    if (!fact_text_is_valid(line) || line.length > LEARNED_LINE_MAX || after >= before ||
        recalled_characters(line) > line.length || !recalled_write(&line, 1, (slice){0}, &out) ||
        count_lines(buffer_slice(&out)) != 2) {
        abort();
    }
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    slice rest = slice_of(data, size);
    slice line;
    size_t before = rest.length;
    while (learned_next(&rest, &line)) {
        check_line(line, before, rest.length);
        before = rest.length;
    }
    buffer out = buffer_make(size + 8192);
    slice whole = slice_of(data, size);
    if (!recalled_write(&whole, 1, (slice){0}, &out) || count_lines(buffer_slice(&out)) != 2) {
        abort();
    }
    buffer_free(&out);
    return 0;
}
