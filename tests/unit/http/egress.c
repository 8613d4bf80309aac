#include "net/egress.h"
#include "base/log.h"
#include "http/client.h"
#include "http/server.h"
#include "wire.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdlib.h>

/* This program is its own name service, for net_connect and for libcurl alike: every name stands for
 * `answers`, which a test may change between two questions. */
static _Atomic(const char *) answers;
static atomic_uint questions;

static struct addrinfo *make_answer(const char *address, const char *port) {
    struct addrinfo *one = calloc(1, sizeof *one + sizeof(struct sockaddr_in));
    assert_non_null(one);
    struct sockaddr_in *place = (struct sockaddr_in *)(void *)(one + 1);
    place->sin_family = AF_INET;
    place->sin_port = htons((uint16_t)strtoul(port == NULL ? "0" : port, NULL, 10));
    assert_int_equal(inet_pton(AF_INET, address, &place->sin_addr), 1);
    *one = (struct addrinfo){.ai_family = AF_INET,
                             .ai_socktype = SOCK_STREAM,
                             .ai_addrlen = sizeof *place,
                             .ai_addr = (struct sockaddr *)place};
    return one;
}

int look_up(const char *host, const char *port, const struct addrinfo *hints,
            struct addrinfo **found) __asm__("getaddrinfo");
int look_up(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found) {
    struct in_addr number;
    if (inet_pton(AF_INET, host, &number) == 1) {
        *found = make_answer(host, port);
        return 0;
    }
    if (hints != NULL && (hints->ai_flags & AI_NUMERICHOST) != 0) {
        return EAI_NONAME;
    }
    questions++;
    *found = make_answer(answers, port);
    return 0;
}

void free_answer(struct addrinfo *found) __asm__("freeaddrinfo");
void free_answer(struct addrinfo *found) {
    free(found);
}

typedef struct fixture {
    wire wire;
    http_server *server;
    http_client *client;
    uint16_t port;
    bool answered;
    unsigned status;
    error cause;
} fixture;

static void on_request(void *context, http_request *request) {
    (void)context;
    http_respond(request, 200, NULL, 0, SLICE_LITERAL("here"));
}

static void start(fixture *f, const char *rules) {
    static const http_server_handlers handlers = {.on_request = on_request};
    error err = {0};
    *f = (fixture){.status = 0};
    wire_start(&f->wire);
    f->server = http_server_new(f->wire.net, NULL, &handlers, f, &err);
    assert_non_null(f->server);
    assert_true(http_server_listen(f->server, "127.0.0.1", 0, NULL, &f->port, &err));
    f->client = http_client_new(f->wire.loop, &err);
    assert_non_null(f->client);
    net_egress_begin("");
    assert_true(net_egress_allow(slice_of_text(rules), &err));
    questions = 0;
}

static void stop(fixture *f) {
    http_client_free(f->client);
    http_server_free(f->server);
    wire_stop(&f->wire);
}

static void on_answer(void *context, const http_client_answer *answer) {
    fixture *f = context;
    f->answered = true;
    f->status = answer->status;
    f->cause = answer->cause == NULL ? (error){ERROR_NONE, ""} : *answer->cause;
}

static bool is_answered(void *argument) {
    return ((fixture *)argument)->answered;
}

static void ask(fixture *f, const char *host) {
    char url[64];
    error err = {0};
    snprintf(url, sizeof url, "http://%s:%u/", host, f->port);
    f->answered = false;
    if (http_client_request(f->client, "GET", url, NULL, (slice){NULL, 0}, NULL, on_answer, f, &err) ==
        NULL) {
        f->status = 0;
        f->cause = err;
        return;
    }
    wire_run_until(&f->wire, is_answered, f);
}

static void test_a_request_goes_to_a_host_that_is_named(void **state) {
    (void)state;
    fixture f;
    start(&f, "inside.test");
    answers = "127.0.0.1";
    ask(&f, "inside.test");
    assert_int_equal(f.status, 200);
    assert_int_equal(questions, 1);
    stop(&f);
}

static void test_a_request_to_a_name_that_nobody_named_is_not_even_looked_up(void **state) {
    (void)state;
    fixture f;
    start(&f, "inside.test");
    answers = "127.0.0.1";
    ask(&f, "outside.test");
    assert_int_equal(f.cause.code, ERROR_DENIED);
    assert_int_equal(questions, 0);
    ask(&f, "127.0.0.1");
    assert_int_equal(f.cause.code, ERROR_DENIED);
    ask(&f, "[::1]");
    assert_int_equal(f.cause.code, ERROR_DENIED);
    stop(&f);
}

static void test_a_request_is_refused_when_its_name_comes_to_mean_an_address_outside(void **state) {
    (void)state;
    static const char *const outside[] = {"203.0.113.9", "169.254.169.254", "0.0.0.0"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        fixture f;
        start(&f, "moving.test");
        answers = outside[i];
        ask(&f, "moving.test");
        assert_int_equal(f.status, 0);
        assert_int_equal(f.cause.code, ERROR_DENIED);
        assert_non_null(strstr(f.cause.text, outside[i]));
        stop(&f);
    }
}

static void test_a_request_to_a_public_name_does_not_reach_this_machine(void **state) {
    (void)state;
    fixture f;
    start(&f, "outside.test=public");
    answers = "127.0.0.1";
    ask(&f, "outside.test");
    assert_int_equal(f.cause.code, ERROR_DENIED);
    stop(&f);
}

static void connect_to(fixture *f, wire_client *client, const char *host) {
    wire_connect_to(&f->wire, client, host, f->port, NULL);
    wire_run_until(&f->wire, wire_is_settled, client);
}

static void test_a_stream_follows_the_address_and_not_the_name(void **state) {
    (void)state;
    fixture f;
    wire_client client;
    start(&f, "moving.test");
    answers = "127.0.0.1";
    connect_to(&f, &client, "moving.test");
    assert_true(client.open);
    wire_client_free(&f.wire, &client);
    answers = "203.0.113.9";
    connect_to(&f, &client, "moving.test");
    assert_false(client.open);
    assert_int_equal(client.cause.code, ERROR_DENIED);
    assert_int_equal(questions, 2);
    wire_client_free(&f.wire, &client);
    connect_to(&f, &client, "127.0.0.1");
    assert_int_equal(client.cause.code, ERROR_DENIED);
    wire_client_free(&f.wire, &client);
    error err = {0};
    net_connect_options options = {.host = "outside.test", .port = f.port};
    static const net_stream_handlers none = {0};
    assert_null(net_connect(f.wire.net, &options, &none, NULL, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    assert_int_equal(questions, 2);
    stop(&f);
}

int main(void) {
    log_configure(LOG_ERROR, false); /* refusals are warnings */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_goes_to_a_host_that_is_named),
        cmocka_unit_test(test_a_request_to_a_name_that_nobody_named_is_not_even_looked_up),
        cmocka_unit_test(test_a_request_is_refused_when_its_name_comes_to_mean_an_address_outside),
        cmocka_unit_test(test_a_request_to_a_public_name_does_not_reach_this_machine),
        cmocka_unit_test(test_a_stream_follows_the_address_and_not_the_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
