#include "hold/frames.h"

#include "answer.h"

enum {
    OUT_LIMIT = 4 * 1024 * 1024,
    TEXT_LIMIT = 16 * 1024 * 1024,
    EVENT_ROOM = 128, /* an event without its prefix and its text */
    LEAST_PAD = 3,    /* ":\n\n" */
    WORST_ESCAPE = 6, /* \u0001 */
    LEAST_TEXT_ROOM = 512
};

static size_t rounded_up(size_t length, size_t size) {
    return (length + size - 1) / size * size;
}

void frames_init(frames *f, slice prefix) {
    *f = (frames){.prefix = prefix,
                  .size = rounded_up(prefix.length + EVENT_ROOM + LEAST_PAD + LEAST_TEXT_ROOM, FRAMES_SIZE),
                  .text = buffer_make(TEXT_LIMIT),
                  .tail = buffer_make(OUT_LIMIT),
                  .out = buffer_make(OUT_LIMIT)};
}

void frames_free(frames *f) {
    buffer_wipe(&f->text);
    buffer_wipe(&f->tail);
    buffer_wipe(&f->out);
}

bool frames_add_text(frames *f, slice text, error *err) {
    return buffer_append(&f->text, text) || error_memory(err);
}

bool frames_add_events(frames *f, slice events, bool early, error *err) {
    return buffer_append(early ? &f->out : &f->tail, events) || error_memory(err);
}

bool frames_are_empty(const frames *f) {
    return buffer_length(&f->text) + buffer_length(&f->tail) + buffer_length(&f->out) == 0;
}

size_t frames_backlog(const frames *f) {
    return buffer_length(&f->text);
}

static size_t escaped_length(uint8_t byte) {
    if (byte < 0x20) {
        return WORST_ESCAPE;
    }
    return byte == '"' || byte == '\\' ? 2 : 1;
}

/* Bytes of whole characters at the front that take no more than `room` when escaped. */
static size_t fitting(slice text, size_t room) {
    size_t taken = 0;
    while (taken < text.length) {
        size_t character = slice_utf8_length(slice_after(text, taken));
        size_t needed = character > 1 ? character : escaped_length(text.data[taken]);
        if (needed > room) {
            break;
        }
        room -= needed;
        taken += character > 1 ? character : 1;
    }
    return taken;
}

/* As much of the text as the frame that is next has room for. */
static void put_text(frames *f) {
    size_t used = buffer_length(&f->out) + f->prefix.length + EVENT_ROOM + LEAST_PAD;
    if (used >= f->size || buffer_length(&f->text) == 0) {
        return;
    }
    size_t length = fitting(buffer_slice(&f->text), f->size - used);
    if (length > 0) {
        answer_write_text(f->prefix, slice_part(buffer_slice(&f->text), 0, length), &f->out);
        buffer_consume(&f->text, length);
    }
}

void frames_pad_events(buffer *events, size_t size) {
    size_t length = rounded_up(buffer_length(events) + LEAST_PAD, size) - buffer_length(events);
    buffer_append_byte(events, ':');
    for (size_t i = LEAST_PAD; i < length; i++) {
        buffer_append_byte(events, ' ');
    }
    buffer_append_text(events, "\n\n");
}

void frames_pad_whole(buffer *body) {
    while (buffer_length(body) % FRAMES_WHOLE_SIZE != 0 && !buffer_failed(body)) {
        buffer_append_byte(body, ' ');
    }
}

bool frames_next(frames *f, buffer *frame, error *err) {
    put_text(f);
    if (buffer_length(&f->text) == 0 && buffer_length(&f->tail) > 0) {
        buffer_append(&f->out, buffer_slice(&f->tail));
        buffer_clear(&f->tail);
    }
    if (buffer_length(&f->out) < f->size) {
        frames_pad_events(&f->out, f->size);
    }
    buffer_append(frame, slice_part(buffer_slice(&f->out), 0, f->size));
    buffer_consume(&f->out, f->size);
    return (!buffer_failed(&f->out) && !buffer_failed(frame)) || error_memory(err);
}
