#ifndef CODEC_FORM_H
#define CODEC_FORM_H

#include "base/arena.h"
#include "base/buffer.h"

/* Names and values as in a query or a form's body: application/x-www-form-urlencoded (RFC 6749, appendix B).
 */
enum { FORM_SIZE_MAX = 65536, FORM_FIELDS_MAX = 128 };

/* The value of the one field of that name, decoded, in `a`; the empty slice if there is none. ERROR_INVALID:
 * two of that name, a percent sign without two hexadecimal digits, a zero byte, or beyond the bounds. */
MUST_CHECK bool form_get(slice form, const char *name, arena *a, slice *value, error *err);

/* Appends "name=value", with '&' before it unless `out` is empty. */
bool form_add(buffer *out, const char *name, slice value);
/* The value alone, encoded: all but letters, digits and "-._~" as percent signs. */
bool form_append_escaped(buffer *out, slice value);

#endif
