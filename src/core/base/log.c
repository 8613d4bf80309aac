#include "base/log.h"

#include "base/buffer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* A field is cut rather than its line dropped, so that nobody hides an event by sending a long name. */
enum {
    FIELD_LIMIT = 1024,
    LINE_LIMIT = 64 * 1024,
    NOTICE_LIMIT = 256,
    QUEUE_LIMIT = 1024 * 1024,
    STOP_SECONDS = 2
};

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
    buffer notice; /* the writing thread's own, made before it starts, for when memory is out */
} journal = {.least = LOG_INFO,
             .lock = PTHREAD_MUTEX_INITIALIZER,
             .changed = PTHREAD_COND_INITIALIZER,
             .queue = {.limit = QUEUE_LIMIT},
             .notice = {.limit = NOTICE_LIMIT}};

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

/* At most FIELD_LIMIT bytes, not ending inside a UTF-8 sequence. */
static slice cut(slice text) {
    if (text.length <= FIELD_LIMIT) {
        return text;
    }
    size_t end = FIELD_LIMIT;
    while (end > FIELD_LIMIT - 3 && (text.data[end] & 0xC0) == 0x80) {
        end--;
    }
    return slice_part(text, 0, end);
}

static bool is_plain(slice text) {
    bool plain = text.length > 0;
    for (size_t i = 0; plain && i < text.length; i++) {
        uint8_t c = text.data[i];
        plain = c > ' ' && c < 0x7F && c != '"' && c != '\\' && c != '=';
    }
    return plain;
}

/* One character. Controls, C1 ones too (U+0080 to U+009F, which steer terminals), come out escaped. */
static size_t append_character(buffer *line, slice text) {
    uint8_t c = text.data[0];
    size_t length = slice_utf8_length(text);
    if (c == '"' || c == '\\') {
        buffer_append_byte(line, '\\');
        buffer_append_byte(line, c);
    } else if (length == 0 || c < ' ' || c == 0x7F) {
        buffer_append_format(line, "\\u%04x", c);
        length = 1;
    } else if (length == 2 && c == 0xC2 && text.data[1] < 0xA0) {
        buffer_append_format(line, "\\u%04x", text.data[1]);
    } else {
        buffer_append(line, slice_part(text, 0, length));
    }
    return length;
}

/* Quoted when it must be, always in JSON, so that no value can forge a line or a field. */
static void append_quoted(buffer *line, slice text, bool always) {
    slice shown = cut(text);
    bool whole = shown.length == text.length;
    if (!always && whole && is_plain(text)) {
        buffer_append(line, text);
        return;
    }
    buffer_append_byte(line, '"');
    while (shown.length > 0) {
        shown = slice_after(shown, append_character(line, shown));
    }
    buffer_append_text(line, whole ? "\"" : "...\"");
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
    } else if (!buffer_append(&journal.queue, buffer_slice(&line))) {
        journal.queue.failed = false;
        journal.dropped++;
    }
    pthread_cond_signal(&journal.changed);
    pthread_mutex_unlock(&journal.lock);
    buffer_free(&line);
}

static void report_dropped(uint64_t dropped) {
    buffer_clear(&journal.notice);
    build_line(&journal.notice, LOG_WARNING,
               (const log_field[]){LOG_TEXT("event", "log lines dropped"), LOG_U64("count", dropped)}, 2);
    write_all(buffer_slice(&journal.notice));
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
    int failure = 0;
    bool memory = journal.running || buffer_reserve(&journal.notice, NOTICE_LIMIT) != NULL;
    if (memory && !journal.running) {
        journal.stopping = false;
        journal.drained = false;
        failure = pthread_create(&journal.thread, NULL, write_lines, NULL);
        journal.running = failure == 0;
    }
    if (!journal.running) {
        buffer_clear(&journal.notice);
        buffer_free(&journal.notice);
    }
    pthread_mutex_unlock(&journal.lock);
    if (!memory) {
        return error_memory(err);
    }
    return failure == 0 || error_set_errno(err, ERROR_IO, failure, "starting the log thread");
}

void log_stop(void) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += STOP_SECONDS;
    pthread_mutex_lock(&journal.lock);
    bool was_running = journal.running;
    journal.running = false;
    journal.stopping = true;
    pthread_cond_broadcast(&journal.changed);
    int waited = 0;
    while (was_running && !journal.drained && waited == 0) {
        waited = pthread_cond_clockwait(&journal.changed, &journal.lock, CLOCK_MONOTONIC, &until);
    }
    bool drained = journal.drained;
    pthread_mutex_unlock(&journal.lock);
    if (was_running && drained) {
        pthread_join(journal.thread, NULL);
        buffer_free(&journal.notice);
        buffer_free(&journal.queue);
    } else if (was_running) {
        pthread_detach(journal.thread); /* stuck in a write: it keeps what it uses */
    }
}
