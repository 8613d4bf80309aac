#include "yaml.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "os/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* libcyaml tells what is wrong only through its log: first the cause, then, from the inside out, where it
 * was; the innermost place is kept. */
static void keep_cause(cyaml_log_t level, void *context, const char *format, va_list arguments)
    PRINTF_LIKE(3, 0);

static void keep_cause(cyaml_log_t level, void *context, const char *format, va_list arguments) {
    error *cause = context;
    char line[ERROR_TEXT_SIZE];
    if (level < CYAML_LOG_ERROR || vsnprintf(line, sizeof line, format, arguments) < 0) {
        return;
    }
    line[strcspn(line, "\n")] = '\0';
    const char *place = strstr(line, "in mapping field ");
    if (cause->text[0] == '\0') {
        error_set(cause, ERROR_INVALID, "%s", line);
    } else if (place != NULL && strstr(cause->text, " in mapping field ") == NULL) {
        error before = *cause;
        error_set(cause, ERROR_INVALID, "%.300s %.150s", before.text, place);
    }
}

static void *allocate_for_cyaml(void *context, void *block, size_t size) {
    (void)context;
    if (size == 0) {
        memory_free(block);
        return NULL;
    }
    return memory_resize(block, size);
}

/* A text with nothing but comments has no YAML document, which libcyaml calls an error: here it means
 * defaults. */
static bool is_blank_yaml(slice text) {
    while (text.length > 0) {
        size_t end = slice_find(text, '\n');
        slice line = slice_part(text, 0, end);
        while (line.length > 0 && (line.data[0] == ' ' || line.data[0] == '\t' || line.data[0] == '\r')) {
            line = slice_after(line, 1);
        }
        if (line.length > 0 && line.data[0] != '#') {
            return false;
        }
        text = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(text, end + 1);
    }
    return true;
}

bool yaml_text_load(slice text, const struct cyaml_schema_value *schema, void **content, error *err) {
    *content = NULL;
    if (is_blank_yaml(text)) {
        return true;
    }
    error cause = {0};
    cyaml_config_t config = {.log_fn = keep_cause,
                             .log_ctx = &cause,
                             .mem_fn = allocate_for_cyaml,
                             .log_level = CYAML_LOG_ERROR,
                             .flags = CYAML_CFG_NO_ALIAS};
    cyaml_err_t failure =
        cyaml_load_data(text.data, text.length, &config, schema, (cyaml_data_t **)content, NULL);
    return failure == CYAML_OK ||
           error_set(err, ERROR_INVALID, "%s", cause.text[0] == '\0' ? cyaml_strerror(failure) : cause.text);
}

bool yaml_file_load(const char *path, const struct cyaml_schema_value *schema, void **content, error *err) {
    buffer text = buffer_make(YAML_SIZE_MAX);
    *content = NULL;
    bool loaded =
        file_read_all(path, &text, err) && yaml_text_load(buffer_slice(&text), schema, content, err);
    buffer_free(&text);
    return loaded || error_context(err, "the configuration %s", path);
}

void yaml_file_free(const struct cyaml_schema_value *schema, void *content) {
    if (content != NULL) {
        cyaml_config_t config = {.mem_fn = allocate_for_cyaml};
        (void)cyaml_free(&config, schema, content, 0);
    }
}
