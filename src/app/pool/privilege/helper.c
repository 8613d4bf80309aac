#include "privilege/helper.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A message: one byte that says what (of an answer: its error_code), the length in four, big-endian. */
enum { HEAD_SIZE = 5, PREPARED = 0 };

struct helper {
    pthread_mutex_t lock; /* of one question and its answer */
    pid_t process;
    int socket;
    bool broken;
};

static bool wait_for(int socket, short events, uint64_t until_ms) {
    struct pollfd one = {.fd = socket, .events = events};
    int ready = 0;
    do {
        uint64_t now = clock_monotonic_ms();
        int wait = until_ms == UINT64_MAX ? -1 : now >= until_ms ? 0 : (int)(until_ms - now);
        ready = poll(&one, 1, wait);
    } while (ready < 0 && errno == EINTR);
    errno = ready == 0 ? ETIMEDOUT : errno;
    return ready > 0;
}

static bool put(int socket, slice bytes, uint64_t until_ms) {
    while (bytes.length > 0) {
        ssize_t sent = send(socket, bytes.data, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            bytes = slice_after(bytes, (size_t)sent);
        } else if (sent == 0 || (errno == EAGAIN && !wait_for(socket, POLLOUT, until_ms)) ||
                   (errno != EAGAIN && errno != EINTR)) {
            return false;
        }
    }
    return true;
}

static bool get(int socket, uint8_t *bytes, size_t length, uint64_t until_ms) {
    while (length > 0) {
        ssize_t got = wait_for(socket, POLLIN, until_ms) ? read(socket, bytes, length) : -1;
        if (got > 0) {
            bytes += got;
            length -= (size_t)got;
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            errno = got == 0 ? EPIPE : errno;
            return false;
        }
    }
    return true;
}

static bool put_message(int socket, uint8_t what, slice bytes, uint64_t until_ms) {
    const uint8_t head[HEAD_SIZE] = {what, (uint8_t)(bytes.length >> 24), (uint8_t)(bytes.length >> 16),
                                     (uint8_t)(bytes.length >> 8), (uint8_t)bytes.length};
    return put(socket, slice_of(head, sizeof head), until_ms) && put(socket, bytes, until_ms);
}

/* Appends to `bytes`. */
static bool get_message(int socket, uint8_t *what, buffer *bytes, uint64_t until_ms) {
    uint8_t head[HEAD_SIZE];
    if (!get(socket, head, sizeof head, until_ms)) {
        return false;
    }
    size_t length = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
    uint8_t *room = length > HELPER_MESSAGE_MAX ? NULL : buffer_reserve(bytes, length);
    if (length > 0 && room == NULL) {
        errno = EMSGSIZE;
        return false;
    }
    if (length > 0 && !get(socket, room, length, until_ms)) {
        return false;
    }
    buffer_commit(bytes, length);
    *what = head[0];
    return true;
}

/* --- in the helper --- */

/* What failed without a word has failed all the same. */
static bool reply(int socket, bool done, const buffer *answer, const error *err) {
    error_code code = err->code == ERROR_NONE ? ERROR_INTERNAL : err->code;
    return done ? put_message(socket, ERROR_NONE, buffer_slice(answer), UINT64_MAX)
                : put_message(socket, (uint8_t)code, slice_of_text(err->text), UINT64_MAX);
}

static bool answer_one(const helper_task *task, void *context, int socket) {
    uint8_t what = 0;
    error err = {0};
    buffer question = buffer_make(HELPER_MESSAGE_MAX);
    buffer answer = buffer_make(HELPER_MESSAGE_MAX);
    bool asked = get_message(socket, &what, &question, UINT64_MAX);
    bool replied = asked && reply(socket,
                                  task->answer(context, what, buffer_slice(&question), &answer, &err) &&
                                      (!buffer_failed(&answer) || error_memory(&err)),
                                  &answer, &err);
    buffer_wipe(&question);
    buffer_wipe(&answer);
    return replied;
}

/* Another helper's socket, held here, would keep that one from seeing the pool's end. */
static void keep_only(int socket) {
    (void)close_range(STDERR_FILENO + 1, (unsigned)socket - 1, 0);
    (void)close_range((unsigned)socket + 1, UINT_MAX, 0);
}

/* The pool's signals are the pool's: from a terminal they come to all. The end of the pool is the end of the
 * socket; if it is killed its helpers are too, before anybody sees it gone: one that wrote on would write
 * beside the next pool. */
static _Noreturn void run(const helper_task *task, void *context, pid_t pool, int socket) {
    error err = {0};
    buffer first = buffer_make(HELPER_MESSAGE_MAX);
    static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++) {
        (void)signal(ignored[i], SIG_IGN);
    }
    (void)prctl(PR_SET_NAME, task->name, 0, 0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != pool) {
        _exit(1);
    }
    bool prepared = task->prepare(context, &first, &err) && (!buffer_failed(&first) || error_memory(&err));
    bool good = reply(socket, prepared, &first, &err) && prepared;
    buffer_wipe(&first);
    while (good) {
        good = answer_one(task, context, socket);
    }
    _exit(0); /* not by way of exit handlers, which may want rights that are gone */
}

/* --- in the pool --- */

static bool take_answer(helper *h, buffer *answer, error *err) {
    uint8_t code = 0;
    buffer bytes = buffer_make(HELPER_MESSAGE_MAX);
    if (!get_message(h->socket, &code, &bytes, clock_monotonic_ms() + HELPER_TIMEOUT_MS)) {
        h->broken = true;
        buffer_wipe(&bytes);
        return error_set_errno(err, errno == ETIMEDOUT ? ERROR_TIMEOUT : ERROR_IO, errno,
                               "a helper process of the pool doesn't answer");
    }
    bool done = code == ERROR_NONE;
    if (done) {
        done = buffer_length(&bytes) == 0 || buffer_append(answer, buffer_slice(&bytes)) || error_memory(err);
    } else {
        error_set(err, (error_code)code, "%.*s", SLICE_FORMAT(buffer_slice(&bytes)));
    }
    buffer_wipe(&bytes);
    return done;
}

bool helper_ask(helper *h, uint8_t what, slice question, buffer *answer, error *err) {
    if (question.length > HELPER_MESSAGE_MAX) {
        return error_set(err, ERROR_LIMIT, "more than a helper process takes");
    }
    pthread_mutex_lock(&h->lock);
    bool asked =
        !h->broken && put_message(h->socket, what, question, clock_monotonic_ms() + HELPER_TIMEOUT_MS);
    if (!asked) {
        h->broken = true;
        error_set(err, ERROR_IO, "a helper process of the pool has ended; start the pool again");
    }
    bool done = asked && take_answer(h, answer, err);
    pthread_mutex_unlock(&h->lock);
    return done;
}

bool helper_is_broken(helper *h) {
    pthread_mutex_lock(&h->lock);
    bool broken = h->broken;
    pthread_mutex_unlock(&h->lock);
    return broken;
}

int helper_descriptor(const helper *h) {
    return h->socket;
}

void helper_stop(helper *h) {
    if (h == NULL) {
        return;
    }
    if (h->socket >= 0) {
        (void)shutdown(h->socket, SHUT_RDWR);
        close(h->socket);
    }
    while (h->process > 0 && waitpid(h->process, NULL, 0) < 0 && errno == EINTR) {
    }
    pthread_mutex_destroy(&h->lock);
    memory_free(h);
}

helper *helper_start(const helper_task *task, void *context, buffer *first, error *err) {
    int pair[2];
    helper *h = memory_allocate_zeroed(1, sizeof *h);
    if (h == NULL) {
        error_memory(err);
        return NULL;
    }
    pthread_mutex_init(&h->lock, NULL);
    h->socket = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        error_set_errno(err, ERROR_IO, errno, "starting a helper process");
        helper_stop(h);
        return NULL;
    }
    (void)fflush(NULL);
    pid_t pool = getpid();
    h->process = fork();
    if (h->process == 0) {
        keep_only(pair[1]);
        run(task, context, pool, pair[1]);
    }
    int cause = errno;
    close(pair[1]);
    h->socket = pair[0];
    if (h->process < 0 ? !error_set_errno(err, ERROR_IO, cause, "starting a helper process")
                       : !take_answer(h, first, err)) {
        helper_stop(h);
        return NULL;
    }
    return h;
}
