#include "yaml.h"

#include "base/memory.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_LIMIT = 256 * 1024 };

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

/* A file with nothing but comments has no YAML document, which libcyaml calls an error: here it means
 * defaults. */
static bool is_blank_yaml(const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    char line[1024];
    bool blank = true;
    bool line_start = true;
    while (blank && fgets(line, sizeof line, file) != NULL) {
        size_t first = strspn(line, " \t\r\n");
        blank = !line_start || line[first] == '\0' || line[first] == '#';
        line_start = strchr(line, '\n') != NULL;
    }
    fclose(file);
    return blank;
}

bool yaml_file_load(const char *path, const struct cyaml_schema_value *schema, void **content, error *err) {
    *content = NULL;
    struct stat status;
    if (stat(path, &status) != 0) {
        return error_set_errno(err, ERROR_IO, errno, "reading the configuration %s", path);
    }
    if (!S_ISREG(status.st_mode) || status.st_size > FILE_LIMIT) {
        return error_set(err, ERROR_LIMIT, "the configuration %s is not a file of at most %d bytes", path,
                         FILE_LIMIT);
    }
    if (is_blank_yaml(path)) {
        return true;
    }
    error cause = {0};
    cyaml_config_t config = {.log_fn = keep_cause,
                             .log_ctx = &cause,
                             .mem_fn = allocate_for_cyaml,
                             .log_level = CYAML_LOG_ERROR,
                             .flags = CYAML_CFG_NO_ALIAS};
    cyaml_err_t failure = cyaml_load_file(path, &config, schema, (cyaml_data_t **)content, NULL);
    if (failure != CYAML_OK) {
        return error_set(err, ERROR_INVALID, "the configuration %s: %s", path,
                         cause.text[0] == '\0' ? cyaml_strerror(failure) : cause.text);
    }
    return true;
}

void yaml_file_free(const struct cyaml_schema_value *schema, void *content) {
    if (content != NULL) {
        cyaml_config_t config = {.mem_fn = allocate_for_cyaml};
        (void)cyaml_free(&config, schema, content, 0);
    }
}
