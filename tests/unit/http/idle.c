#include "http/server.h"
#include "http/websocket.h"
#include "wire.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef CELLULE_FAULTS
enum { CONNECTIONS = 400 }; /* the test build is slow, and its memory says nothing */
#else
enum { CONNECTIONS = 2000 };
#endif

/* The clients live in a process of their own, so that what this one holds is the server's. */
typedef struct crowd {
    wire wire;
    size_t open;
    size_t closed;
} crowd;

static void on_open(void *context) {
    ((crowd *)context)->open++;
}

static void on_message(void *context, slice message, bool is_text) {
    (void)context, (void)message, (void)is_text;
}

static void on_closed(void *context, unsigned code, slice reason) {
    if (code == WEBSOCKET_CUT) {
        print_error("a client was cut: %.*s\n", SLICE_FORMAT(reason));
    }
    ((crowd *)context)->closed++;
}

static const websocket_handlers crowd_handlers = {
    .on_open = on_open, .on_message = on_message, .on_closed = on_closed};

static bool all_have_closed(void *argument) {
    return ((crowd *)argument)->closed == CONNECTIONS;
}

/* Returns the process's exit status: 0 if all came and were told to go. */
static int be_the_crowd(int from_server) {
    crowd c = {.open = 0};
    uint16_t port = 0;
    uint8_t pin[NET_TLS_PIN_SIZE];
    error err;
    wire_start(&c.wire);
    if (read(from_server, &port, sizeof port) != sizeof port ||
        read(from_server, pin, sizeof pin) != sizeof pin) {
        return 1;
    }
    net_tls *tls = net_tls_client_new(&(net_tls_client_options){.pin = pin}, &err);
    websocket_options options = {
        .host = "127.0.0.1", .port = port, .path = "/", .tls = tls, .timeout_ms = 60000};
    for (size_t i = 0; i < CONNECTIONS; i++) {
        if (websocket_connect(c.wire.net, &options, &crowd_handlers, &c, &err) == NULL) {
            return 2;
        }
    }
    while (!all_have_closed(&c)) {
        wire_run_for(&c.wire, 20);
    }
    net_tls_free(tls);
    wire_stop(&c.wire);
    return c.open == CONNECTIONS ? 0 : 3;
}

typedef struct fixture {
    wire wire;
    websocket *sockets[CONNECTIONS];
    size_t open;
    size_t closed;
} fixture;

static void on_gone(void *context, unsigned code, slice reason) {
    if (code == WEBSOCKET_CUT) {
        print_error("a connection was cut: %.*s\n", SLICE_FORMAT(reason));
    }
    ((fixture *)context)->closed++;
}

static const websocket_handlers handlers = {.on_message = on_message, .on_closed = on_gone};

static void on_request(void *context, http_request *request) {
    fixture *f = context;
    error err;
    f->sockets[f->open] = http_request_upgrade(request, NULL, &handlers, f, &err);
    assert_non_null(f->sockets[f->open]);
    f->open++;
}

static const http_server_handlers server_handlers = {.on_request = on_request};

static bool all_are_open(void *argument) {
    return ((fixture *)argument)->open == CONNECTIONS;
}

static bool all_are_gone(void *argument) {
    return ((fixture *)argument)->closed == CONNECTIONS;
}

static size_t resident_bytes(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*u %lu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void serve_the_crowd(int to_crowd) {
    static fixture f;
    wire_site site;
    error err;
    wire_start(&f.wire);
    wire_site_make(&site);
    net_tls *tls = net_tls_server_new(buffer_slice(&site.certificate), buffer_slice(&site.key), &err);
    http_server *server = http_server_new(f.wire.net, NULL, &server_handlers, &f, &err);
    assert_non_null(server);
    uint16_t port = 0;
    assert_true(http_server_listen(server, "127.0.0.1", 0, tls, &port, &err));
    size_t before = resident_bytes();
    assert_int_equal(write(to_crowd, &port, sizeof port), sizeof port);
    assert_int_equal(write(to_crowd, site.pin, sizeof site.pin), sizeof site.pin);
    wire_run_until_for(&f.wire, all_are_open, &f, 60000);
    wire_run_for(&f.wire, 100);
    (void)malloc_trim(0);
    size_t each = (resident_bytes() - before) / CONNECTIONS;
    print_message("%d idle TLS WebSockets: %zu bytes each, resident\n", CONNECTIONS, each);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        websocket_close(f.sockets[i], WEBSOCKET_GOING_AWAY, "");
    }
    wire_run_until_for(&f.wire, all_are_gone, &f, 60000);
    http_server_free(server);
    net_tls_free(tls);
    wire_stop(&f.wire);
    wire_site_free(&site);
}

static void test_many_idle_connections_stay_and_go(void **state) {
    (void)state;
    int pair[2];
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < CONNECTIONS + 100) {
        skip();
    }
    limit.rlim_cur = limit.rlim_max < 16384 ? limit.rlim_max : 16384;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(pipe(pair), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(pair[1]);
        _exit(be_the_crowd(pair[0]));
    }
    close(pair[0]);
    serve_the_crowd(pair[1]);
    close(pair[1]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_idle_connections_stay_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
