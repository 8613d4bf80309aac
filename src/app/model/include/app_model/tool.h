#ifndef APP_MODEL_TOOL_H
#define APP_MODEL_TOOL_H

#include "app_model/load.h"
#include "base/buffer.h"

/* What the verbs have in common that compute a model for somebody at a terminal. */
typedef struct tool {
    load load;
    engine_model *model;
    uint64_t started; /* ns; when loading began */
    double load_seconds;
    bool shows_progress;
    bool progress_shown;
} tool;

/* Makes ready what needs rights, gives all other rights up and loads the model; a terminal is told how far
 * that is when it takes long. tool_close is due once this has succeeded. */
MUST_CHECK bool tool_open(tool *t, const load_options *options, error *err);
void tool_close(tool *t);

/* Since tool_open began; for durations `then` is what clock_monotonic_ns gave. */
double tool_seconds_since(uint64_t then);

/* One pass. `outputs` has room for ENGINE_SLOTS_MAX. A sequence's failure is this one's. */
MUST_CHECK bool tool_step(engine_model *model, engine_output *outputs, size_t *count, error *err);

/* Whether all that went to standard output has arrived there. */
MUST_CHECK bool tool_written(error *err);
/* Writes it to standard output as it is. */
MUST_CHECK bool tool_print(const buffer *out, error *err);
/* Ends the process without exit handlers, which may want rights that are gone. */
_Noreturn void tool_exit(int status);

#endif
