#include "ev_internal.h"

#include "base/memory.h"

struct ev_signal {
    uv_signal_t handle;
    void (*run)(void *argument);
    void *argument;
};

static void on_signal(uv_signal_t *handle, int number) {
    (void)number;
    ev_signal *signal = handle->data;
    signal->run(signal->argument);
}

static void on_closed(uv_handle_t *handle) {
    memory_free(handle->data);
}

ev_signal *ev_signal_new(ev_loop *loop, int number, void (*run)(void *argument), void *argument, error *err) {
    ev_signal *signal = memory_allocate(sizeof *signal);
    if (signal == NULL) {
        error_memory(err);
        return NULL;
    }
    *signal = (ev_signal){.run = run, .argument = argument};
    int code = uv_signal_init(&loop->uv, &signal->handle);
    if (code != 0) {
        memory_free(signal);
        ev_error(err, code, "cannot receive a signal");
        return NULL;
    }
    signal->handle.data = signal;
    code = uv_signal_start(&signal->handle, on_signal, number);
    if (code != 0) {
        ev_signal_free(signal);
        ev_error(err, code, "cannot receive a signal");
        return NULL;
    }
    return signal;
}

void ev_signal_free(ev_signal *signal) {
    if (signal != NULL) {
        uv_close((uv_handle_t *)&signal->handle, on_closed);
    }
}
