#include "settings.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "model_files.h"
#include "proof/policy.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SETTINGS_FILE_LIMIT = 256 * 1024, DESCRIPTION_LIMIT = 64 * 1024 };

/* What the YAML says: a NULL is a key that is not there. Numbers are read here: libcyaml takes 3.5 for 3, and
 * -1 for the largest there is. */
typedef struct settings_file {
#define NUMBER(name, initial, least, most, when, doc) char *name;
#define TEXT(name, initial, when, doc) char *name;
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
} settings_file;

static const cyaml_schema_field_t fields[] = {
#define NUMBER(name, initial, least, most, when, doc)                                                        \
    CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, settings_file, name, 0, 64),
#define TEXT(name, initial, when, doc)                                                                       \
    CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, settings_file, name, 0, 1024),
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
        CYAML_FIELD_END};

static const cyaml_schema_value_t schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, settings_file, fields)};

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

static bool read_number(const char *name, const char *text, uint64_t least, uint64_t most, uint64_t *value,
                        error *err) {
    char *end = NULL;
    bool digits = text[0] != '\0' && strspn(text, "0123456789") == strlen(text);
    errno = 0;
    *value = digits ? strtoull(text, &end, 10) : 0;
    if (!digits) {
        return error_set(err, ERROR_INVALID, "%s: %s is not a whole number from %llu to %llu; correct it",
                         name, text[0] == '\0' ? "nothing" : text, (unsigned long long)least,
                         (unsigned long long)most);
    }
    if (errno != 0 || *value < least || *value > most) {
        return error_set(err, ERROR_INVALID, "%s: %s is not within %llu to %llu; correct it", name, text,
                         (unsigned long long)least, (unsigned long long)most);
    }
    return true;
}

static bool check_words(const pool_settings *settings, error *err) {
    log_level level;
    if (!log_level_parse(settings->log_level, &level)) {
        return error_set(err, ERROR_INVALID, "log_level: \"%s\" is not one of debug, info, warning, error",
                         settings->log_level);
    }
    if (strcmp(settings->log_format, "text") != 0 && strcmp(settings->log_format, "json") != 0) {
        return error_set(err, ERROR_INVALID, "log_format: \"%s\" is neither text nor json",
                         settings->log_format);
    }
    if (settings->max_tokens_default > settings->max_tokens_limit) {
        return error_set(err, ERROR_INVALID, "max_tokens_default is above max_tokens_limit; lower it");
    }
    return policy_check_settings(settings, err) && model_files_check(settings->model_files, err);
}

static bool fill(pool_settings *settings, const settings_file *file, error *err) {
#define NUMBER(name, initial, least, most, when, doc)                                                        \
    settings->name = (initial);                                                                              \
    if (file->name != NULL && !read_number(#name, file->name, least, most, &settings->name, err)) {          \
        return false;                                                                                        \
    }
#define TEXT(name, initial, when, doc)                                                                       \
    settings->name = memory_copy_string(file->name == NULL ? (initial) : file->name);                        \
    if (settings->name == NULL) {                                                                            \
        return error_memory(err);                                                                            \
    }
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
    return check_words(settings, err);
}

void pool_settings_free(pool_settings *settings) {
#define NUMBER(name, initial, least, most, when, doc)
#define TEXT(name, initial, when, doc) memory_free(settings->name);
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
    *settings = (pool_settings){0};
}

void pool_settings_swap(pool_settings *running, pool_settings *read) {
    pool_settings before = *running;
#define AT_START false
#define LIVE true
#define SWAP(name, when)                                                                                     \
    if (when) {                                                                                              \
        running->name = read->name;                                                                          \
        read->name = before.name;                                                                            \
    }
#define NUMBER(name, initial, least, most, when, doc) SWAP(name, when)
#define TEXT(name, initial, when, doc) SWAP(name, when)
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
#undef SWAP
#undef AT_START
#undef LIVE
}

void pool_settings_list_waiting(const pool_settings *running, const pool_settings *read, buffer *names) {
#define AT_START true
#define LIVE false
#define NUMBER(name, initial, least, most, when, doc)                                                        \
    if ((when) && running->name != read->name) {                                                             \
        buffer_append_text(names, buffer_length(names) > 0 ? ", " #name : #name);                            \
    }
#define TEXT(name, initial, when, doc)                                                                       \
    if ((when) && strcmp(running->name, read->name) != 0) {                                                  \
        buffer_append_text(names, buffer_length(names) > 0 ? ", " #name : #name);                            \
    }
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
#undef AT_START
#undef LIVE
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

static bool load_file(const char *path, settings_file **file, error *err) {
    struct stat status;
    if (stat(path, &status) != 0) {
        return error_set_errno(err, ERROR_IO, errno, "reading the configuration %s", path);
    }
    if (!S_ISREG(status.st_mode) || status.st_size > SETTINGS_FILE_LIMIT) {
        return error_set(err, ERROR_LIMIT, "the configuration %s is not a file of at most %d bytes", path,
                         SETTINGS_FILE_LIMIT);
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
    cyaml_err_t failure = cyaml_load_file(path, &config, &schema, (cyaml_data_t **)file, NULL);
    if (failure != CYAML_OK) {
        return error_set(err, ERROR_INVALID, "the configuration %s: %s", path,
                         cause.text[0] == '\0' ? cyaml_strerror(failure) : cause.text);
    }
    return true;
}

bool pool_settings_load(const char *path, pool_settings *settings, error *err) {
    settings_file none = {0};
    settings_file *file = NULL;
    *settings = (pool_settings){0};
    if (path != NULL && !load_file(path, &file, err)) {
        return false;
    }
    bool filled = fill(settings, file == NULL ? &none : file, err);
    if (file != NULL) {
        cyaml_config_t config = {.mem_fn = allocate_for_cyaml};
        (void)cyaml_free(&config, &schema, file, 0);
    }
    if (!filled) {
        pool_settings_free(settings);
        return path == NULL ? false : error_context(err, "the configuration %s", path);
    }
    return true;
}

char *pool_settings_describe(void) {
    buffer text = buffer_make(DESCRIPTION_LIMIT);
#define AT_START " (restart)"
#define LIVE ""
#define NUMBER(name, initial, least, most, when, doc)                                                        \
    buffer_append_format(&text, "# %s; %llu to %llu\n#%s: %llu\n", doc when, (unsigned long long)(least),    \
                         (unsigned long long)(most), #name, (unsigned long long)(initial));
#define TEXT(name, initial, when, doc)                                                                       \
    buffer_append_format(&text, "# %s\n#%s: \"%s\"\n", doc when, #name, initial);
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
#undef AT_START
#undef LIVE
    buffer_append_byte(&text, '\0');
    if (buffer_failed(&text)) {
        buffer_free(&text);
        return NULL;
    }
    return (char *)text.bytes;
}
