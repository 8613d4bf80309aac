#include "http/client.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "net/egress.h"
#include "net/tls.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>

enum { TIMEOUT_MS = 60000, MAX_BYTES = 8 * 1024 * 1024, CONNECT_TIMEOUT_MS = 10000, EXCHANGES_MAX = 256 };

struct http_client {
    ev_loop *loop;
    CURLM *multi;      /* NULL: memory was out when it was to be made anew */
    ev_timer timer;    /* curl's */
    ev_deferred sweep; /* frees what was cancelled or starved */
    list_node exchanges;
    list_node sockets;
    size_t count;
    bool is_broken; /* `multi` must not be used any more */
};

/* A descriptor that curl waits for. */
typedef struct client_socket {
    list_node node;
    http_client *client;
    ev_watch *watch;
    curl_socket_t descriptor;
} client_socket;

struct http_exchange {
    list_node node;
    http_client *client;
    CURL *easy;
    struct curl_slist *headers;
    buffer sent;
    buffer answer;
    buffer ca;
    uint8_t pin[NET_TLS_PIN_SIZE];
    bool (*on_data)(void *context, slice bytes);
    void (*callback)(void *context, const http_client_answer *answer);
    void *context;
    char host[NET_EGRESS_HOST_MAX + 1];
    char curl_text[CURL_ERROR_SIZE];
    error refusal; /* the guard's, of the last address that was tried */
    bool too_large;
    bool cancelled;
    bool in_callback;
    bool starved; /* memory ran out for it: it ends soon */
};

static void exchange_free(http_exchange *exchange) {
    if (exchange->easy != NULL) {
        (void)curl_multi_remove_handle(exchange->client->multi, exchange->easy);
        curl_easy_cleanup(exchange->easy);
    }
    curl_slist_free_all(exchange->headers);
    buffer_wipe(&exchange->sent);
    buffer_free(&exchange->answer);
    buffer_free(&exchange->ca);
    list_remove(&exchange->node);
    exchange->client->count--;
    memory_free(exchange);
}

static void answer(http_exchange *exchange, CURLcode code) {
    error cause;
    http_client_answer result = {.exchange = exchange, .body = buffer_slice(&exchange->answer)};
    if (exchange->too_large) {
        error_set(&cause, ERROR_LIMIT, "the answer is larger than allowed");
        result.cause = &cause;
    } else if (code != CURLE_OK && exchange->refusal.code != ERROR_NONE) {
        result.cause = &exchange->refusal;
    } else if (code != CURLE_OK) {
        error_code kind = code == CURLE_OPERATION_TIMEDOUT         ? ERROR_TIMEOUT
                          : code == CURLE_OUT_OF_MEMORY            ? ERROR_MEMORY
                          : code == CURLE_PEER_FAILED_VERIFICATION ? ERROR_DENIED
                                                                   : ERROR_IO;
        error_set(&cause, kind, "%s",
                  exchange->curl_text[0] != '\0' ? exchange->curl_text : curl_easy_strerror(code));
        result.cause = &cause;
    } else {
        result.status = http_exchange_status(exchange);
    }
    exchange->in_callback = true;
    if (!exchange->cancelled) {
        exchange->callback(exchange->context, &result);
    }
    exchange_free(exchange);
}

static void collect_results(http_client *client) {
    CURLMsg *message = NULL;
    int left = 0;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        if (message->msg == CURLMSG_DONE) {
            http_exchange *exchange = NULL;
            CURLcode code = message->data.result;
            (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&exchange);
            answer(exchange, code);
        }
    }
}

static void starve(http_exchange *exchange) {
    exchange->starved = true;
    ev_defer(exchange->client->loop, &exchange->client->sweep);
}

/* curl ran out of memory. It doesn't say for which exchange, would never call about it again, and what it
 * keeps of sockets isn't sound any more (7.88 divides by zero there later). */
static void break_multi(http_client *client) {
    client->is_broken = true;
    for (list_node *node = client->exchanges.next; node != &client->exchanges; node = node->next) {
        starve(LIST_ENTRY(node, http_exchange, node));
    }
    ev_defer(client->loop, &client->sweep);
}

static void act(http_client *client, curl_socket_t descriptor, int events) {
    int running = 0;
    if (client->is_broken || client->multi == NULL) {
        return;
    }
    if (curl_multi_socket_action(client->multi, descriptor, events, &running) != CURLM_OK) {
        break_multi(client);
    }
    collect_results(client);
}

static void renew_multi(http_client *client);

/* Ends those that were cancelled and those that can't go on. */
static void sweep(void *argument) {
    http_client *client = argument;
    list_node *next = NULL;
    if (client->is_broken) {
        renew_multi(client);
    }
    for (list_node *node = client->exchanges.next; node != &client->exchanges; node = next) {
        next = node->next;
        http_exchange *exchange = LIST_ENTRY(node, http_exchange, node);
        if (exchange->cancelled) {
            exchange_free(exchange);
        } else if (exchange->starved) {
            answer(exchange, CURLE_OUT_OF_MEMORY);
        }
    }
}

static void on_timer(void *argument) {
    act(argument, CURL_SOCKET_TIMEOUT, 0);
}

static void on_socket(void *argument, unsigned events) {
    client_socket *socket = argument;
    int flags = (events & EV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & EV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
    flags |= (events & EV_ERROR) != 0 ? CURL_CSELECT_ERR : 0;
    act(socket->client, socket->descriptor, flags);
}

static void socket_free(client_socket *socket) {
    ev_watch_free(socket->watch);
    list_remove(&socket->node);
    memory_free(socket);
}

static client_socket *socket_new(http_client *client, curl_socket_t descriptor) {
    client_socket *socket = memory_allocate(sizeof *socket);
    if (socket == NULL) {
        return NULL;
    }
    *socket = (client_socket){.client = client, .descriptor = descriptor};
    error err;
    socket->watch = ev_watch_new(client->loop, descriptor, on_socket, socket, &err);
    if (socket->watch == NULL) {
        memory_free(socket);
        return NULL;
    }
    list_append(&client->sockets, &socket->node);
    (void)curl_multi_assign(client->multi, descriptor, socket);
    return socket;
}

/* To say that this failed would end every exchange of the client, those to come as well: the one concerned
 * ends by itself. */
static int starve_owner(CURL *easy) {
    http_exchange *exchange = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&exchange) != CURLE_OK || exchange == NULL) {
        return -1;
    }
    starve(exchange);
    return 0;
}

static int watch_socket(CURL *easy, curl_socket_t descriptor, int what, void *argument, void *assigned) {
    client_socket *socket = assigned;
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL) {
            socket_free(socket);
            (void)curl_multi_assign(((http_client *)argument)->multi, descriptor, NULL);
        }
        return 0;
    }
    if (socket == NULL) {
        socket = socket_new(argument, descriptor);
    }
    if (socket == NULL) {
        return starve_owner(easy);
    }
    unsigned events = (what & CURL_POLL_IN) != 0 ? (unsigned)EV_READABLE : 0U;
    events |= (what & CURL_POLL_OUT) != 0 ? (unsigned)EV_WRITABLE : 0U;
    ev_watch_set(socket->watch, events);
    return 0;
}

static int set_timer(CURLM *multi, long milliseconds, void *argument) {
    (void)multi;
    http_client *client = argument;
    if (milliseconds < 0) {
        ev_timer_stop(&client->timer);
    } else {
        ev_timer_start(client->loop, &client->timer, (uint64_t)milliseconds);
    }
    return 0;
}

static size_t take_body(char *bytes, size_t size, size_t count, void *argument) {
    http_exchange *exchange = argument;
    slice data = slice_of(bytes, size * count);
    unsigned status = http_exchange_status(exchange);
    if (exchange->cancelled) {
        return CURL_WRITEFUNC_ERROR;
    }
    if (exchange->on_data != NULL && status >= 200 && status < 300) {
        bool more = exchange->on_data(exchange->context, data);
        return more && !exchange->cancelled ? data.length : CURL_WRITEFUNC_ERROR;
    }
    if (!buffer_append(&exchange->answer, data)) {
        exchange->too_large = true;
        return CURL_WRITEFUNC_ERROR;
    }
    return data.length;
}

static CURLcode apply_pin(CURL *easy, void *ssl_ctx, void *argument) {
    (void)easy;
    net_tls_pin_apply(ssl_ctx, argument);
    return CURLE_OK;
}

static CURLcode global_result;

static void start_curl(void) {
    global_result = curl_global_init_mem(CURL_GLOBAL_DEFAULT, memory_allocate, memory_free, memory_resize,
                                         memory_copy_string, memory_allocate_zeroed);
}

static CURLM *multi_new(http_client *client) {
    CURLM *multi = global_result == CURLE_OK ? curl_multi_init() : NULL;
    if (multi == NULL || curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, watch_socket) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer) != CURLM_OK ||
        curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client) != CURLM_OK) {
        (void)curl_multi_cleanup(multi);
        return NULL;
    }
    return multi;
}

static void multi_free(http_client *client) {
    (void)curl_multi_cleanup(client->multi);
    client->multi = NULL;
    ev_timer_stop(&client->timer);
    for (list_node *node = list_first(&client->sockets); node != NULL; node = list_first(&client->sockets)) {
        socket_free(LIST_ENTRY(node, client_socket, node));
    }
}

/* Every exchange has starved, but those begun since, which the broken one has never worked on. */
static void renew_multi(http_client *client) {
    for (list_node *node = client->exchanges.next; node != &client->exchanges; node = node->next) {
        http_exchange *exchange = LIST_ENTRY(node, http_exchange, node);
        (void)curl_multi_remove_handle(client->multi, exchange->easy);
    }
    multi_free(client);
    client->is_broken = false;
    client->multi = multi_new(client);
    for (list_node *node = client->exchanges.next; node != &client->exchanges; node = node->next) {
        http_exchange *exchange = LIST_ENTRY(node, http_exchange, node);
        if (!exchange->starved && !exchange->cancelled &&
            curl_multi_add_handle(client->multi, exchange->easy) != CURLM_OK) {
            exchange->starved = true;
        }
    }
}

http_client *http_client_new(ev_loop *loop, error *err) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_curl);
    http_client *client = memory_allocate_zeroed(1, sizeof *client);
    if (client == NULL) {
        error_memory(err);
        return NULL;
    }
    client->loop = loop;
    list_init(&client->exchanges);
    list_init(&client->sockets);
    ev_timer_init(&client->timer, on_timer, client);
    ev_deferred_init(&client->sweep, sweep, client);
    client->multi = multi_new(client);
    if (client->multi == NULL) {
        http_client_free(client);
        error_memory(err);
        return NULL;
    }
    return client;
}

void http_client_free(http_client *client) {
    if (client == NULL) {
        return;
    }
    for (list_node *node = list_first(&client->exchanges); node != NULL;
         node = list_first(&client->exchanges)) {
        exchange_free(LIST_ENTRY(node, http_exchange, node));
    }
    multi_free(client);
    ev_defer_cancel(&client->sweep);
    memory_free(client);
}

/* Collects failures, so that a long list of options reads as one. */
#define SET(option, value) good = good && curl_easy_setopt(easy, option, value) == CURLE_OK

static bool set_trust(http_exchange *exchange, const http_client_options *options) {
    CURL *easy = exchange->easy;
    bool good = true;
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (options->pin != NULL) {
        memcpy(exchange->pin, options->pin, sizeof exchange->pin);
        SET(CURLOPT_CAINFO, NULL);
        SET(CURLOPT_CAPATH, NULL);
        /* curl doesn't know about the pin, so neither a connection nor a session may serve another one. */
        SET(CURLOPT_FRESH_CONNECT, 1L);
        SET(CURLOPT_FORBID_REUSE, 1L);
        SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
        SET(CURLOPT_SSL_CTX_FUNCTION, apply_pin);
        SET(CURLOPT_SSL_CTX_DATA, (void *)exchange->pin);
    } else if (options->ca_pem.length > 0) {
        struct curl_blob blob = {.data = (void *)(uintptr_t)options->ca_pem.data,
                                 .len = options->ca_pem.length,
                                 .flags = CURL_BLOB_COPY};
        SET(CURLOPT_CAINFO, NULL);
        SET(CURLOPT_CAPATH, NULL);
        SET(CURLOPT_CAINFO_BLOB, &blob);
    }
    return good;
}

static bool set_times(http_exchange *exchange, const http_client_options *options) {
    CURL *easy = exchange->easy;
    bool good = true;
    long timeout = (long)(options->timeout_ms == 0 ? TIMEOUT_MS : options->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, timeout < CONNECT_TIMEOUT_MS ? timeout : (long)CONNECT_TIMEOUT_MS);
    if (options->on_data == NULL) {
        SET(CURLOPT_TIMEOUT_MS, timeout);
    } else {
        SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
        SET(CURLOPT_LOW_SPEED_TIME, (timeout + 999) / 1000);
    }
    return good;
}

static bool set_request(http_exchange *exchange, const char *method, const char *url,
                        const char *const *headers, slice body) {
    CURL *easy = exchange->easy;
    bool good = buffer_append(&exchange->sent, body);
    static const char *const quiet[] = {"Expect:", NULL}; /* no pause before the body */
    const char *const *lists[] = {quiet, headers};
    for (size_t l = 0; l < 2; l++) {
        for (const char *const *line = lists[l]; good && line != NULL && *line != NULL; line++) {
            struct curl_slist *longer = curl_slist_append(exchange->headers, *line);
            good = longer != NULL && strpbrk(*line, "\r\n") == NULL;
            exchange->headers = longer == NULL ? exchange->headers : longer;
        }
    }
    SET(CURLOPT_URL, url);
    SET(CURLOPT_HTTPHEADER, exchange->headers);
    if (strcmp(method, "GET") != 0) {
        SET(CURLOPT_CUSTOMREQUEST, method);
    }
    if (strcmp(method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
    } else if (body.length > 0 || strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.length);
        SET(CURLOPT_POSTFIELDS, body.length == 0 ? "" : (const char *)buffer_slice(&exchange->sent).data);
    }
    return good;
}

static curl_socket_t open_socket(void *argument, curlsocktype purpose, struct curl_sockaddr *address) {
    http_exchange *exchange = argument;
    (void)purpose;
    int descriptor = net_egress_socket(exchange->host, &address->addr, &exchange->refusal);
    if (descriptor < 0) {
        return CURL_SOCKET_BAD;
    }
    exchange->refusal.code = ERROR_NONE;
    return descriptor;
}

static CURLUcode part_of(CURLU *parsed, CURLUPart part, char *text, size_t size) {
    char *found = NULL;
    CURLUcode code = curl_url_get(parsed, part, &found, CURLU_DEFAULT_PORT);
    int length = code == CURLUE_OK ? snprintf(text, size, "%s", found) : 0;
    curl_free(found);
    return code != CURLUE_OK || (length >= 0 && (size_t)length < size) ? code : CURLUE_BAD_HOSTNAME;
}

/* Whom a request is for, as the guard knows it: curl would look the name up before it asks for a socket. */
static bool may_ask(http_exchange *exchange, const char *url, error *err) {
    char port_text[8];
    uint64_t port = 0;
    char *host = exchange->host;
    CURLU *parsed = curl_url();
    if (parsed == NULL) {
        return error_memory(err);
    }
    bool known = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    CURLUcode code = known ? curl_url_set(parsed, CURLUPART_URL, url, 0) : CURLUE_UNSUPPORTED_SCHEME;
    code = code != CURLUE_OK ? code : part_of(parsed, CURLUPART_HOST, host, sizeof exchange->host);
    code = code != CURLUE_OK ? code : part_of(parsed, CURLUPART_PORT, port_text, sizeof port_text);
    curl_url_cleanup(parsed);
    if (code != CURLUE_OK || !slice_to_u64(slice_of_text(port_text), &port) || port > UINT16_MAX) {
        return code == CURLUE_OUT_OF_MEMORY ? error_memory(err)
                                            : error_set(err, ERROR_INVALID, "\"%s\" is no URL", url);
    }
    size_t length = strlen(host);
    if (length > 1 && host[0] == '[') { /* an IPv6 address, which needs no looking up */
        memmove(host, host + 1, length - 2);
        host[length - 2] = '\0';
        return true;
    }
    return host[strspn(host, "0123456789.")] == '\0' || net_egress_may_look_up(host, (uint16_t)port, err);
}

static bool set_rules(http_exchange *exchange) {
    CURL *easy = exchange->easy;
    bool good = true;
    SET(CURLOPT_PRIVATE, exchange);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, exchange);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_ERRORBUFFER, exchange->curl_text);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    return good;
}

http_exchange *http_client_request(http_client *client, const char *method, const char *url,
                                   const char *const *headers, slice body, const http_client_options *options,
                                   void (*callback)(void *context, const http_client_answer *answer),
                                   void *context, error *err) {
    static const http_client_options usual = {.timeout_ms = 0};
    options = options == NULL ? &usual : options;
    if (client->count >= EXCHANGES_MAX) {
        error_set(err, ERROR_LIMIT, "too many requests are under way, try again later");
        return NULL;
    }
    client->multi = client->multi == NULL ? multi_new(client) : client->multi;
    http_exchange *exchange = memory_allocate_zeroed(1, sizeof *exchange);
    if (exchange == NULL || client->multi == NULL) {
        memory_free(exchange);
        error_memory(err);
        return NULL;
    }
    exchange->client = client;
    exchange->callback = callback;
    exchange->context = context;
    exchange->on_data = options->on_data;
    exchange->sent = buffer_make(SIZE_MAX / 2);
    exchange->answer = buffer_make(options->max_bytes == 0 ? MAX_BYTES : options->max_bytes);
    list_append(&client->exchanges, &exchange->node);
    client->count++;
    if (!may_ask(exchange, url, err)) {
        exchange_free(exchange);
        return NULL;
    }
    exchange->easy = curl_easy_init();
    if (exchange->easy == NULL || !set_rules(exchange) || !set_trust(exchange, options) ||
        !set_times(exchange, options) || !set_request(exchange, method, url, headers, body) ||
        curl_multi_add_handle(client->multi, exchange->easy) != CURLM_OK) {
        exchange_free(exchange);
        error_set(err, ERROR_INVALID, "the request to %s cannot be made", url);
        return NULL;
    }
    return exchange;
}

bool http_exchange_header(const http_exchange *exchange, const char *name, slice *value) {
    struct curl_header *header = NULL;
    if (curl_easy_header(exchange->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
        return false;
    }
    *value = slice_of_text(header->value);
    return true;
}

unsigned http_exchange_status(const http_exchange *exchange) {
    long status = 0;
    (void)curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    return status < 0 || status > 999 ? 0 : (unsigned)status;
}

void http_exchange_cancel(http_exchange *exchange) {
    exchange->cancelled = true; /* freed where curl isn't in the middle of it */
    if (!exchange->in_callback) {
        ev_defer(exchange->client->loop, &exchange->client->sweep);
    }
}
