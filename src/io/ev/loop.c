#include "ev_internal.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    DESCRIPTOR_LIMIT = 131072,
    POST_LIMIT = 65536,
    POST_FIRST = 64,
    WORK_LIMIT = 1024,
    DEFER_ROUNDS = 4, /* before the loop looks at its descriptors again */
};

bool ev_error(error *err, int code, const char *what) {
    return error_set(err, code == UV_ENOMEM ? ERROR_MEMORY : ERROR_IO, "%s: %s", what, uv_strerror(code));
}

/* libuv enlarges only its table of descriptors with this, and aborts when it can't: asked twice. */
static void *resize_table(void *block, size_t size) {
    void *larger = memory_resize(block, size);
    return larger == NULL ? memory_resize(block, size) : larger;
}

static void use_our_memory(void) {
    (void)uv_replace_allocator(memory_allocate, resize_table, memory_allocate_zeroed, memory_free);
}

void ev_deferred_init(ev_deferred *deferred, void (*run)(void *argument), void *argument) {
    *deferred = (ev_deferred){.run = run, .argument = argument};
    list_init(&deferred->node);
}

void ev_defer(ev_loop *loop, ev_deferred *deferred) {
    if (list_is_empty(&deferred->node)) {
        list_append(&loop->deferred, &deferred->node);
    }
}

void ev_defer_cancel(ev_deferred *deferred) {
    list_remove(&deferred->node);
}

static void run_deferred(ev_loop *loop) {
    for (int round = 0; round < DEFER_ROUNDS && !list_is_empty(&loop->deferred); round++) {
        list_node last; /* what is deferred from now on comes behind it */
        list_append(&loop->deferred, &last);
        for (list_node *node = list_first(&loop->deferred); node != &last;
             node = list_first(&loop->deferred)) {
            ev_deferred *deferred = LIST_ENTRY(node, ev_deferred, node);
            list_remove(node);
            deferred->run(deferred->argument);
        }
        list_remove(&last);
    }
}

static void ignore_idle(uv_idle_t *handle) {
    (void)handle;
}

static void on_alarm(uv_timer_t *handle) {
    ev_loop *loop = handle->data;
    loop->alarm_at = UINT64_MAX;
    wheel_advance(&loop->wheel, ev_now_ms(loop));
}

static void on_check(uv_check_t *handle) {
    run_deferred(handle->data);
}

/* The last thing before the loop sleeps. */
static void on_prepare(uv_prepare_t *handle) {
    ev_loop *loop = handle->data;
    run_deferred(loop);
    uint64_t wait = wheel_next(&loop->wheel);
    uint64_t at = wait == UINT64_MAX ? UINT64_MAX : loop->wheel.now + wait;
    if (at != loop->alarm_at) {
        loop->alarm_at = at;
        uint64_t now = ev_now_ms(loop);
        if (at == UINT64_MAX) {
            (void)uv_timer_stop(&loop->alarm);
        } else {
            (void)uv_timer_start(&loop->alarm, on_alarm, at > now ? at - now : 0, 0);
        }
    }
    if (list_is_empty(&loop->deferred)) {
        (void)uv_idle_stop(&loop->idle);
    } else {
        (void)uv_idle_start(&loop->idle, ignore_idle);
    }
    memory_forget_registers();
}

bool ev_post(ev_loop *loop, void (*run)(void *argument), void *argument) {
    pthread_mutex_lock(&loop->post_lock);
    bool room = loop->post_count < loop->post_capacity;
    if (!room && loop->post_capacity < POST_LIMIT) {
        size_t capacity = loop->post_capacity == 0 ? POST_FIRST : loop->post_capacity * 2;
        post *posts = memory_resize(loop->posts, capacity * sizeof *posts);
        if (posts != NULL) {
            loop->posts = posts;
            loop->post_capacity = capacity;
            room = true;
        }
    }
    bool first = loop->post_count == 0;
    if (room) {
        loop->posts[loop->post_count++] = (post){.run = run, .argument = argument};
    }
    pthread_mutex_unlock(&loop->post_lock);
    if (room && first) {
        (void)uv_async_send(&loop->wake);
    }
    return room;
}

/* Takes the whole queue and runs it without the lock. */
static void run_posts(ev_loop *loop) {
    pthread_mutex_lock(&loop->post_lock);
    post *posts = loop->posts;
    size_t count = loop->post_count;
    size_t capacity = loop->post_capacity;
    loop->posts = NULL;
    loop->post_count = 0;
    loop->post_capacity = 0;
    pthread_mutex_unlock(&loop->post_lock);
    for (size_t i = 0; i < count; i++) {
        posts[i].run(posts[i].argument);
    }
    pthread_mutex_lock(&loop->post_lock);
    if (loop->posts == NULL) { /* the memory serves again unless somebody was faster */
        loop->posts = posts;
        loop->post_capacity = capacity;
        posts = NULL;
    }
    pthread_mutex_unlock(&loop->post_lock);
    memory_free(posts);
}

static void on_wake(uv_async_t *handle) {
    run_posts(handle->data);
}

typedef struct work {
    uv_work_t request;
    ev_loop *loop;
    void (*work)(void *argument);
    void (*done)(void *argument);
    void *argument;
} work;

static void do_work(uv_work_t *request) {
    work *w = request->data;
    w->work(w->argument);
    memory_forget_registers();
}

static void after_work(uv_work_t *request, int status) {
    (void)status; /* never cancelled */
    work *w = request->data;
    w->loop->works--;
    void (*done)(void *) = w->done;
    void *argument = w->argument;
    memory_free(w);
    done(argument);
}

bool ev_work(ev_loop *loop, void (*run)(void *argument), void (*done)(void *argument), void *argument,
             error *err) {
    if (loop->works >= WORK_LIMIT) {
        return error_set(err, ERROR_LIMIT, "too much work is waiting for a thread, try again later");
    }
    work *w = memory_allocate(sizeof *w);
    if (w == NULL) {
        return error_memory(err);
    }
    *w = (work){.loop = loop, .work = run, .done = done, .argument = argument};
    w->request.data = w;
    int code = uv_queue_work(&loop->uv, &w->request, do_work, after_work);
    if (code != 0) {
        memory_free(w);
        return ev_error(err, code, "cannot hand work to a thread");
    }
    loop->works++;
    return true;
}

static void free_handle(uv_handle_t *handle) {
    memory_free(handle);
}

/* Makes libuv's table of descriptors full size now, by watching the highest number once, so that it never has
 * to grow (and abort) while we serve. The rehearsal turns a shortage into an error. */
static bool reserve_descriptors(ev_loop *loop, error *err) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return error_set_errno(err, ERROR_IO, errno, "cannot read the limit of open files");
    }
    loop->descriptor_limit = limit.rlim_cur > DESCRIPTOR_LIMIT ? DESCRIPTOR_LIMIT : (int)limit.rlim_cur;
    void *rehearsal = memory_allocate(((size_t)loop->descriptor_limit * 2 + 4) * sizeof(void *));
    if (rehearsal == NULL) {
        return error_memory(err);
    }
    memory_free(rehearsal);
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) != 0) {
        return error_set_errno(err, ERROR_IO, errno, "cannot open a pipe");
    }
    int high = fcntl(pair[0], F_DUPFD_CLOEXEC, loop->descriptor_limit - 1);
    if (high < 0) { /* in use already: then something near it is free, or nothing is */
        high = fcntl(pair[0], F_DUPFD_CLOEXEC, loop->descriptor_limit / 2);
    }
    close(pair[0]);
    close(pair[1]);
    if (high < 0) {
        return error_set_errno(err, ERROR_IO, errno, "too few descriptors, raise the limit of open files");
    }
    loop->descriptor_limit = high + 1;
    uv_poll_t *poll = memory_allocate(sizeof *poll);
    int code = poll == NULL ? UV_ENOMEM : uv_poll_init(&loop->uv, poll, high);
    if (code == 0) {
        code = uv_poll_start(poll, UV_READABLE, NULL);
        uv_close((uv_handle_t *)poll, free_handle);
    } else {
        memory_free(poll);
    }
    close(high);
    return code == 0 || ev_error(err, code, "cannot watch a descriptor");
}

static bool start_handles(ev_loop *loop, error *err) {
    int code = uv_async_init(&loop->uv, &loop->wake, on_wake);
    if (code != 0) {
        return ev_error(err, code, "cannot start the event loop");
    }
    (void)uv_prepare_init(&loop->uv, &loop->prepare);
    (void)uv_check_init(&loop->uv, &loop->check);
    (void)uv_idle_init(&loop->uv, &loop->idle);
    (void)uv_timer_init(&loop->uv, &loop->alarm);
    loop->wake.data = loop;
    loop->prepare.data = loop;
    loop->check.data = loop;
    loop->alarm.data = loop;
    (void)uv_prepare_start(&loop->prepare, on_prepare);
    (void)uv_check_start(&loop->check, on_check);
    return true;
}

static void let_go(uv_handle_t *handle, void *unused) {
    (void)unused;
    uv_unref(handle); /* a watch that its owner forgot must not keep us here */
}

static void destroy(ev_loop *loop) {
    uv_walk(&loop->uv, let_go, NULL);
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) { /* somebody's ev_loop_stop */
    }
    (void)uv_loop_close(&loop->uv);
    pthread_mutex_destroy(&loop->post_lock);
    memory_free(loop->posts);
    memory_free(loop);
}

ev_loop *ev_loop_new(error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_our_memory);
    (void)signal(SIGPIPE, SIG_IGN);
    ev_loop *loop = memory_allocate_zeroed(1, sizeof *loop);
    if (loop == NULL) {
        error_memory(err);
        return NULL;
    }
    int code = uv_loop_init(&loop->uv);
    if (code != 0) {
        memory_free(loop);
        ev_error(err, code, "cannot make an event loop");
        return NULL;
    }
    pthread_mutex_init(&loop->post_lock, NULL);
    list_init(&loop->deferred);
    loop->alarm_at = UINT64_MAX;
    wheel_init(&loop->wheel, uv_now(&loop->uv));
    if (!reserve_descriptors(loop, err) || !start_handles(loop, err)) {
        destroy(loop);
        return NULL;
    }
    return loop;
}

void ev_loop_run(ev_loop *loop) {
    uv_update_time(&loop->uv);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void ev_loop_stop(ev_loop *loop) {
    uv_stop(&loop->uv);
}

void ev_loop_settle(ev_loop *loop) {
    while (loop->works > 0) {
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    }
}

void ev_loop_free(ev_loop *loop) {
    if (loop == NULL) {
        return;
    }
    while (loop->works > 0 || loop->processes > 0) {
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    }
    run_posts(loop);
    run_deferred(loop);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    destroy(loop);
}

uint64_t ev_now_ms(const ev_loop *loop) {
    return uv_now(&loop->uv);
}
