#ifndef ENGINE_TEXT_FILTER_H
#define ENGINE_TEXT_FILTER_H

#include "base/buffer.h"
#include "engine/engine.h"

/* Between the bytes that tokens write and the text that goes out: whole characters only, nothing of a stop
 * string, nothing that may yet become one. Bytes that never become a character go out as U+FFFD. */
typedef struct text_filter {
    slice stops[ENGINE_STOPS_MAX]; /* into stop_bytes */
    size_t stop_count;
    uint8_t *stop_bytes;
    uint8_t partial[4]; /* the begun character */
    size_t partial_length;
    buffer text;     /* the released part, then what is held back */
    size_t released; /* of `text`, given out by the last call */
} text_filter;

/* ERROR_INVALID for a stop string that is empty, too long or no UTF-8. Copies them. */
MUST_CHECK bool text_filter_start(text_filter *f, const slice *stops, size_t count, error *err);
void text_filter_free(text_filter *f);

/* Adds what a token writes. `*out` is what may go out now, valid until the next call; `*stopped` says that a
 * stop string is complete: then `*out` is what stood before it, and nothing more is added. */
MUST_CHECK bool text_filter_add(text_filter *f, slice bytes, slice *out, bool *stopped, error *err);
/* At the end of the answer: what the last call gave out together with what it held back. */
MUST_CHECK bool text_filter_release_all(text_filter *f, slice *out, error *err);
/* The same after a token that writes nothing: only what is held back. */
MUST_CHECK bool text_filter_finish(text_filter *f, slice *out, error *err);

#endif
