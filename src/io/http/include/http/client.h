#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/slice.h"
#include "ev/loop.h"

/* Outgoing HTTP (libcurl multi on the loop): http and https only, no proxies, no redirects, no cookies,
 * nothing decoded. Loop thread throughout. */
typedef struct http_client http_client;
typedef struct http_exchange http_exchange; /* one request under way */

typedef struct http_client_options {
    slice ca_pem;        /* whom to trust; empty and `pin` NULL: the system's CAs */
    const uint8_t *pin;  /* instead: net_tls_client_options' pin, 32 bytes */
    uint32_t timeout_ms; /* whole exchange, 0: 60 s. With on_data: time without a byte. */
    size_t max_bytes;    /* largest answer, 0: 8 MiB (streamed: no bound) */
    /* Streams a 2xx answer: bytes are valid during the call; false ends the exchange. Other answers are
     * collected. NULL: whole. */
    bool (*on_data)(void *context, slice bytes);
} http_client_options;

typedef struct http_client_answer {
    unsigned status;               /* 0: no complete answer, see `cause` */
    slice body;                    /* empty when streamed; valid during the call */
    const error *cause;            /* NULL when the answer is complete */
    const http_exchange *exchange; /* for http_exchange_header */
} http_client_answer;

MUST_CHECK http_client *http_client_new(ev_loop *loop, error *err);
/* Cancels what is under way: no callback. NULL is allowed. Not from inside a callback. */
void http_client_free(http_client *client);

/* `headers`: "Name: value" lines, NULL at the end, or NULL. Everything is copied. `callback` comes exactly
 * once unless cancelled, never from inside this call. ERROR_DENIED, here or as the answer's cause:
 * net/egress.h doesn't allow the host, or the address that it stands for. */
MUST_CHECK http_exchange *http_client_request(
    http_client *client, const char *method, const char *url, const char *const *headers, slice body,
    const http_client_options *options, void (*callback)(void *context, const http_client_answer *answer),
    void *context, error *err);
/* The answer's field, during callback or on_data. False if absent. */
bool http_exchange_header(const http_exchange *exchange, const char *name, slice *value);
/* The answer's status so far; 0 before it came. */
unsigned http_exchange_status(const http_exchange *exchange);
/* No callback comes after it. Also from on_data and the callback. */
void http_exchange_cancel(http_exchange *exchange);

#endif
