#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"
#include "base/slice.h"

/* Structured log on standard error: one line per event, key=value, or JSON when asked. Never pass a prompt,
 * an answer, a token or a key as a field. Before log_start, lines are written at once; after it, a thread of
 * the log's own writes them, so that a slow reader of the log never holds up a caller: when its queue of 1
 * MiB is full, lines are dropped and their number is logged. Any thread. */
typedef enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR } log_level;

typedef struct log_field {
    const char *key;
    enum { LOG_FIELD_SLICE, LOG_FIELD_U64 } kind;
    slice text;
    uint64_t number;
} log_field;

#define LOG_SLICE(name, value) ((log_field){.key = (name), .kind = LOG_FIELD_SLICE, .text = (value)})
#define LOG_TEXT(name, value) LOG_SLICE(name, slice_of_text(value))
#define LOG_U64(name, value) ((log_field){.key = (name), .kind = LOG_FIELD_U64, .number = (uint64_t)(value)})
/* The code and text of an error. */
#define LOG_CAUSE(err) LOG_TEXT("code", error_code_name((err)->code)), LOG_TEXT("cause", (err)->text)

/* log_info("worker connected", LOG_TEXT("worker", id), LOG_U64("slots", 2)); the fields may be absent. */
#define LOG_AT(level, ...)                                                                                   \
    log_write(level, (const log_field[]){LOG_EVENT_FIRST(__VA_ARGS__)},                                      \
              sizeof((const log_field[]){LOG_EVENT_FIRST(__VA_ARGS__)}) / sizeof(log_field))
#define LOG_EVENT_FIRST(event, ...) LOG_TEXT("event", event), ##__VA_ARGS__
#define log_debug(...) LOG_AT(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_INFO, __VA_ARGS__)
#define log_warning(...) LOG_AT(LOG_WARNING, __VA_ARGS__)
#define log_error(...) LOG_AT(LOG_ERROR, __VA_ARGS__)

void log_configure(log_level least, bool json);
/* "debug", "info", "warning" or "error". */
MUST_CHECK bool log_level_parse(const char *name, log_level *level);
/* Starts the writing thread; log_stop writes what is queued (for 2 s at most) and ends it. */
MUST_CHECK bool log_start(error *err);
void log_stop(void);

void log_write(log_level level, const log_field *fields, size_t count);

#endif
