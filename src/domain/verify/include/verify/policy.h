#ifndef VERIFY_POLICY_H
#define VERIFY_POLICY_H

#include "base/error.h"
#include "base/slice.h"

/* How strictly an answer is checked, each mode stricter than the one before. */
#define VERIFY_MODES(X)                                                                                      \
    X(VERIFY_OFF, "off")           /* not at all */                                                          \
    X(VERIFY_SPOT, "spot")         /* some answers, drawn after they were committed to */                    \
    X(VERIFY_EVERY, "every")       /* every answer, after it was given out */                                \
    X(VERIFY_PROVED, "proved")     /* every answer, and nothing goes out before its check agreed */          \
    X(VERIFY_REQUIRED, "required") /* two workers at once; only what both say goes out */

typedef enum verify_mode {
#define X(mode, name) mode,
    VERIFY_MODES(X)
#undef X
} verify_mode;

/* "spot"; static text. */
const char *verify_mode_name(verify_mode mode);
/* Exactly one of the names; else false and `mode` is the strictest, so that a caller who goes on is safe. */
MUST_CHECK bool verify_mode_parse(slice text, verify_mode *mode);
/* What applies when several say something: site, model, tier, key, header. VERIFY_OFF for none. */
verify_mode verify_strictest(const verify_mode *modes, size_t count);

#endif
