#ifndef CODEC_JSON_WRITER_H
#define CODEC_JSON_WRITER_H

#include "base/buffer.h"
#include "base/slice.h"
#include "codec/json.h"

/* JSON out, compact, straight into a buffer, whose failure is sticky: check buffer_failed once at the end.
 * Begin and end must match; the writer sets the commas. Text that is not UTF-8 comes out with U+FFFD for
 * each invalid part, so what is written is always valid JSON. */
typedef struct json_writer {
    buffer *out;
    bool comma; /* a value stands before the next one */
} json_writer;

json_writer json_writer_make(buffer *out);

void json_write_object_begin(json_writer *w);
void json_write_object_end(json_writer *w);
void json_write_array_begin(json_writer *w);
void json_write_array_end(json_writer *w);
void json_write_key(json_writer *w, const char *name); /* then exactly one value */

void json_write_text(json_writer *w, slice text);
void json_write_u64(json_writer *w, uint64_t value);
void json_write_i64(json_writer *w, int64_t value);
void json_write_double(json_writer *w, double value); /* shortest that reads back the same; NaN: null */
void json_write_bool(json_writer *w, bool value);
void json_write_null(json_writer *w);
void json_write_bytes(json_writer *w, slice bytes);       /* base64url */
void json_write_u64_text(json_writer *w, uint64_t value); /* "18446744073709551615" */
void json_write_raw(json_writer *w, slice json);          /* one value that is JSON already */
void json_write_value(json_writer *w, const json_value *value);

/* Key and value in one. */
void json_add_text(json_writer *w, const char *name, slice text);
void json_add_u64(json_writer *w, const char *name, uint64_t value);
void json_add_double(json_writer *w, const char *name, double value);
void json_add_bool(json_writer *w, const char *name, bool value);
void json_add_null(json_writer *w, const char *name);
void json_add_bytes(json_writer *w, const char *name, slice bytes);
void json_add_u64_text(json_writer *w, const char *name, uint64_t value);

/* The inside of a JSON string, without the quotes: for templates made once and filled often. */
bool json_append_escaped(buffer *out, slice text);

#endif
