#ifndef FAMILY_FILE_H
#define FAMILY_FILE_H

#include "architecture/architecture.h"
#include "model_file.h"

/* A small model of each family, and how it is read. */
extern const model_shape family_small; /* a llama */
extern const char *const families[];
enum { FAMILIES = 8 };

model_shape family_shape(const char *family);
/* ERROR_NONE: the caller frees `a`. */
error_code family_file_read(const model_file *file, architecture *a, error *err);

#endif
