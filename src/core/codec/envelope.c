#include "codec/envelope.h"

void envelope_begin(buffer *out, const char *label) {
    envelope_add_text(out, label);
}

void envelope_add(buffer *out, slice field) {
    if (field.length > UINT32_MAX) {
        out->failed = true;
        return;
    }
    buffer_append_u32_big_endian(out, (uint32_t)field.length);
    buffer_append(out, field);
}

void envelope_add_text(buffer *out, const char *text) {
    envelope_add(out, slice_of_text(text));
}

void envelope_add_u32(buffer *out, uint32_t value) {
    buffer_append_u32_big_endian(out, 4);
    buffer_append_u32_big_endian(out, value);
}

void envelope_add_u64(buffer *out, uint64_t value) {
    buffer_append_u32_big_endian(out, 8);
    buffer_append_u64_big_endian(out, value);
}

static uint64_t load_big_endian(slice bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.length; i++) {
        value = value << 8 | bytes.data[i];
    }
    return value;
}

envelope_reader envelope_open(slice bytes, const char *label) {
    envelope_reader r = {.rest = bytes};
    if (!slice_equal_text(envelope_read(&r), label)) {
        r.failed = true;
    }
    return r;
}

slice envelope_read(envelope_reader *r) {
    slice none = {NULL, 0};
    if (r->failed || r->rest.length < 4) {
        r->failed = true;
        return none;
    }
    uint64_t length = load_big_endian(slice_part(r->rest, 0, 4));
    if (length > r->rest.length - 4) {
        r->failed = true;
        return none;
    }
    slice field = slice_part(r->rest, 4, (size_t)length);
    r->rest = slice_after(r->rest, 4 + (size_t)length);
    return field;
}

void envelope_read_exact(envelope_reader *r, void *bytes, size_t length) {
    slice field = envelope_read(r);
    if (r->failed || field.length != length) {
        r->failed = true;
        memset(bytes, 0, length);
        return;
    }
    if (length > 0) {
        memcpy(bytes, field.data, length);
    }
}

uint32_t envelope_read_u32(envelope_reader *r) {
    uint8_t bytes[4];
    envelope_read_exact(r, bytes, sizeof bytes);
    return (uint32_t)load_big_endian(slice_of(bytes, sizeof bytes));
}

uint64_t envelope_read_u64(envelope_reader *r) {
    uint8_t bytes[8];
    envelope_read_exact(r, bytes, sizeof bytes);
    return load_big_endian(slice_of(bytes, sizeof bytes));
}

bool envelope_close(const envelope_reader *r) {
    return !r->failed && r->rest.length == 0;
}
