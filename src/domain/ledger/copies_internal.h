#ifndef COPIES_INTERNAL_H
#define COPIES_INTERNAL_H

#include "codec/json_writer.h"

/* What stands in JSON beside signed bytes for people to read: a copy of the fields, made by one function that
 * writes it and that checks it. */
typedef void copies_writer(json_writer *w, const void *fields);

void copies_add_hex(json_writer *w, const char *name, const uint8_t *bytes, size_t length);
/* 0.7, not 0.699999988079071: the shortest that reads back as the same binary32. */
void copies_add_float(json_writer *w, const char *name, float value);

/* The object "fields" in `root` must be just what `write` makes of the signed fields; without one nothing
 * wrong is said. ERROR_CORRUPT. */
MUST_CHECK bool copies_check(const json_value *root, copies_writer *write, const void *fields, error *err);

#endif
