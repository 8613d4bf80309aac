#ifndef CODEC_ENVELOPE_H
#define CODEC_ENVELOPE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* The bytes under a signature or a hash: fields, each as its length (u32, big-endian) and its bytes. The
 * first is a label that says what is signed, so that bytes signed for one purpose mean nothing for another.
 * There is one encoding of a list of fields and one list for an encoding. */

/* Appends; failure is the buffer's, check buffer_failed at the end. */
void envelope_begin(buffer *out, const char *label);
void envelope_add(buffer *out, slice field);
void envelope_add_text(buffer *out, const char *text);
void envelope_add_u32(buffer *out, uint32_t value); /* a field of 4 bytes, big-endian */
void envelope_add_u64(buffer *out, uint64_t value); /* of 8 */

/* Reads in the same order. A failed read is remembered: the following ones fail too, and so does
 * envelope_close; what they would fill is zeroed. Slices point into the bytes given to envelope_open. */
typedef struct envelope_reader {
    slice rest;
    bool failed;
} envelope_reader;

envelope_reader envelope_open(slice bytes, const char *label);
slice envelope_read(envelope_reader *r);
void envelope_read_exact(envelope_reader *r, void *bytes, size_t length); /* a field of just that length */
uint32_t envelope_read_u32(envelope_reader *r);
uint64_t envelope_read_u64(envelope_reader *r);
/* True if every read succeeded and nothing is left over. Nothing read may be used before. */
MUST_CHECK bool envelope_close(const envelope_reader *r);

#endif
