#include "input.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

enum { READ_SIZE = 65536 };

input input_make(int descriptor) {
    return (input){.descriptor = descriptor, .ahead = buffer_make(INPUT_AHEAD_MAX)};
}

void input_free(input *in) {
    buffer_wipe(&in->ahead);
}

/* Reads what there is. False: nothing came (`wait`: nothing will). */
static bool fill(input *in, bool wait) {
    struct pollfd ready = {.fd = in->descriptor, .events = POLLIN};
    size_t room = INPUT_AHEAD_MAX - buffer_length(&in->ahead);
    if (in->ended || room == 0 || poll(&ready, 1, wait ? -1 : 0) <= 0) {
        return wait && !in->ended && room > 0 && errno == EINTR;
    }
    size_t size = room < READ_SIZE ? room : READ_SIZE;
    uint8_t *place = buffer_reserve(&in->ahead, size);
    ssize_t count = place == NULL ? 0 : read(in->descriptor, place, size);
    if (count > 0) {
        buffer_commit(&in->ahead, (size_t)count);
        return true;
    }
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
        return wait;
    }
    in->ended = true;
    return false;
}

static void forget_taken(input *in) {
    buffer_consume(&in->ahead, in->taken);
    in->taken = 0;
}

/* A line that can't become one is dropped piece by piece. */
static bool drop(input *in) {
    if (buffer_length(&in->ahead) <= INPUT_LINE_MAX && !in->dropping) {
        return false;
    }
    buffer_consume(&in->ahead, buffer_length(&in->ahead));
    in->dropping = true;
    return true;
}

input_kind input_next(input *in, slice *line) {
    forget_taken(in);
    for (;;) {
        slice all = buffer_slice(&in->ahead);
        size_t end = slice_find(all, '\n');
        if (end == SIZE_MAX && (drop(in) || !in->ended) && fill(in, true)) {
            continue;
        }
        all = buffer_slice(&in->ahead);
        if (end == SIZE_MAX && all.length == 0 && !in->dropping) {
            return INPUT_END;
        }
        bool too_long = in->dropping || (end == SIZE_MAX ? all.length : end) > INPUT_LINE_MAX;
        in->taken = end == SIZE_MAX ? all.length : end + 1;
        in->dropping = false;
        *line = slice_part(all, 0, end);
        return too_long ? INPUT_TOO_LONG : INPUT_LINE;
    }
}

bool input_peek(input *in, size_t *position, slice *line) {
    if (*position == 0) {
        while (fill(in, false)) {
        }
        *position = in->taken;
    }
    slice rest = slice_after(buffer_slice(&in->ahead), *position);
    size_t end = slice_find(rest, '\n');
    *line = slice_part(rest, 0, end);
    *position += end == SIZE_MAX ? 0 : end + 1;
    return end != SIZE_MAX;
}
