#include "ev/process.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "ev_internal.h"

#include <signal.h>

enum { OUTPUT_SIZE = 65536, INPUT_LIMIT = 1024 * 1024, OUTPUT_GRACE_MS = 1000 };

struct ev_process {
    uv_process_t child;
    uv_pipe_t input;  /* what it reads */
    uv_pipe_t output; /* what it writes */
    uv_write_t write;
    uv_shutdown_t shutdown;
    ev_loop *loop;
    ev_process_handlers handlers;
    void *context;
    buffer queue;   /* waits for `flying` */
    buffer flying;  /* in the write that is under way */
    ev_timer grace; /* for output after the end: something else may hold the pipe */
    int64_t status;
    int signal;
    int open_handles;
    bool exited;
    bool output_ended;
    bool input_closing;
    bool input_broken;
    bool freed;
    uint8_t bytes[OUTPUT_SIZE];
};

static void close_one(uv_handle_t *handle);

static void finish(ev_process *process) {
    if (!process->exited || !process->output_ended || process->freed) {
        return;
    }
    ev_timer_stop(&process->grace);
    void (*on_exit)(void *, int64_t, int) = process->handlers.on_exit;
    process->handlers.on_exit = NULL;
    if (on_exit != NULL) {
        on_exit(process->context, process->status, process->signal);
    }
}

static void on_exit_of_child(uv_process_t *child, int64_t status, int signal) {
    ev_process *process = child->data;
    process->exited = true;
    process->status = status;
    process->signal = signal;
    process->loop->processes--;
    if (process->freed) {
        uv_close((uv_handle_t *)child, close_one);
        return;
    }
    ev_timer_start(process->loop, &process->grace, OUTPUT_GRACE_MS);
    finish(process);
}

static void on_grace_over(void *argument) {
    ev_process *process = argument;
    process->output_ended = true;
    (void)uv_read_stop((uv_stream_t *)&process->output);
    finish(process);
}

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *room) {
    (void)suggested;
    ev_process *process = handle->data;
    *room = uv_buf_init((char *)process->bytes, sizeof process->bytes);
}

static void on_read(uv_stream_t *stream, ssize_t length, const uv_buf_t *room) {
    ev_process *process = stream->data;
    if (process->freed || length == 0) {
        return;
    }
    if (length > 0) {
        process->handlers.on_output(process->context, slice_of(room->base, (size_t)length));
        return;
    }
    (void)uv_read_stop(stream);
    process->output_ended = true;
    finish(process);
}

static void write_queue(ev_process *process);

static void on_written(uv_write_t *write, int code) {
    ev_process *process = write->data;
    buffer_free(&process->flying);
    if (process->freed) {
        return;
    }
    if (code != 0) {
        process->input_broken = true;
        buffer_free(&process->queue);
        return;
    }
    if (buffer_length(&process->queue) > 0) {
        write_queue(process);
    } else if (process->handlers.on_drained != NULL && !process->input_closing) {
        process->handlers.on_drained(process->context);
    }
}

static void write_queue(ev_process *process) {
    process->flying = process->queue;
    process->queue = buffer_make(process->queue.limit);
    slice bytes = buffer_slice(&process->flying);
    uv_buf_t part = uv_buf_init((char *)(uintptr_t)bytes.data, (unsigned)bytes.length);
    process->write.data = process;
    int code = uv_write(&process->write, (uv_stream_t *)&process->input, &part, 1, on_written);
    if (code != 0) {
        process->input_broken = true;
        buffer_free(&process->flying);
    }
}

size_t ev_process_pending(const ev_process *process) {
    return buffer_length(&process->queue) + buffer_length(&process->flying);
}

bool ev_process_write(ev_process *process, slice bytes) {
    if (process->input_broken || process->input_closing ||
        bytes.length > process->queue.limit - ev_process_pending(process)) {
        return false;
    }
    if (bytes.length == 0) {
        return true;
    }
    if (!buffer_append(&process->queue, bytes)) {
        process->queue.failed = false; /* nothing was added: the next one may do */
        return false;
    }
    if (buffer_length(&process->flying) == 0) {
        write_queue(process);
    }
    return !process->input_broken;
}

static void on_shutdown(uv_shutdown_t *request, int code) {
    (void)code;
    ev_process *process = request->data;
    if (!process->freed && !uv_is_closing((uv_handle_t *)&process->input)) {
        uv_close((uv_handle_t *)&process->input, close_one);
    }
}

void ev_process_close_input(ev_process *process) {
    if (process->input_closing) {
        return;
    }
    process->input_closing = true;
    process->shutdown.data = process;
    if (uv_shutdown(&process->shutdown, (uv_stream_t *)&process->input, on_shutdown) != 0 &&
        !uv_is_closing((uv_handle_t *)&process->input)) {
        uv_close((uv_handle_t *)&process->input, close_one);
    }
}

void ev_process_kill(ev_process *process, int signal) {
    if (!process->exited) {
        (void)uv_process_kill(&process->child, signal);
    }
}

int ev_process_id(const ev_process *process) {
    return process->child.pid;
}

static void close_one(uv_handle_t *handle) {
    ev_process *process = handle->data;
    process->open_handles--;
    if (process->open_handles == 0 && process->freed) {
        buffer_free(&process->queue);
        buffer_free(&process->flying);
        memory_free(process);
    }
}

static void close_if_open(uv_handle_t *handle) {
    if (!uv_is_closing(handle)) {
        uv_close(handle, close_one);
    }
}

void ev_process_free(ev_process *process) {
    if (process == NULL || process->freed) {
        return;
    }
    process->freed = true;
    ev_timer_stop(&process->grace);
    close_if_open((uv_handle_t *)&process->input);
    close_if_open((uv_handle_t *)&process->output);
    if (uv_is_active((uv_handle_t *)&process->child)) {
        ev_process_kill(process, SIGKILL); /* the handle is closed once the child has been reaped */
    } else {
        uv_close((uv_handle_t *)&process->child, close_one);
    }
}

static int spawn(ev_process *process, const ev_process_options *options) {
    static char *const nothing[] = {NULL};
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&process->input},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&process->output},
        {.flags = UV_INHERIT_FD, .data.fd = 2},
    };
    uv_process_options_t how = {
        .exit_cb = on_exit_of_child,
        .file = options->arguments[0],
        .args = (char **)(uintptr_t)options->arguments,
        .env = (char **)(uintptr_t)(options->environment == NULL ? (const char *const *)nothing
                                                                 : options->environment),
        .stdio_count = 3,
        .stdio = stdio,
    };
    int code = uv_spawn(&process->loop->uv, &process->child, &how);
    process->loop->processes += uv_is_active((uv_handle_t *)&process->child) ? 1U : 0U;
    if (code == 0) {
        code = uv_read_start((uv_stream_t *)&process->output, give_room, on_read);
    }
    return code;
}

ev_process *ev_process_start(ev_loop *loop, const ev_process_options *options,
                             const ev_process_handlers *handlers, void *context, error *err) {
    ev_process *process = memory_allocate_zeroed(1, sizeof *process);
    if (process == NULL) {
        error_memory(err);
        return NULL;
    }
    process->loop = loop;
    process->handlers = *handlers;
    process->context = context;
    process->queue = buffer_make(options->input_limit == 0 ? INPUT_LIMIT : options->input_limit);
    process->flying = buffer_make(process->queue.limit);
    ev_timer_init(&process->grace, on_grace_over, process);
    (void)uv_pipe_init(&loop->uv, &process->input, 0);
    (void)uv_pipe_init(&loop->uv, &process->output, 0);
    process->input.data = process;
    process->output.data = process;
    process->child.data = process;
    process->open_handles = 3;
    int code = spawn(process, options);
    if (code != 0) {
        ev_process_free(process);
        error_set(err, code == UV_ENOMEM ? ERROR_MEMORY : ERROR_IO, "cannot start %s: %s",
                  options->arguments[0], uv_strerror(code));
        return NULL;
    }
    return process;
}
