#include "engine_process.h"

#include "base/log.h"
#include "base/memory.h"
#include "ev/process.h"

#include <signal.h>
#include <stdio.h>

enum {
    PINGS_UNANSWERED = 4, /* that fit into hung_ms */
    FIRST_PAUSE_MS = 500, /* before it is started again; doubles up to the longest */
    LONGEST_PAUSE_MS = 30000,
    MESSAGE_MEMORY = 8 * 1024 * 1024,
    OPTIONS_MAX = 4,
    ARGUMENTS_MAX = 4 + 2 * OPTIONS_MAX + 4
};

typedef struct engine_process {
    backend base;
    ev_loop *loop;
    engine_process_options options;
    const backend_handlers *handlers;
    void *context;
    ev_process *child;
    buffer input;
    arena *memory;
    ev_timer ping_timer;
    ev_timer start_timer;
    uint64_t heard_ms;
    uint32_t pause_ms;
    bool ready;
} engine_process;

static void start_child(void *context);

static bool engine_process_send(backend *self, const pipe_message *message) {
    engine_process *e = (engine_process *)self;
    error err = {0};
    if (e->child == NULL) {
        return false;
    }
    buffer frame = buffer_make(PIPE_FRAME_MAX + 16);
    bool sent = pipe_append(&frame, message, &err) && ev_process_write(e->child, buffer_slice(&frame));
    buffer_wipe(&frame);
    return sent;
}

static void lose(engine_process *e, const char *reason) {
    log_error("engine lost", LOG_TEXT("reason", reason), LOG_U64("restart_in_ms", e->pause_ms));
    ev_timer_stop(&e->ping_timer);
    ev_timer_start(e->loop, &e->start_timer, e->pause_ms);
    e->pause_ms = e->pause_ms * 2 < LONGEST_PAUSE_MS ? e->pause_ms * 2 : LONGEST_PAUSE_MS;
    e->ready = false;
    buffer_clear(&e->input);
    e->handlers->on_lost(e->context, reason);
}

static void on_exit(void *context, int64_t status, int signal) {
    engine_process *e = context;
    char reason[96];
    if (signal != 0) {
        snprintf(reason, sizeof reason, "the engine was ended by signal %d", signal);
    } else {
        snprintf(reason, sizeof reason, "the engine exited with status %lld", (long long)status);
    }
    ev_process_free(e->child);
    e->child = NULL;
    lose(e, reason);
}

static void handle(engine_process *e, const pipe_message *message) {
    if (message->type == PIPE_PONG) {
        return;
    }
    if (message->type == PIPE_READY) {
        e->ready = true;
        e->pause_ms = FIRST_PAUSE_MS;
    }
    e->handlers->on_message(e->context, message);
}

static void on_output(void *context, slice bytes) {
    engine_process *e = context;
    e->heard_ms = ev_now_ms(e->loop);
    if (!buffer_append(&e->input, bytes)) {
        ev_process_kill(e->child, SIGKILL);
        return;
    }
    while (true) {
        pipe_message message;
        size_t taken = 0;
        error err = {0};
        arena_reset(e->memory);
        if (!pipe_read(buffer_slice(&e->input), e->memory, &message, &taken, &err)) {
            log_error("the engine sent what it shouldn't", LOG_CAUSE(&err));
            ev_process_kill(e->child, SIGKILL);
            buffer_clear(&e->input);
            return;
        }
        if (taken == 0) {
            return;
        }
        handle(e, &message);
        buffer_consume(&e->input, taken);
    }
}

/* Whatever hangs is killed; on_exit does the rest. While a model loads its progress counts as an answer. */
static void ping(void *context) {
    engine_process *e = context;
    if (ev_now_ms(e->loop) - e->heard_ms > e->options.hung_ms) {
        log_error("the engine hangs: killing it");
        ev_process_kill(e->child, SIGKILL);
        return;
    }
    pipe_message message = {.type = PIPE_PING};
    if (e->ready && !engine_process_send(&e->base, &message)) {
        log_warning("the engine doesn't read");
    }
}

/* The child's command line: `values` holds the numbers that `arguments` points to. */
static void make_arguments(const engine_process_options *o, char values[OPTIONS_MAX][16],
                           const char *arguments[ARGUMENTS_MAX]) {
    const struct {
        const char *name;
        uint32_t value;
    } numbers[OPTIONS_MAX] = {{"--slots", o->slots},
                              {"--context", o->context},
                              {"--threads", o->threads},
                              {"--memory", o->memory_mib}};
    size_t count = 0;
    arguments[count++] = "/proc/self/exe";
    arguments[count++] = "engine";
    arguments[count++] = "--model";
    arguments[count++] = o->model;
    for (size_t i = 0; i < OPTIONS_MAX; i++) {
        if (numbers[i].value > 0) {
            snprintf(values[i], sizeof values[i], "%u", numbers[i].value);
            arguments[count++] = numbers[i].name;
            arguments[count++] = values[i];
        }
    }
    if (o->kernels != NULL) {
        arguments[count++] = "--kernels";
        arguments[count++] = o->kernels;
    }
    if (o->cache) {
        arguments[count++] = "--cache";
    }
    arguments[count] = NULL;
}

static void start_child(void *context) {
    static const ev_process_handlers handlers = {.on_output = on_output, .on_exit = on_exit};
    engine_process *e = context;
    char values[OPTIONS_MAX][16];
    const char *arguments[ARGUMENTS_MAX];
    error err = {0};
    make_arguments(&e->options, values, arguments);
    e->heard_ms = ev_now_ms(e->loop);
    e->child = ev_process_start(
        e->loop, &(ev_process_options){.arguments = arguments, .input_limit = 2 * PIPE_FRAME_MAX}, &handlers,
        e, &err);
    if (e->child == NULL) {
        lose(e, err.text);
        return;
    }
    ev_timer_start_repeating(e->loop, &e->ping_timer, e->options.hung_ms / PINGS_UNANSWERED);
}

static void engine_process_free(backend *self) {
    engine_process *e = (engine_process *)self;
    ev_timer_stop(&e->ping_timer);
    ev_timer_stop(&e->start_timer);
    ev_process_free(e->child);
    buffer_free(&e->input);
    arena_free(e->memory);
    memory_free(e);
}

backend *engine_process_new(ev_loop *loop, const engine_process_options *options,
                            const backend_handlers *handlers, void *context, error *err) {
    engine_process *e = memory_allocate_zeroed(1, sizeof *e);
    arena *memory = arena_new(MESSAGE_MEMORY);
    if (e == NULL || memory == NULL) {
        memory_free(e);
        arena_free(memory);
        error_memory(err);
        return NULL;
    }
    *e = (engine_process){.base = {.send = engine_process_send, .free = engine_process_free},
                          .loop = loop,
                          .options = *options,
                          .handlers = handlers,
                          .context = context,
                          .input = buffer_make(2 * PIPE_FRAME_MAX),
                          .memory = memory,
                          .pause_ms = FIRST_PAUSE_MS};
    ev_timer_init(&e->ping_timer, ping, e);
    ev_timer_init(&e->start_timer, start_child, e);
    ev_timer_start(loop, &e->start_timer, 0);
    return &e->base;
}
