#include "fake.h"

#include "codec/json_writer.h"
#include "os/clock.h"

#include <stdio.h>

enum { LINE_LIMIT = 4096 };

static void print(buffer *line) {
    buffer_append_byte(line, '\n');
    if (!buffer_failed(line)) {
        fwrite(buffer_slice(line).data, 1, buffer_length(line), stdout);
        fflush(stdout);
    }
    buffer_free(line);
}

static json_writer begin(buffer *line, const char *event) {
    json_writer w = json_writer_make(line);
    json_write_object_begin(&w);
    json_add_text(&w, "event", slice_of_text(event));
    json_add_u64(&w, "at_ms", clock_unix_ms());
    return w;
}

void fake_report(const fake_session *s, const char *event, const uint8_t id[PROTO_ID_SIZE], const char *name,
                 uint64_t number, slice text) {
    char hex[2 * PROTO_ID_SIZE + 1];
    if (s->owner->options.quiet) {
        return;
    }
    buffer line = buffer_make(LINE_LIMIT);
    json_writer w = begin(&line, event);
    json_add_u64(&w, "session", s->number);
    hex_encode(slice_of(s->identity->worker_id, PROTO_ID_SIZE), hex);
    json_add_text(&w, "worker", slice_of_text(hex));
    if (id != NULL) {
        hex_encode(slice_of(id, PROTO_ID_SIZE), hex);
        json_add_text(&w, "id", slice_of_text(hex));
    }
    if (name != NULL) {
        json_add_u64(&w, name, number);
    }
    if (text.length > 0) {
        json_add_text(&w, "text", text);
    }
    json_write_object_end(&w);
    print(&line);
}

void fake_report_all(const fake *f, const char *event) {
    buffer line = buffer_make(LINE_LIMIT);
    json_writer w = begin(&line, event);
    json_add_u64(&w, "sessions", f->serving);
    json_add_u64(&w, "jobs_done", f->jobs_done);
    json_add_u64(&w, "ms", ev_now_ms(f->loop) - f->since_ms);
    json_write_object_end(&w);
    print(&line);
}
