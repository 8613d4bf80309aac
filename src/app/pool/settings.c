#include "settings.h"

#include "app_release/boot.h"
#include "auth/token.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/memory.h"
#include "database.h"
#include "model_files.h"
#include "net/egress.h"
#include "os/file.h"
#include "proof/policy.h"
#include "recovery/officers.h"
#include "yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DESCRIPTION_LIMIT = 64 * 1024, TEXT_MAX = 2048 };

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
    CYAML_FIELD_STRING_PTR(#name, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, settings_file, name, 0, TEXT_MAX),
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
        CYAML_FIELD_END};

static const cyaml_schema_value_t schema = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, settings_file, fields)};

/* NULL, for a key that isn't there, leaves the value as it is. */
static bool read_number(const char *name, const char *text, uint64_t least, uint64_t most, uint64_t *value,
                        error *err) {
    char *end = NULL;
    if (text == NULL) {
        return true;
    }
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

static bool check_releases(const pool_settings *settings, error *err) {
    release_policy policy;
    release_acceptance wanted;
    if (!release_policy_parse(settings->release_check, &policy)) {
        return error_set(err, ERROR_INVALID, "release_check: \"%s\" is not one of auto, refuse, warn, off",
                         settings->release_check);
    }
    return release_acceptance_parse(slice_of_text(settings->worker_releases), &wanted, err) ||
           error_context(err, "worker_releases");
}

static bool check_public_address(const pool_settings *settings, error *err) {
    slice host;
    uint16_t port = 0;
    return settings->public_address[0] == '\0' ||
           auth_address_split(slice_of_text(settings->public_address), &host, &port) ||
           error_set(err, ERROR_INVALID, "public_address: \"%s\" is not HOST:PORT, as pool.example:8443",
                     settings->public_address);
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
    if (strcmp(settings->approval, "on") != 0 && strcmp(settings->approval, "off") != 0) {
        return error_set(err, ERROR_INVALID, "approval: \"%s\" is neither on nor off", settings->approval);
    }
    if (settings->max_tokens_default > settings->max_tokens_limit) {
        return error_set(err, ERROR_INVALID, "max_tokens_default is above max_tokens_limit; lower it");
    }
    if (strlen(settings->embedding_model) > PROTO_NAME_MAX) {
        return error_set(err, ERROR_INVALID, "embedding_model: a model's name has up to %d bytes",
                         (int)PROTO_NAME_MAX);
    }
    if (!net_egress_check_list(slice_of_text(settings->egress), err)) {
        return error_context(err, "egress");
    }
    return database_check_setting(settings->database, err) && check_public_address(settings, err) &&
           check_releases(settings, err) && policy_check_settings(settings, err) &&
           officers_check(settings, err) && model_files_check(settings->model_files, err);
}

static bool take_text(const char *given, const char *initial, char **value, error *err) {
    *value = memory_copy_string(given == NULL ? initial : given);
    return *value != NULL || error_memory(err);
}

/* What it is where the file doesn't say. */
static uint64_t *preset(uint64_t *value, uint64_t initial) {
    *value = initial;
    return value;
}

/* One expression, which ends at the first that is wrong. */
static bool fill(pool_settings *settings, const settings_file *file, error *err) {
    return
#define NUMBER(name, initial, least, most, when, doc)                                                        \
    read_number(#name, file->name, least, most, preset(&settings->name, initial), err) &&
#define TEXT(name, initial, when, doc) take_text(file->name, initial, &settings->name, err) &&
        POOL_SETTINGS(NUMBER, TEXT) check_words(settings, err);
#undef NUMBER
#undef TEXT
}

void pool_settings_free(pool_settings *settings) {
#define NUMBER(name, initial, least, most, when, doc)
#define TEXT(name, initial, when, doc) memory_free(settings->name);
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
    *settings = (pool_settings){0};
}

static void swap_number(bool live, uint64_t *a, uint64_t *b) {
    uint64_t before = *a;
    *a = live ? *b : before;
    *b = live ? before : *b;
}

static void swap_text(bool live, char **a, char **b) {
    char *before = *a;
    *a = live ? *b : before;
    *b = live ? before : *b;
}

void pool_settings_swap(pool_settings *running, pool_settings *read) {
#define AT_START false
#define LIVE true
#define NUMBER(name, initial, least, most, when, doc) swap_number(when, &running->name, &read->name);
#define TEXT(name, initial, when, doc) swap_text(when, &running->name, &read->name);
    POOL_SETTINGS(NUMBER, TEXT)
#undef NUMBER
#undef TEXT
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

bool pool_settings_parse(slice text, pool_settings *settings, error *err) {
    settings_file none = {0};
    settings_file *file = NULL;
    *settings = (pool_settings){0};
    if (!yaml_text_load(text, &schema, (void **)&file, err)) {
        return false;
    }
    bool filled = fill(settings, file == NULL ? &none : file, err);
    yaml_file_free(&schema, file);
    if (!filled) {
        pool_settings_free(settings);
    }
    return filled;
}

bool pool_settings_load(const char *path, pool_settings *settings, error *err) {
    buffer text = buffer_make(YAML_SIZE_MAX);
    *settings = (pool_settings){0};
    bool loaded = (path == NULL || file_read_all(path, &text, err)) &&
                  pool_settings_parse(buffer_slice(&text), settings, err);
    buffer_free(&text);
    return loaded || (path == NULL ? false : error_context(err, "the configuration %s", path));
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
