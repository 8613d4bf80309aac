/* The instant backend behind the yardstick: says at once what the pool's fake worker would say, whole or as
 * events. Plain HTTP for the proxy; TLS for a client that asks it directly. */
#include "http/server.h"
#include "options/options.h"
#include "os/file.h"
#include "samples.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

enum { ANSWER_SIZE = 650, ANSWER_LIMIT = 4096, PEM_LIMIT = 65536 };

#define IDENTITY(object)                                                                                     \
    "{\"id\":\"chatcmpl-0123456789abcdef0123456789abcdef\",\"object\":\"" object                             \
    "\",\"created\":1767225600,\"model\":\"bench\",\"choices\":[{\"index\":0,"

static const http_header answer_headers[] = {
    {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")},
    {SLICE_LITERAL("X-Cellule-Job"), SLICE_LITERAL("0123456789abcdef0123456789abcdef")}};
static const http_header event_headers[] = {
    {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("text/event-stream")},
    {SLICE_LITERAL("Cache-Control"), SLICE_LITERAL("no-cache")},
    {SLICE_LITERAL("X-Cellule-Job"), SLICE_LITERAL("0123456789abcdef0123456789abcdef")}};

typedef struct backend {
    ev_loop *loop;
    net *net;
    http_server *server;
    net_tls *tls;
    buffer answer;
    uint64_t interval_ms;
} backend;

typedef struct event_stream {
    http_request *request;
    ev_timer timer;
} event_stream;

static void stream_left(void *context) {
    event_stream *stream = context;
    ev_timer_stop(&stream->timer); /* in the request's arena: nothing to free */
}

/* The text is the time of sending, so that the client knows how long the event took. */
static void send_event(void *context) {
    event_stream *stream = context;
    char text[512];
    int length = snprintf(text, sizeof text,
                          "data: " IDENTITY("chat.completion.chunk") "\"delta\":{\"content\":\"@%016" PRIu64
                                                                     "\"},\"finish_reason\":null}]}\n\n",
                          bench_now_ns());
    if (!http_stream_write(stream->request, slice_of(text, (size_t)length))) {
        ev_timer_stop(&stream->timer);
        http_stream_abort(stream->request);
    }
}

static void begin_stream(backend *b, http_request *request) {
    event_stream *stream = arena_allocate(http_request_arena(request), sizeof *stream);
    if (stream == NULL) {
        http_respond(request, 503, NULL, 0, slice_of(NULL, 0));
        return;
    }
    stream->request = request;
    ev_timer_init(&stream->timer, send_event, stream);
    http_request_on_closed(request, stream_left, stream);
    if (http_stream_begin(request, 200, event_headers, 3)) {
        ev_timer_start_repeating(b->loop, &stream->timer, b->interval_ms);
        send_event(stream);
    }
}

static void on_request(void *context, http_request *request) {
    backend *b = context;
    if (slice_find_slice(http_request_body(request), SLICE_LITERAL("\"stream\":true")) != SIZE_MAX) {
        begin_stream(b, request);
    } else {
        http_respond(request, 200, answer_headers, 2, buffer_slice(&b->answer));
    }
}

static void make_answer(backend *b) {
    static const char tail[] =
        "\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":70,\"completion_"
        "tokens\":64,\"total_tokens\":134}}";
    b->answer = buffer_make(ANSWER_LIMIT);
    buffer_append_text(&b->answer,
                       IDENTITY("chat.completion") "\"message\":{\"role\":\"assistant\",\"content\":\"");
    while (buffer_length(&b->answer) + sizeof tail - 1 < ANSWER_SIZE) {
        buffer_append_byte(&b->answer, buffer_length(&b->answer) % 6 == 0 ? ' ' : 'a');
    }
    buffer_append_text(&b->answer, tail);
}

static bool listen_with_tls(backend *b, const char *certificate, const char *key, uint16_t *port,
                            error *err) {
    buffer certificate_pem = buffer_make(PEM_LIMIT);
    buffer key_pem = buffer_make(PEM_LIMIT);
    bool read = file_read_all(certificate, &certificate_pem, err) && file_read_private(key, &key_pem, err);
    b->tls = read ? net_tls_server_new(buffer_slice(&certificate_pem), buffer_slice(&key_pem), err) : NULL;
    buffer_free(&certificate_pem);
    buffer_wipe(&key_pem);
    return b->tls != NULL && http_server_listen(b->server, "127.0.0.1", 0, b->tls, port, err);
}

static bool start(backend *b, const char *certificate, const char *key, error *err) {
    static const http_server_handlers handlers = {.on_request = on_request};
    net_config config = net_config_default();
    uint16_t plain = 0;
    uint16_t tls = 0;
    make_answer(b);
    b->loop = ev_loop_new(err);
    b->net = b->loop == NULL ? NULL : net_new(b->loop, &config, err);
    b->server = b->net == NULL ? NULL : http_server_new(b->net, NULL, &handlers, b, err);
    if (b->server == NULL || !http_server_listen(b->server, "127.0.0.1", 0, NULL, &plain, err) ||
        !listen_with_tls(b, certificate, key, &tls, err)) {
        return false;
    }
    printf("{\"plain\":%u,\"tls\":%u}\n", plain, tls);
    return fflush(stdout) == 0;
}

static void on_terminate(void *context) {
    ev_loop_stop(context);
}

int main(int argc, char **argv) {
    backend b = {0};
    const char *certificate = "server.pem";
    const char *key = "server.key";
    b.interval_ms = 20;
    const option_row rows[] = {
        {"certificate", OPTION_TEXT, &certificate, "FILE", "certificate chain, PEM", 0, 0},
        {"key", OPTION_TEXT, &key, "FILE", "its private key, PEM", 0, 0},
        {"interval", OPTION_U64, &b.interval_ms, "MS", "between the events of a stream", 1, 60000},
    };
    const option_table table = {.usage = "bench_backend [options]",
                                .summary = "Answers every request at once; prints its ports as JSON.",
                                .rows = rows,
                                .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    error err = {0};
    ev_signal *terminate = NULL;
    bool started = start(&b, certificate, key, &err);
    if (started) {
        terminate = ev_signal_new(b.loop, SIGTERM, on_terminate, b.loop, &err);
        started = terminate != NULL;
    }
    if (started) {
        ev_loop_run(b.loop);
    }
    ev_signal_free(terminate);
    http_server_free(b.server);
    net_free(b.net);
    net_tls_free(b.tls);
    ev_loop_free(b.loop);
    buffer_free(&b.answer);
    return started ? 0 : options_fail("bench_backend", &err);
}
