#ifndef PROTO_EXAMPLES_H
#define PROTO_EXAMPLES_H

#include "proto/message.h"
#include "proto/session.h"
#include "unit.h"

#include <stdlib.h>

/* What the tests of messages share: memory for what is decoded, and the examples of docs/protocol.md. */
enum { ARENA_MAX = 8 << 20, DOCUMENT_MAX = 1 << 20 };

static arena *memory_of_test;

static inline int set_up(void **state) {
    (void)state;
    memory_of_test = arena_new(ARENA_MAX);
    return memory_of_test == NULL ? -1 : 0;
}

static inline int tear_down(void **state) {
    (void)state;
    arena_free(memory_of_test);
    return 0;
}

static inline void assert_encodes_to(const proto_message *message, slice wanted) {
    buffer out = buffer_make(2 << 20);
    error err;
    assert_true(proto_encode(message, &out, &err));
    assert_int_equal(buffer_length(&out), wanted.length);
    assert_memory_equal(buffer_slice(&out).data, wanted.data, wanted.length);
    buffer_free(&out);
}

/* Lines "    W {…}" and "    P {…}". */
typedef struct example {
    proto_side sender;
    slice text;
} example;

static char document[DOCUMENT_MAX];

static inline size_t read_examples(example *examples, size_t capacity) {
    char path[4096];
    const char *root = getenv("CELLULE_SOURCE");
    assert_non_null(root);
    snprintf(path, sizeof path, "%s/docs/protocol.md", root);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(document, 1, sizeof document, file);
    fclose(file);
    size_t count = 0;
    slice rest = slice_of(document, length);
    while (rest.length > 0 && count < capacity) {
        size_t end = slice_find(rest, '\n');
        slice line = slice_part(rest, 0, end);
        rest = end == SIZE_MAX ? slice_of(NULL, 0) : slice_after(rest, end + 1);
        if (slice_starts_with(line, SLICE_LITERAL("    W {")) ||
            slice_starts_with(line, SLICE_LITERAL("    P {"))) {
            examples[count++] =
                (example){line.data[4] == 'W' ? PROTO_WORKER : PROTO_POOL, slice_after(line, 6)};
        }
    }
    return count;
}

#endif
