#include "engine/pipe.h"

/* Frames one after the other, as they come over the pipe; what was read is written and must read the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const pipe_message *m, slice frame) {
    error err;
    buffer out = buffer_make(PIPE_FRAME_MAX + 4);
    if (!pipe_append(&out, m, &err) || !slice_equal(buffer_slice(&out), frame)) {
        __builtin_trap();
    }
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    slice input = slice_of(data, size);
    arena *memory = arena_new(1 << 22);
    error err;
    for (size_t taken = 1; memory != NULL && taken > 0; input = slice_after(input, taken)) {
        pipe_message m;
        arena_reset(memory);
        if (!pipe_read(input, memory, &m, &taken, &err)) {
            break;
        }
        if (taken > 0) {
            check_round_trip(&m, slice_part(input, 0, taken));
        }
    }
    arena_free(memory);
    return 0;
}
