#ifndef POOL_YAML_H
#define POOL_YAML_H

#include "base/error.h"
#include "base/slice.h"

#include <cyaml/cyaml.h>

enum { YAML_SIZE_MAX = 256 * 1024 }; /* bytes of a file */

/* A file as the schema says; an unknown key, a wrong type or a value out of bounds is an error that names it.
 * NULL in *content: nothing but comments. The caller frees with yaml_file_free. Blocks. */
MUST_CHECK bool yaml_file_load(const char *path, const struct cyaml_schema_value *schema, void **content,
                               error *err);
/* The same from a file's text; the error doesn't name the file. */
MUST_CHECK bool yaml_text_load(slice text, const struct cyaml_schema_value *schema, void **content,
                               error *err);
void yaml_file_free(const struct cyaml_schema_value *schema, void *content); /* NULL is allowed */

#endif
