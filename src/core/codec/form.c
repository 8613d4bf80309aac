#include "codec/form.h"

static bool malformed(error *err) {
    return error_set(err, ERROR_INVALID, "the form isn't well-formed application/x-www-form-urlencoded");
}

static int digit_of(uint8_t c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* `place` has room for as many bytes as `text`. */
static bool decode(slice text, uint8_t *place, size_t *length) {
    *length = 0;
    for (size_t i = 0; i < text.length; i++) {
        uint8_t byte = text.data[i] == '+' ? ' ' : text.data[i];
        if (text.data[i] == '%') {
            int high = i + 2 < text.length ? digit_of(text.data[i + 1]) : -1;
            int low = i + 2 < text.length ? digit_of(text.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        }
        if (byte == 0) {
            return false;
        }
        place[(*length)++] = byte;
    }
    return true;
}

static bool decode_in(slice text, arena *a, slice *decoded, error *err) {
    size_t length = 0;
    uint8_t *place = arena_allocate(a, text.length + 1);
    if (place == NULL) {
        return error_memory(err);
    }
    if (!decode(text, place, &length)) {
        return malformed(err);
    }
    *decoded = slice_of(place, length);
    return true;
}

bool form_get(slice form, const char *name, arena *a, slice *value, error *err) {
    bool found = false;
    *value = (slice){NULL, 0};
    if (form.length > FORM_SIZE_MAX) {
        return malformed(err);
    }
    for (size_t fields = 0; form.length > 0; fields++) {
        size_t end = slice_find(form, '&');
        slice field = slice_part(form, 0, end);
        size_t equals = slice_find(field, '=');
        slice key = {NULL, 0};
        form = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(form, end + 1);
        if (fields == FORM_FIELDS_MAX) {
            return malformed(err);
        }
        if (!decode_in(slice_part(field, 0, equals), a, &key, err)) {
            return false;
        }
        if (!slice_equal_text(key, name)) {
            continue;
        }
        if (found) {
            return error_set(err, ERROR_INVALID, "the form has \"%s\" twice", name);
        }
        found = true;
        if (equals != SIZE_MAX && !decode_in(slice_after(field, equals + 1), a, value, err)) {
            return false;
        }
    }
    return true;
}

bool form_append_escaped(buffer *out, slice value) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < value.length; i++) {
        uint8_t c = value.data[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                     c == '.' || c == '_' || c == '~';
        if (plain) {
            buffer_append_byte(out, c);
        } else {
            const uint8_t escaped[] = {'%', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};
            buffer_append(out, slice_of(escaped, sizeof escaped));
        }
    }
    return !buffer_failed(out);
}

bool form_add(buffer *out, const char *name, slice value) {
    if (buffer_length(out) > 0) {
        buffer_append_byte(out, '&');
    }
    form_append_escaped(out, slice_of_text(name));
    buffer_append_byte(out, '=');
    return form_append_escaped(out, value);
}
