#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

/* The compiler refuses a call whose result is dropped. Every function that can fail carries it. */
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(format_index, first_argument)                                                            \
    __attribute__((format(printf, format_index, first_argument)))

/* Code, name for scripts and logs. */
#define ERROR_CODES(X)                                                                                       \
    X(ERROR_NONE, "none")                                                                                    \
    X(ERROR_INVALID, "invalid")         /* the caller's or the peer's input is wrong */                      \
    X(ERROR_LIMIT, "limit")             /* a bound was reached: size, depth, queue, rate */                  \
    X(ERROR_MEMORY, "memory")           /* an allocation failed */                                           \
    X(ERROR_IO, "io")                   /* the system, the disk or the network refused */                    \
    X(ERROR_DENIED, "denied")           /* not authenticated or not allowed */                               \
    X(ERROR_NOT_FOUND, "not_found")     /* the thing named does not exist */                                 \
    X(ERROR_CONFLICT, "conflict")       /* exists already, or the state does not allow it */                 \
    X(ERROR_TIMEOUT, "timeout")         /* a deadline passed */                                              \
    X(ERROR_CORRUPT, "corrupt")         /* stored or signed data does not hold together */                   \
    X(ERROR_UNSUPPORTED, "unsupported") /* valid, but not something this build does */                       \
    X(ERROR_INTERNAL, "internal")       /* a promise inside the program was broken */

typedef enum error_code {
#define X(code, name) code,
    ERROR_CODES(X)
#undef X
} error_code;

enum { ERROR_TEXT_SIZE = 480 };

/* An error lives on the stack of whoever wants to report it; nothing is allocated. A function that can fail
 * takes `error *err` last, never NULL, and returns false or NULL after filling it. */
typedef struct error {
    error_code code;
    char text[ERROR_TEXT_SIZE]; /* one sentence, cut at a UTF-8 border if too long */
} error;

/* Sets code and text. Always returns false, so that `return error_set(...)` reads as the failure it is. */
bool error_set(error *err, error_code code, const char *format, ...) PRINTF_LIKE(3, 4);

/* As error_set, with ": " and the text of `errno_value` appended. */
bool error_set_errno(error *err, error_code code, int errno_value, const char *format, ...) PRINTF_LIKE(4, 5);

/* Puts "context: " before the text that is there; keeps the code. Always returns false. */
bool error_context(error *err, const char *format, ...) PRINTF_LIKE(2, 3);

/* ERROR_MEMORY with the usual words. Always returns false. */
bool error_memory(error *err);

/* "not_found" for ERROR_NOT_FOUND; static text. */
const char *error_code_name(error_code code);

#endif
