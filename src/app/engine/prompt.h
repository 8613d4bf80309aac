#ifndef APP_ENGINE_PROMPT_H
#define APP_ENGINE_PROMPT_H

#include "app_model/tool.h"

/* What `cellule engine run` does: one answer, or a conversation where standard input is a terminal. */
enum { PROMPT_CANCELLED = 130 /* the exit code after Ctrl-C, as a shell would give it */ };

typedef struct prompt_settings {
    const char *prompt; /* NULL: standard input */
    const char *system; /* or NULL */
    engine_parameters parameters;
    uint64_t seed;
    bool raw;
    bool json;
    bool cancelled; /* set: Ctrl-C ended the only answer */
} prompt_settings;

/* Answers go to standard output, words about them to standard error. In the sandbox from before the model is
 * loaded on. */
MUST_CHECK bool prompt_run(prompt_settings *s, const load_options *loading, error *err);

#endif
