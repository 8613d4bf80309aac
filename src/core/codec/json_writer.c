#include "codec/json_writer.h"

#include "codec/base64.h"
#include "decimal_internal.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Whole numbers below it are written without an exponent by printf's %.15g, too. */
#define WHOLE_LIMIT 1e15

json_writer json_writer_make(buffer *out) {
    return (json_writer){.out = out};
}

/* Called before each value and key: whatever is written next needs a comma behind this one. */
static void separate(json_writer *w) {
    if (w->comma) {
        buffer_append_byte(w->out, ',');
    }
    w->comma = true;
}

static void begin(json_writer *w, uint8_t bracket) {
    separate(w);
    buffer_append_byte(w->out, bracket);
    w->comma = false;
}

static void end(json_writer *w, uint8_t bracket) {
    buffer_append_byte(w->out, bracket);
    w->comma = true;
}

void json_write_object_begin(json_writer *w) {
    begin(w, '{');
}

void json_write_object_end(json_writer *w) {
    end(w, '}');
}

void json_write_array_begin(json_writer *w) {
    begin(w, '[');
}

void json_write_array_end(json_writer *w) {
    end(w, ']');
}

static bool is_plain(uint8_t c) {
    return c >= ' ' && c < 0x80 && c != '"' && c != '\\';
}

/* Of eight bytes at a time whether any isn't plain; only a plain eight gives 0. (A byte less than n, equal to
 * n: Warren, Hacker's Delight, §6-1.) */
static uint64_t find_special(const uint8_t *bytes) {
    const uint64_t ones = 0x0101010101010101U;
    const uint64_t tops = 0x8080808080808080U;
    uint64_t word = 0;
    memcpy(&word, bytes, sizeof word);
    uint64_t quote = word ^ ones * '"';
    uint64_t backslash = word ^ ones * '\\';
    return (word | (word - ones * ' ') | (quote - ones) | (backslash - ones)) & tops;
}

/* Bytes at the front that go out as they are. */
static size_t plain_run(slice text) {
    size_t run = 0;
    while (run < text.length) {
        if (text.length - run >= sizeof(uint64_t) && find_special(text.data + run) == 0) {
            run += sizeof(uint64_t);
            continue;
        }
        size_t length = is_plain(text.data[run]) ? 1 : 0;
        if (length == 0 && text.data[run] >= 0x80) {
            length = slice_utf8_length(slice_after(text, run));
        }
        if (length == 0) {
            break;
        }
        run += length;
    }
    return run;
}

static void append_escape(buffer *out, uint8_t c) {
    static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; short_forms[i] != '\0'; i += 2) {
        if ((uint8_t)short_forms[i] == c) {
            buffer_append_byte(out, '\\');
            buffer_append_byte(out, (uint8_t)short_forms[i + 1]);
            return;
        }
    }
    if (c < ' ') {
        buffer_append_format(out, "\\u%04x", c);
    } else {
        buffer_append_text(out, "\xEF\xBF\xBD"); /* U+FFFD */
    }
}

bool json_append_escaped(buffer *out, slice text) {
    while (text.length > 0 && !buffer_failed(out)) {
        size_t run = plain_run(text);
        buffer_append(out, slice_part(text, 0, run));
        text = slice_after(text, run);
        if (text.length > 0) {
            append_escape(out, text.data[0]);
            text = slice_after(text, 1);
        }
    }
    return !buffer_failed(out);
}

static void append_string(buffer *out, slice text) {
    buffer_append_byte(out, '"');
    json_append_escaped(out, text);
    buffer_append_byte(out, '"');
}

void json_write_key(json_writer *w, const char *name) {
    separate(w);
    append_string(w->out, slice_of_text(name));
    buffer_append_byte(w->out, ':');
    w->comma = false;
}

void json_write_text(json_writer *w, slice text) {
    separate(w);
    append_string(w->out, text);
}

void json_write_u64(json_writer *w, uint64_t value) {
    uint8_t digits[DECIMAL_MAX];
    separate(w);
    buffer_append(w->out, decimal_of(value, digits));
}

void json_write_i64(json_writer *w, int64_t value) {
    separate(w);
    buffer_append_format(w->out, "%lld", (long long)value);
}

/* The point is '.', since the program never sets a locale. */
void json_write_double(json_writer *w, double value) {
    if (!isfinite(value)) {
        json_write_null(w);
        return;
    }
    if (value >= 1 && value < WHOLE_LIMIT && value == floor(value)) { /* the usual values of parameters */
        json_write_u64(w, (uint64_t)value);
        return;
    }
    if (value == 0 && signbit(value)) { /* "-0" would be read back as the whole number 0 */
        json_write_raw(w, SLICE_LITERAL("-0.0"));
        return;
    }
    char text[32];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    json_write_raw(w, slice_of_text(text));
}

void json_write_bool(json_writer *w, bool value) {
    json_write_raw(w, value ? SLICE_LITERAL("true") : SLICE_LITERAL("false"));
}

void json_write_null(json_writer *w) {
    json_write_raw(w, SLICE_LITERAL("null"));
}

void json_write_bytes(json_writer *w, slice bytes) {
    separate(w);
    buffer_append_byte(w->out, '"');
    base64url_append(w->out, bytes);
    buffer_append_byte(w->out, '"');
}

void json_write_u64_text(json_writer *w, uint64_t value) {
    uint8_t digits[DECIMAL_MAX];
    separate(w);
    buffer_append_byte(w->out, '"');
    buffer_append(w->out, decimal_of(value, digits));
    buffer_append_byte(w->out, '"');
}

void json_write_raw(json_writer *w, slice json) {
    separate(w);
    buffer_append(w->out, json);
}

static void write_array(json_writer *w, const json_value *array) {
    json_write_array_begin(w);
    for (size_t i = 0; i < json_count(array); i++) {
        json_write_value(w, json_at(array, i));
    }
    json_write_array_end(w);
}

static void write_object(json_writer *w, const json_value *object) {
    const json_value *value = NULL;
    json_write_object_begin(w);
    for (const char *name = NULL; json_next_member(object, &name, &value);) {
        json_write_key(w, name);
        json_write_value(w, value);
    }
    json_write_object_end(w);
}

/* Recursion as deep as json_parse let the value be. */
void json_write_value(json_writer *w, const json_value *value) {
    switch (json_kind_of(value)) {
    case JSON_KIND_OBJECT:
        write_object(w, value);
        break;
    case JSON_KIND_ARRAY:
        write_array(w, value);
        break;
    case JSON_KIND_TEXT:
        json_write_text(w, json_text_of(value));
        break;
    case JSON_KIND_BOOL:
        json_write_bool(w, json_is_true(value));
        break;
    case JSON_KIND_NUMBER:
        if (json_is_integer(value)) {
            json_write_i64(w, json_integer_value(value));
        } else {
            json_write_double(w, json_real_value(value));
        }
        break;
    default:
        json_write_null(w);
        break;
    }
}

void json_add_text(json_writer *w, const char *name, slice text) {
    json_write_key(w, name);
    json_write_text(w, text);
}

void json_add_u64(json_writer *w, const char *name, uint64_t value) {
    json_write_key(w, name);
    json_write_u64(w, value);
}

void json_add_double(json_writer *w, const char *name, double value) {
    json_write_key(w, name);
    json_write_double(w, value);
}

void json_add_bool(json_writer *w, const char *name, bool value) {
    json_write_key(w, name);
    json_write_bool(w, value);
}

void json_add_null(json_writer *w, const char *name) {
    json_write_key(w, name);
    json_write_null(w);
}

void json_add_bytes(json_writer *w, const char *name, slice bytes) {
    json_write_key(w, name);
    json_write_bytes(w, bytes);
}

void json_add_u64_text(json_writer *w, const char *name, uint64_t value) {
    json_write_key(w, name);
    json_write_u64_text(w, value);
}
