#include "text_filter.h"

#include "base/memory.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/utf8.h"

/* What is held back is shorter than a stop string; a token's bytes grow threefold at most. */
enum { TEXT_MAX = ENGINE_STOP_LENGTH_MAX + 3 * (TOKEN_LENGTH_MAX + 4) };
#define REPLACEMENT SLICE_LITERAL("\xef\xbf\xbd")

bool text_filter_start(text_filter *f, const slice *stops, size_t count, error *err) {
    *f = (text_filter){.text = buffer_make(TEXT_MAX)};
    size_t total = 0;
    if (count > ENGINE_STOPS_MAX) {
        return error_set(err, ERROR_INVALID, "there are more than %d stop strings", ENGINE_STOPS_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (stops[i].length == 0 || stops[i].length > ENGINE_STOP_LENGTH_MAX || !slice_is_utf8(stops[i])) {
            return error_set(err, ERROR_INVALID,
                             "stop string %zu is empty, longer than %d bytes or not UTF-8", i + 1,
                             ENGINE_STOP_LENGTH_MAX);
        }
        total += stops[i].length;
    }
    f->stop_bytes = memory_allocate(total);
    if (f->stop_bytes == NULL) {
        return error_memory(err);
    }
    uint8_t *place = f->stop_bytes;
    for (size_t i = 0; i < count; i++) {
        memcpy(place, stops[i].data, stops[i].length);
        f->stops[f->stop_count++] = slice_of(place, stops[i].length);
        place += stops[i].length;
    }
    return true;
}

void text_filter_free(text_filter *f) {
    memory_free(f->stop_bytes);
    buffer_wipe(&f->text);
    *f = (text_filter){0};
}

static void add_byte(text_filter *f, uint8_t byte) {
    f->partial[f->partial_length++] = byte;
    while (f->partial_length > 0) {
        size_t length = 0;
        uint32_t character = 0;
        utf8_kind kind = utf8_next(slice_of(f->partial, f->partial_length), &length, &character);
        if (kind == UTF8_PARTIAL) {
            return;
        }
        buffer_append(&f->text, kind == UTF8_WHOLE ? slice_of(f->partial, length) : REPLACEMENT);
        f->partial_length -= length;
        memmove(f->partial, f->partial + length, f->partial_length);
    }
}

/* Where the first complete stop string begins, or SIZE_MAX. */
static size_t find_stop(const text_filter *f, slice text) {
    size_t first = SIZE_MAX;
    for (size_t i = 0; i < f->stop_count; i++) {
        size_t place = slice_find_slice(text, f->stops[i]);
        first = place < first ? place : first;
    }
    return first;
}

/* Where the longest end of `text` begins that may become a stop string. */
static size_t held_from(const text_filter *f, slice text) {
    size_t start = text.length > ENGINE_STOP_LENGTH_MAX ? text.length - ENGINE_STOP_LENGTH_MAX : 0;
    for (; start < text.length; start++) {
        slice end = slice_after(text, start);
        for (size_t i = 0; i < f->stop_count; i++) {
            if (slice_starts_with(f->stops[i], end)) {
                return start;
            }
        }
    }
    return text.length;
}

static bool release(text_filter *f, size_t length, slice *out, error *err) {
    if (buffer_failed(&f->text)) {
        return error_memory(err);
    }
    f->released = length;
    *out = slice_part(buffer_slice(&f->text), 0, length);
    return true;
}

static void forget_released(text_filter *f) {
    buffer_consume(&f->text, f->released);
    f->released = 0;
}

bool text_filter_add(text_filter *f, slice bytes, slice *out, bool *stopped, error *err) {
    forget_released(f);
    for (size_t i = 0; i < bytes.length; i++) {
        add_byte(f, bytes.data[i]);
    }
    slice text = buffer_slice(&f->text);
    size_t stop = find_stop(f, text);
    *stopped = stop != SIZE_MAX;
    return release(f, *stopped ? stop : held_from(f, text), out, err);
}

bool text_filter_release_all(text_filter *f, slice *out, error *err) {
    if (f->partial_length > 0) {
        buffer_append(&f->text, REPLACEMENT);
        f->partial_length = 0;
    }
    return release(f, buffer_length(&f->text), out, err);
}

bool text_filter_finish(text_filter *f, slice *out, error *err) {
    forget_released(f);
    return text_filter_release_all(f, out, err);
}
