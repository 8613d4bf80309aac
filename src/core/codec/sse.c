#include "codec/sse.h"

static bool is_one_line(slice text) {
    return slice_find(text, '\n') == SIZE_MAX && slice_find(text, '\r') == SIZE_MAX &&
           slice_find(text, 0) == SIZE_MAX;
}

static void write_line(buffer *out, slice prefix, slice text) {
    if (!is_one_line(text) || text.length > SIZE_MAX - 8) {
        out->failed = true;
        return;
    }
    uint8_t *place = buffer_reserve(out, prefix.length + text.length + 2);
    if (place == NULL) {
        return;
    }
    memcpy(place, prefix.data, prefix.length);
    if (text.length > 0) {
        memcpy(place + prefix.length, text.data, text.length);
    }
    memcpy(place + prefix.length + text.length, "\n\n", 2);
    buffer_commit(out, prefix.length + text.length + 2);
}

void sse_write_data(buffer *out, slice payload) {
    write_line(out, SLICE_LITERAL("data: "), payload);
}

void sse_write_comment(buffer *out, slice text) {
    write_line(out, SLICE_LITERAL(": "), text);
}

sse_reader sse_reader_make(size_t limit) {
    return (sse_reader){.line = buffer_make(limit), .data = buffer_make(limit)};
}

void sse_reader_free(sse_reader *reader) {
    buffer_free(&reader->line);
    buffer_free(&reader->data);
}

static slice without_one_blank(slice value) {
    return value.length > 0 && value.data[0] == ' ' ? slice_after(value, 1) : value;
}

static sse_kind fail(const buffer *where, size_t more, error *err) {
    if (more > where->limit - buffer_length(where)) {
        (void)error_set(err, ERROR_LIMIT, "an event of the stream is larger than %zu bytes", where->limit);
    } else {
        (void)error_memory(err);
    }
    return SSE_BAD;
}

static sse_kind take_data(sse_reader *reader, slice value, error *err) {
    if (reader->has_data && !buffer_append_byte(&reader->data, '\n')) {
        return fail(&reader->data, 1, err);
    }
    if (!buffer_append(&reader->data, value)) {
        return fail(&reader->data, value.length, err);
    }
    reader->has_data = true;
    return SSE_MORE;
}

/* A whole line, without its end. SSE_MORE: nothing to tell yet. */
static sse_kind take_line(sse_reader *reader, slice line, slice *text, error *err) {
    if (!reader->started) {
        reader->started = true;
        line = slice_starts_with(line, SLICE_LITERAL("\xEF\xBB\xBF")) ? slice_after(line, 3) : line;
    }
    if (line.length == 0) {
        bool there = reader->has_data;
        *text = buffer_slice(&reader->data);
        reader->has_data = false;
        reader->data_taken = true;
        return there ? SSE_DATA : SSE_MORE;
    }
    size_t colon = slice_find(line, ':');
    if (colon == 0) {
        *text = without_one_blank(slice_after(line, 1));
        return SSE_COMMENT;
    }
    slice value = colon == SIZE_MAX ? slice_of(NULL, 0) : without_one_blank(slice_after(line, colon + 1));
    return slice_equal(slice_part(line, 0, colon), SLICE_LITERAL("data")) ? take_data(reader, value, err)
                                                                          : SSE_MORE;
}

static size_t line_length(slice input) {
    size_t i = 0;
    while (i < input.length && input.data[i] != '\n' && input.data[i] != '\r') {
        i++;
    }
    return i;
}

/* What the last call handed out is forgotten now. */
static void forget(sse_reader *reader) {
    if (reader->data_taken) {
        buffer_clear(&reader->data);
        reader->data_taken = false;
    }
    if (reader->line_taken) {
        buffer_clear(&reader->line);
        reader->line_taken = false;
    }
}

sse_kind sse_reader_feed(sse_reader *reader, slice input, size_t *consumed, slice *text, error *err) {
    size_t taken = 0;
    sse_kind kind = SSE_MORE;
    *text = slice_of(NULL, 0);
    while (kind == SSE_MORE && taken < input.length) {
        forget(reader);
        if (reader->after_cr && input.data[taken] == '\n') {
            taken++;
        }
        reader->after_cr = false;
        slice rest = slice_after(input, taken);
        size_t length = line_length(rest);
        if (!buffer_append(&reader->line, slice_part(rest, 0, length))) {
            kind = fail(&reader->line, length, err);
            break;
        }
        taken += length;
        if (length < rest.length) {
            reader->after_cr = input.data[taken++] == '\r';
            reader->line_taken = true;
            kind = take_line(reader, buffer_slice(&reader->line), text, err);
        }
    }
    *consumed = taken;
    return kind;
}
