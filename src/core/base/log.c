#include "base/log.h"

#include "base/buffer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_LIMIT = 8192, QUEUE_LIMIT = 1024 * 1024, STOP_SECONDS = 2 };

static const char *const level_names[] = {"debug", "info", "warning", "error"};

static struct {
    atomic_int least;
    atomic_bool json;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    pthread_t thread;
    bool running;
    bool stopping;
    bool drained;
    uint64_t dropped;
    buffer queue;
} journal = {.least = LOG_INFO,
             .lock = PTHREAD_MUTEX_INITIALIZER,
             .changed = PTHREAD_COND_INITIALIZER,
             .queue = {.limit = QUEUE_LIMIT}};

void log_configure(log_level least, bool json) {
    atomic_store(&journal.least, (int)least);
    atomic_store(&journal.json, json);
}

bool log_level_parse(const char *name, log_level *level) {
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (log_level)i;
            return true;
        }
    }
    return false;
}

/* Quoted when it must be, always in JSON. Control bytes, quotes and invalid UTF-8 can't forge a line or a
 * field. */
static void append_quoted(buffer *line, slice text, bool always) {
    bool plain = text.length > 0 && !always;
    for (size_t i = 0; plain && i < text.length; i++) {
        uint8_t c = text.data[i];
        plain = c > ' ' && c < 0x7F && c != '"' && c != '\\' && c != '=';
    }
    if (plain) {
        buffer_append(line, text);
        return;
    }
    bool utf8 = slice_is_utf8(text);
    buffer_append_byte(line, '"');
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            buffer_append_byte(line, '\\');
            buffer_append_byte(line, c);
        } else if (c < ' ' || c == 0x7F || (c >= 0x80 && !utf8)) {
            buffer_append_format(line, "\\u%04x", c);
        } else {
            buffer_append_byte(line, c);
        }
    }
    buffer_append_byte(line, '"');
}

static void append_pair(buffer *line, const log_field *field, bool json) {
    buffer_append_format(line, json ? ",\"%s\":" : " %s=", field->key);
    if (field->kind == LOG_FIELD_U64) {
        buffer_append_format(line, "%llu", (unsigned long long)field->number);
    } else {
        append_quoted(line, field->text, json);
    }
}

static void append_time(buffer *line) {
    struct timespec now;
    struct tm parts;
    char text[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    buffer_append_format(line, "%s.%03ldZ", text, now.tv_nsec / 1000000);
}

static void build_line(buffer *line, log_level level, const log_field *fields, size_t count) {
    bool json = atomic_load(&journal.json);
    buffer_append_text(line, json ? "{\"time\":\"" : "time=");
    append_time(line);
    buffer_append_format(line, json ? "\",\"level\":\"%s\"" : " level=%s", level_names[level]);
    for (size_t i = 0; i < count; i++) {
        append_pair(line, &fields[i], json);
    }
    buffer_append_text(line, json ? "}\n" : "\n");
}

static void write_all(slice bytes) {
    while (bytes.length > 0) {
        ssize_t written = write(STDERR_FILENO, bytes.data, bytes.length);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return; /* nobody can be told */
        }
        bytes = slice_after(bytes, (size_t)written);
    }
}

void log_write(log_level level, const log_field *fields, size_t count) {
    if ((int)level < atomic_load(&journal.least)) {
        return;
    }
    buffer line = buffer_make(LINE_LIMIT);
    build_line(&line, level, fields, count);
    pthread_mutex_lock(&journal.lock);
    if (buffer_failed(&line)) {
        journal.dropped++;
    } else if (!journal.running) {
        write_all(buffer_slice(&line));
    } else if (buffer_length(&journal.queue) + buffer_length(&line) > QUEUE_LIMIT ||
               !buffer_append(&journal.queue, buffer_slice(&line))) {
        journal.queue.failed = false;
        journal.dropped++;
    } else {
        pthread_cond_signal(&journal.changed);
    }
    pthread_mutex_unlock(&journal.lock);
    buffer_free(&line);
}

static void report_dropped(uint64_t dropped) {
    buffer line = buffer_make(LINE_LIMIT);
    build_line(&line, LOG_WARNING,
               (const log_field[]){LOG_TEXT("event", "log lines dropped"), LOG_U64("count", dropped)}, 2);
    write_all(buffer_slice(&line));
    buffer_free(&line);
}

static void *write_lines(void *unused) {
    (void)unused;
    pthread_mutex_lock(&journal.lock);
    while (true) {
        while (buffer_length(&journal.queue) == 0 && journal.dropped == 0 && !journal.stopping) {
            pthread_cond_wait(&journal.changed, &journal.lock);
        }
        if (buffer_length(&journal.queue) == 0 && journal.dropped == 0) {
            break;
        }
        buffer taken = journal.queue;
        uint64_t dropped = journal.dropped;
        journal.queue = buffer_make(QUEUE_LIMIT);
        journal.dropped = 0;
        pthread_mutex_unlock(&journal.lock);
        write_all(buffer_slice(&taken));
        buffer_free(&taken);
        if (dropped > 0) {
            report_dropped(dropped);
        }
        pthread_mutex_lock(&journal.lock);
    }
    journal.drained = true;
    pthread_cond_broadcast(&journal.changed);
    pthread_mutex_unlock(&journal.lock);
    return NULL;
}

bool log_start(error *err) {
    pthread_mutex_lock(&journal.lock);
    journal.stopping = false;
    journal.drained = false;
    int failure = journal.running ? 0 : pthread_create(&journal.thread, NULL, write_lines, NULL);
    journal.running = failure == 0;
    pthread_mutex_unlock(&journal.lock);
    return failure == 0 || error_set_errno(err, ERROR_IO, failure, "starting the log thread");
}

void log_stop(void) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += STOP_SECONDS;
    pthread_mutex_lock(&journal.lock);
    bool was_running = journal.running;
    journal.running = false;
    journal.stopping = true;
    pthread_cond_broadcast(&journal.changed);
    int waited = 0;
    while (was_running && !journal.drained && waited == 0) {
        waited = pthread_cond_timedwait(&journal.changed, &journal.lock, &until);
    }
    bool drained = journal.drained;
    pthread_mutex_unlock(&journal.lock);
    if (was_running && drained) {
        pthread_join(journal.thread, NULL);
    } else if (was_running) {
        pthread_detach(journal.thread);
    }
}
