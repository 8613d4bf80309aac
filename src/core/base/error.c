#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const code_names[] = {
#define X(code, name) [code] = name,
    ERROR_CODES(X)
#undef X
};

/* A text cut inside a UTF-8 sequence would be invalid for whoever prints it: drop the broken tail. */
static void trim_broken_utf8(char *text) {
    size_t length = strlen(text);
    if (length + 1 < ERROR_TEXT_SIZE) {
        return;
    }
    size_t start = length;
    while (start > 0 && ((unsigned char)text[start - 1] & 0xC0) == 0x80) {
        start--;
    }
    if (start > 0 && ((unsigned char)text[start - 1] & 0x80) != 0) {
        text[start - 1] = '\0';
    }
}

static void format_text(char *text, const char *format, va_list arguments) PRINTF_LIKE(2, 0);

/* By way of a copy, since an argument may be the old text. */
static void format_text(char *text, const char *format, va_list arguments) {
    char formatted[ERROR_TEXT_SIZE];
    if (vsnprintf(formatted, sizeof formatted, format, arguments) < 0) {
        formatted[0] = '\0';
    }
    memcpy(text, formatted, sizeof formatted);
    trim_broken_utf8(text);
}

static void append(char *text, const char *separator, const char *tail) {
    size_t length = strlen(text);
    snprintf(text + length, ERROR_TEXT_SIZE - length, "%s%s", separator, tail);
    trim_broken_utf8(text);
}

bool error_set(error *err, error_code code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    err->code = code;
    format_text(err->text, format, arguments);
    va_end(arguments);
    return false;
}

bool error_set_errno(error *err, error_code code, int errno_value, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    err->code = code;
    format_text(err->text, format, arguments);
    va_end(arguments);
    char reason[128];
    append(err->text, ": ", strerror_r(errno_value, reason, sizeof reason));
    return false;
}

bool error_context(error *err, const char *format, ...) {
    char before[ERROR_TEXT_SIZE];
    memcpy(before, err->text, sizeof before);
    va_list arguments;
    va_start(arguments, format);
    format_text(err->text, format, arguments);
    va_end(arguments);
    append(err->text, ": ", before);
    return false;
}

bool error_memory(error *err) {
    return error_set(err, ERROR_MEMORY, "out of memory");
}

const char *error_code_name(error_code code) {
    size_t count = sizeof code_names / sizeof code_names[0];
    return (size_t)code < count ? code_names[code] : "unknown";
}
