#ifndef POOL_YAML_H
#define POOL_YAML_H

#include "base/error.h"

#include <cyaml/cyaml.h>

/* A file as the schema says; an unknown key, a wrong type or a value out of bounds is an error that names it.
 * NULL in *content: nothing but comments. The caller frees with yaml_file_free. Blocks. */
MUST_CHECK bool yaml_file_load(const char *path, const struct cyaml_schema_value *schema, void **content,
                               error *err);
void yaml_file_free(const struct cyaml_schema_value *schema, void *content); /* NULL is allowed */

#endif
