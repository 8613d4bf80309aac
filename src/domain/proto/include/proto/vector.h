#ifndef PROTO_VECTOR_H
#define PROTO_VECTOR_H

#include "proto/message.h"

/* A vector as a text: base64url of its values as little-endian binary32, so that not a bit is lost. */

/* Appends the text. False: more than PROTO_DIMENSION_MAX values, or the buffer has failed. */
MUST_CHECK bool proto_vector_append(const float *values, size_t dimension, buffer *out);
/* False unless the text is a vector of so many values, at most PROTO_DIMENSION_MAX, all of them finite. */
MUST_CHECK bool proto_vector_read(slice text, float *values, size_t dimension);

#endif
