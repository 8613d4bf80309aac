#include "ev_internal.h"

#include "base/memory.h"

struct ev_watch {
    uv_poll_t poll;
    void (*run)(void *argument, unsigned events);
    void *argument;
    unsigned events;
};

static void on_ready(uv_poll_t *poll, int status, int ready) {
    ev_watch *watch = poll->data;
    unsigned events = status < 0 ? (unsigned)EV_ERROR : 0U;
    events |= (ready & UV_READABLE) != 0 ? (unsigned)EV_READABLE : 0U;
    events |= (ready & UV_WRITABLE) != 0 ? (unsigned)EV_WRITABLE : 0U;
    events |= (ready & UV_DISCONNECT) != 0 ? (unsigned)EV_HANGUP : 0U;
    if (status < 0) {
        watch->events = 0;
    }
    watch->run(watch->argument, events);
}

ev_watch *ev_watch_new(ev_loop *loop, int descriptor, void (*run)(void *argument, unsigned events),
                       void *argument, error *err) {
    if (descriptor >= loop->descriptor_limit) {
        error_set(err, ERROR_LIMIT, "too many open files for the event loop");
        return NULL;
    }
    ev_watch *watch = memory_allocate(sizeof *watch);
    if (watch == NULL) {
        error_memory(err);
        return NULL;
    }
    *watch = (ev_watch){.run = run, .argument = argument};
    int code = uv_poll_init(&loop->uv, &watch->poll, descriptor);
    if (code != 0) {
        memory_free(watch);
        ev_error(err, code, "cannot watch a descriptor");
        return NULL;
    }
    watch->poll.data = watch;
    return watch;
}

void ev_watch_set(ev_watch *watch, unsigned events) {
    if (events == watch->events) {
        return;
    }
    watch->events = events;
    int wanted = 0;
    wanted |= (events & EV_READABLE) != 0 ? UV_READABLE : 0;
    wanted |= (events & EV_WRITABLE) != 0 ? UV_WRITABLE : 0;
    wanted |= (events & EV_HANGUP) != 0 ? UV_DISCONNECT : 0;
    if (wanted == 0) {
        (void)uv_poll_stop(&watch->poll);
    } else {
        (void)uv_poll_start(&watch->poll, wanted, on_ready);
    }
}

static void on_closed(uv_handle_t *handle) {
    memory_free(handle->data);
}

void ev_watch_free(ev_watch *watch) {
    if (watch != NULL) {
        uv_close((uv_handle_t *)&watch->poll, on_closed);
    }
}
