/* The client of the benchmarks: asks one server over TLS on some connections, each one request after the
 * other, or one stream each. After the warm-up it measures for a while: what was answered, how long that
 * took, and the processor time that the server's processes used meanwhile. Prints one JSON object. */
#include "base/memory.h"
#include "codec/http1.h"
#include "net/egress.h"
#include "net/net.h"
#include "options/options.h"
#include "os/file.h"
#include "samples.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONNECTIONS_LIMIT = 4096, FILE_LIMIT = 1024 * 1024, AGAIN_MS = 20 };

typedef struct load load;

typedef struct client {
    load *owner;
    net_stream *stream; /* NULL: to be connected */
    ev_timer timer;     /* until the next request, or the next try to connect */
    buffer input;
    http1_head head;
    http1_body body;
    bool head_done;
    bool asking;
    bool first_event_seen;
    uint64_t sent_ns;
} client;

struct load {
    const char *host, *ca, *path, *token, *body_file, *verify, *processes;
    uint64_t port, connections, warm_up_ms, measure_ms, pause_ms;
    bool streams;
    ev_loop *loop;
    net *net;
    net_tls *tls;
    buffer request;
    client *clients;
    http1_limits limits;
    ev_timer phase;
    bool measuring;
    bool broken; /* the measurement itself failed */
    uint64_t started_ns, ended_ns;
    double cpu_before, cpu_after;
    uint64_t answers, failures, events;
    samples answer_times; /* request to whole answer */
    samples event_delays; /* worker or backend to client */
    samples first_delays; /* the same, of each stream's first event */
};

/* User and system time in ticks: fields 14 and 15 of proc(5)'s stat, of which the second is a name that may
 * hold anything but ends with the last parenthesis. 0 if the process has ended. */
static double ticks_of(const char *id) {
    enum { FIRST_BEHIND_NAME = 3, USER = 14, SYSTEM = 15 };
    char path[300];
    char line[2048];
    snprintf(path, sizeof path, "/proc/%s/stat", id);
    FILE *file = fopen(path, "re");
    const char *got = file == NULL ? NULL : fgets(line, sizeof line, file);
    if (file != NULL) {
        fclose(file);
    }
    char *rest = got == NULL ? NULL : strrchr(line, ')');
    double ticks = 0;
    int field = FIRST_BEHIND_NAME;
    for (char *text = rest == NULL ? NULL : strtok_r(rest + 1, " ", &rest); text != NULL && field <= SYSTEM;
         text = strtok_r(NULL, " ", &rest), field++) {
        ticks += field >= USER ? (double)strtoul(text, NULL, 10) : 0;
    }
    return ticks;
}

/* User and system time of the processes so far, in seconds. */
static double processor_time(const load *l) {
    char list[256];
    double ticks = 0;
    char *rest = NULL;
    snprintf(list, sizeof list, "%s", l->processes);
    for (char *id = strtok_r(list, ",", &rest); id != NULL; id = strtok_r(NULL, ",", &rest)) {
        ticks += ticks_of(id);
    }
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

static void note(load *l, samples *all, uint64_t from_ns, uint64_t to_ns) {
    if (l->measuring && !samples_add(all, to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0)) {
        l->broken = true;
    }
}

/* --- one client --- */

static void ask(client *c) {
    c->asking = true;
    c->head_done = false;
    c->first_event_seen = false;
    c->head = (http1_head){0};
    c->sent_ns = bench_now_ns();
    if (!net_stream_write(c->stream, buffer_slice(&c->owner->request))) {
        net_stream_abort(c->stream);
    }
}

static void answered(client *c) {
    load *l = c->owner;
    c->asking = false;
    if (c->head.status != 200) {
        l->failures++;
    } else {
        l->answers += l->measuring ? 1 : 0;
        note(l, &l->answer_times, c->sent_ns, bench_now_ns());
    }
    if (l->pause_ms > 0) {
        ev_timer_start(l->loop, &c->timer, l->pause_ms);
    } else {
        ask(c);
    }
}

/* An event of the answer's text says when it was sent: "@" and 16 digits of nanoseconds. */
static void take_events(client *c, slice data) {
    load *l = c->owner;
    uint64_t now = bench_now_ns();
    for (size_t at = slice_find(data, '@'); at != SIZE_MAX; at = slice_find(data, '@')) {
        uint64_t sent = 0;
        data = slice_after(data, at + 1);
        for (size_t i = 0; i < 16 && i < data.length; i++) {
            sent = sent * 10 + (uint64_t)(data.data[i] - '0');
        }
        l->events += l->measuring ? 1 : 0;
        note(l, &l->event_delays, sent, now);
        if (!c->first_event_seen && !samples_add(&l->first_delays, now > sent ? (now - sent) / 1000 : 0)) {
            l->broken = true;
        }
        c->first_event_seen = true;
    }
}

static bool take_head(client *c) {
    size_t consumed = 0;
    error err;
    http1_progress progress =
        http1_response_parse(buffer_slice(&c->input), &c->owner->limits, &c->head, &consumed, &err);
    if (progress == HTTP1_BAD) {
        net_stream_abort(c->stream);
    }
    if (progress != HTTP1_DONE) {
        return false;
    }
    c->head_done = true;
    http1_body_start(&c->body, &c->head, &c->owner->limits);
    buffer_consume(&c->input, consumed);
    return true;
}

static void on_data(void *context, slice bytes) {
    client *c = context;
    if (!buffer_append(&c->input, bytes)) {
        net_stream_abort(c->stream);
        return;
    }
    while (c->asking && (c->head_done || take_head(c))) {
        size_t consumed = 0;
        slice data = {NULL, 0};
        error err;
        http1_progress progress =
            http1_body_decode(&c->body, buffer_slice(&c->input), &consumed, &data, &err);
        if (c->owner->streams) {
            take_events(c, data);
        }
        buffer_consume(&c->input, consumed);
        if (progress == HTTP1_DONE) {
            answered(c);
        } else if (progress == HTTP1_BAD) {
            net_stream_abort(c->stream);
            return;
        } else if (consumed == 0) {
            return;
        }
    }
}

static void on_open(void *context) {
    ask(context);
}

static void on_end(void *context) {
    client *c = context;
    net_stream_close(c->stream);
}

static void on_closed(void *context, const error *cause) {
    (void)cause;
    client *c = context;
    c->stream = NULL;
    c->owner->failures += c->asking ? 1 : 0;
    c->asking = false;
    buffer_clear(&c->input);
    ev_timer_start(c->owner->loop, &c->timer, AGAIN_MS);
}

static void go_on(void *context) {
    static const net_stream_handlers handlers = {
        .on_open = on_open, .on_data = on_data, .on_end = on_end, .on_closed = on_closed};
    client *c = context;
    load *l = c->owner;
    if (c->stream != NULL) {
        ask(c);
        return;
    }
    error err;
    net_connect_options options = {.host = l->host, .port = (uint16_t)l->port, .tls = l->tls};
    c->stream = net_connect(l->net, &options, &handlers, c, &err);
    if (c->stream == NULL) {
        ev_timer_start(l->loop, &c->timer, AGAIN_MS);
    }
}

/* --- the whole --- */

static void next_phase(void *context) {
    load *l = context;
    if (l->measuring) {
        l->measuring = false;
        l->cpu_after = processor_time(l);
        l->ended_ns = bench_now_ns();
        ev_loop_stop(l->loop);
        return;
    }
    l->measuring = true;
    l->failures = 0;
    l->cpu_before = processor_time(l);
    l->started_ns = bench_now_ns();
    ev_timer_start(l->loop, &l->phase, l->measure_ms);
}

static bool make_request(load *l, error *err) {
    buffer body = buffer_make(FILE_LIMIT);
    bool read = file_read_all(l->body_file, &body, err);
    buffer *r = &l->request;
    *r = buffer_make(2 * FILE_LIMIT);
    http1_write_request(r, SLICE_LITERAL("POST"), slice_of_text(l->path));
    http1_write_field(r, SLICE_LITERAL("Host"), slice_of_text(l->host));
    http1_write_field(r, SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json"));
    if (l->token != NULL) {
        buffer_append_format(r, "Authorization: Bearer %s\r\n", l->token);
    }
    if (l->verify != NULL) {
        http1_write_field(r, SLICE_LITERAL("X-Cellule-Verify"), slice_of_text(l->verify));
    }
    http1_write_field_u64(r, SLICE_LITERAL("Content-Length"), buffer_length(&body));
    http1_write_head_end(r);
    buffer_append(r, buffer_slice(&body));
    buffer_free(&body);
    return read && (!buffer_failed(r) || error_memory(err));
}

static bool start(load *l, error *err) {
    buffer ca = buffer_make(FILE_LIMIT);
    net_config config = net_config_default();
    config.handshake_budget = 64;
    l->limits = http1_limits_default(FILE_LIMIT * 1024ULL);
    l->loop = ev_loop_new(err);
    l->net = l->loop == NULL ? NULL : net_new(l->loop, &config, err);
    bool ready = l->net != NULL &&
                 net_egress_allow_host(slice_of_text(l->host), (uint16_t)l->port, false, err) &&
                 make_request(l, err) && file_read_all(l->ca, &ca, err);
    l->tls = ready ? net_tls_client_new(&(net_tls_client_options){.ca_pem = buffer_slice(&ca)}, err) : NULL;
    buffer_free(&ca);
    if (l->tls == NULL) {
        return false;
    }
    l->clients = memory_allocate_zeroed(l->connections, sizeof *l->clients);
    if (l->clients == NULL) {
        return error_memory(err);
    }
    for (size_t i = 0; i < l->connections; i++) {
        client *c = &l->clients[i];
        c->owner = l;
        c->input = buffer_make(FILE_LIMIT);
        ev_timer_init(&c->timer, go_on, c);
        ev_timer_start(l->loop, &c->timer, i % 20); /* streams: spread over the time between two events */
    }
    ev_timer_init(&l->phase, next_phase, l);
    ev_timer_start(l->loop, &l->phase, l->warm_up_ms);
    return true;
}

static void print_times(const char *name, samples *all) {
    printf(",\"%s\":{\"count\":%zu,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}", name, all->count,
           samples_percentile(all, 0.5), samples_percentile(all, 0.99), samples_percentile(all, 1));
}

static void print_result(load *l) {
    printf("{\"seconds\":%.3f,\"cpu_seconds\":%.3f,\"answers\":%" PRIu64 ",\"failures\":%" PRIu64
           ",\"events\":%" PRIu64,
           (double)(l->ended_ns - l->started_ns) / 1e9, l->cpu_after - l->cpu_before, l->answers, l->failures,
           l->events);
    print_times("answer_times", &l->answer_times);
    print_times("event_delays", &l->event_delays);
    print_times("first_event_delays", &l->first_delays);
    printf("}\n");
}

static void stop(load *l) {
    net_free(l->net); /* tells each client */
    for (size_t i = 0; l->clients != NULL && i < l->connections; i++) {
        ev_timer_stop(&l->clients[i].timer);
        buffer_free(&l->clients[i].input);
    }
    memory_free(l->clients);
    net_tls_free(l->tls);
    ev_loop_free(l->loop);
    buffer_wipe(&l->request);
    samples_free(&l->answer_times);
    samples_free(&l->event_delays);
    samples_free(&l->first_delays);
}

int main(int argc, char **argv) {
    load l = {.host = "127.0.0.1",
              .ca = "ca.pem",
              .path = "/v1/chat/completions",
              .token = getenv("CELLULE_KEY"),
              .body_file = "body.json",
              .processes = "",
              .port = 8443,
              .connections = 1,
              .warm_up_ms = 1000,
              .measure_ms = 3000};
    const option_row rows[] = {
        {"port", OPTION_U64, &l.port, "PORT", "of the server, on 127.0.0.1", 1, 65535},
        {"ca", OPTION_TEXT, &l.ca, "FILE", "whom to trust, PEM", 0, 0},
        {"path", OPTION_TEXT, &l.path, "PATH", "what to ask for", 0, 0},
        {"body", OPTION_TEXT, &l.body_file, "FILE", "body of each request", 0, 0},
        {"verify", OPTION_TEXT, &l.verify, "MODE", "asked for with X-Cellule-Verify", 0, 0},
        {"connections", OPTION_U64, &l.connections, "N", "clients at a time", 1, CONNECTIONS_LIMIT},
        {"stream", OPTION_FLAG, &l.streams, NULL, "count the events of streamed answers", 0, 0},
        {"warm-up", OPTION_U64, &l.warm_up_ms, "MS", "before measuring", 0, 600000},
        {"measure", OPTION_U64, &l.measure_ms, "MS", "for this long", 1, 600000},
        {"pause", OPTION_U64, &l.pause_ms, "MS", "of each client between two requests", 0, 60000},
        {"processes", OPTION_TEXT, &l.processes, "PID,PID", "whose processor time to measure", 0, 0},
    };
    const option_table table = {.usage = "bench_load [options]",
                                .summary = "Asks a server again and again; the key comes from CELLULE_KEY.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    error err = {0};
    bool started = start(&l, &err);
    if (started) {
        ev_loop_run(l.loop);
        started = !l.broken || error_set(&err, ERROR_LIMIT, "too much was measured; shorten --measure");
    }
    if (started) {
        print_result(&l);
    }
    stop(&l);
    return started ? 0 : options_fail("bench_load", &err);
}
