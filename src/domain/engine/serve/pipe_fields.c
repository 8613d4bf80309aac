#include "serve/pipe_fields.h"

void put_bytes(pipe_writer *w, const void *bytes, size_t length) {
    if (w->too_large || length > PIPE_FRAME_MAX - buffer_length(&w->body)) {
        w->too_large = true;
        return;
    }
    buffer_append(&w->body, slice_of(bytes, length));
}

static void put_number(pipe_writer *w, uint64_t value, size_t size) {
    uint8_t bytes[8];
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    }
    put_bytes(w, bytes, size);
}

void put_u8(pipe_writer *w, uint8_t value) {
    put_number(w, value, 1);
}

void put_u32(pipe_writer *w, uint32_t value) {
    put_number(w, value, 4);
}

void put_u64(pipe_writer *w, uint64_t value) {
    put_number(w, value, 8);
}

void put_f32(pipe_writer *w, float value) {
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    put_u32(w, bits);
}

void put_bool(pipe_writer *w, bool value) {
    put_u8(w, value ? 1 : 0);
}

bool put_count(pipe_writer *w, size_t count, size_t most) {
    w->too_large = w->too_large || count > most;
    put_u32(w, (uint32_t)count);
    return !w->too_large;
}

void put_text(pipe_writer *w, slice text, size_t most) {
    if (put_count(w, text.length, most)) {
        put_bytes(w, text.data, text.length);
    }
}

void put_u32s(pipe_writer *w, const uint32_t *values, size_t count, size_t most) {
    bool good = put_count(w, count, most);
    for (size_t i = 0; good && i < count; i++) {
        put_u32(w, values[i]);
    }
}

static slice take(pipe_reader *r, size_t length) {
    if (r->bad || length > r->rest.length) {
        r->bad = true;
        return (slice){NULL, 0};
    }
    slice taken = slice_of(r->rest.data, length);
    r->rest = slice_of(r->rest.data + length, r->rest.length - length);
    return taken;
}

void take_bytes(pipe_reader *r, void *bytes, size_t length) {
    slice taken = take(r, length);
    if (taken.length == length && taken.data != NULL) {
        memcpy(bytes, taken.data, length);
    }
}

static uint64_t take_number(pipe_reader *r, size_t size) {
    slice bytes = take(r, size);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        value = value << 8 | bytes.data[i];
    }
    return value;
}

uint8_t take_u8(pipe_reader *r) {
    return (uint8_t)take_number(r, 1);
}

uint32_t take_u32(pipe_reader *r) {
    return (uint32_t)take_number(r, 4);
}

uint64_t take_u64(pipe_reader *r) {
    return take_number(r, 8);
}

float take_f32(pipe_reader *r) {
    uint32_t bits = take_u32(r);
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool take_bool(pipe_reader *r) {
    uint8_t value = take_u8(r);
    r->bad = r->bad || value > 1;
    return value == 1;
}

slice take_text(pipe_reader *r, size_t most) {
    uint32_t length = take_u32(r);
    r->bad = r->bad || length > most;
    return take(r, length);
}

void *take_list(pipe_reader *r, size_t most, size_t least, size_t size, size_t *count) {
    uint32_t stated = take_u32(r);
    if (r->bad || stated > most || stated > r->rest.length / least) {
        r->bad = true;
        *count = 0;
        return NULL;
    }
    *count = stated;
    void *list = arena_allocate_array(r->memory, stated == 0 ? 1 : stated, size);
    if (list == NULL) {
        r->bad = true;
        r->memory_out = true;
        *count = 0;
    }
    return list;
}

const uint32_t *take_u32s(pipe_reader *r, size_t most, size_t *count) {
    uint32_t *values = take_list(r, most, 4, sizeof *values, count);
    for (size_t i = 0; i < *count; i++) {
        values[i] = take_u32(r);
    }
    return values;
}
