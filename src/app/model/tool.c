#include "app_model/tool.h"

#include "crypto/start.h"
#include "os/clock.h"
#include "os/sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 2 };

double tool_seconds_since(uint64_t then) {
    return (double)(clock_monotonic_ns() - then) / 1e9;
}

static bool show_progress(void *context, uint32_t percent, error *err) {
    tool *t = context;
    (void)err;
    if (t->shows_progress && tool_seconds_since(t->started) > PATIENCE_SECONDS) {
        t->progress_shown = true;
        fprintf(stderr, "\rloading %3u %%", percent);
    }
    return true;
}

/* The threads that compute leave signals to the main one. */
static bool begin(tool *t, const load_options *options, error *err) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    bool good = load_begin(&t->load, options, err);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return good;
}

bool tool_open(tool *t, const load_options *options, error *err) {
    *t = (tool){.started = clock_monotonic_ns(), .shows_progress = isatty(STDERR_FILENO) == 1};
    if (!crypto_start(err) || !begin(t, options, err)) {
        return false;
    }
    t->load.progress = show_progress;
    t->load.context = t;
    if (sandbox_enter(err)) {
        t->model = load_model(&t->load, err);
    }
    if (t->progress_shown) {
        fputs("\r\033[K", stderr);
    }
    t->load_seconds = tool_seconds_since(t->started);
    if (t->model == NULL) {
        load_end(&t->load);
    }
    return t->model != NULL;
}

void tool_close(tool *t) {
    engine_close(t->model);
    load_end(&t->load);
}

bool tool_step(engine_model *model, engine_output *outputs, size_t *count, error *err) {
    if (!engine_step(model, outputs, count, err)) {
        return false;
    }
    for (size_t i = 0; i < *count; i++) {
        if (outputs[i].finish == ENGINE_FAILED) {
            *err = *outputs[i].failure;
            return false;
        }
    }
    return true;
}

bool tool_written(error *err) {
    return (fflush(stdout) == 0 && ferror(stdout) == 0) ||
           error_set(err, ERROR_IO, "standard output can't be written");
}

bool tool_print(const buffer *out, error *err) {
    if (buffer_failed(out)) {
        return error_memory(err);
    }
    slice text = buffer_slice(out);
    fwrite(text.data, 1, text.length, stdout);
    return tool_written(err);
}

void tool_exit(int status) {
    fflush(NULL);
    _exit(status);
}
