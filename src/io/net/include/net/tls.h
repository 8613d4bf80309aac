#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/error.h"
#include "base/slice.h"

/* TLS 1.2 and 1.3 settings for one side. Counted: whoever uses one holds it until done, so an owner may free
 * it at any time. Loop thread. */
typedef struct net_tls net_tls;

enum { NET_TLS_PIN_SIZE = 32 };

/* A server's certificate chain (leaf first) and private key, PEM. */
MUST_CHECK net_tls *net_tls_server_new(slice certificate_pem, slice key_pem, error *err);
/* New handshakes use the new pair; open connections stay as they are. Tickets stay valid. On failure nothing
 * has changed. */
MUST_CHECK bool net_tls_server_reload(net_tls *tls, slice certificate_pem, slice key_pem, error *err);

/* New handshakes ask the client for a certificate, too. Who shows none, or one that this authority hasn't
 * issued, is served all the same: net_stream_peer_certificate tells. Outlives a reload. */
MUST_CHECK bool net_tls_server_ask(net_tls *tls, slice authority_pem, error *err);

/* Exactly one of the first two says whom to trust. The server's name is always verified (RFC 6125, RFC 2818).
 */
typedef struct net_tls_client_options {
    slice ca_pem;          /* one or more CA certificates */
    const uint8_t *pin;    /* SHA-256 of a CA's SubjectPublicKeyInfo: that CA must be among the presented
                            * certificates and have issued the chain */
    slice certificate_pem; /* shown to a server that asks; empty: none */
    slice key_pem;         /* its private key */
} net_tls_client_options;
MUST_CHECK net_tls *net_tls_client_new(const net_tls_client_options *options, error *err);

void net_tls_free(net_tls *tls); /* NULL is allowed */

/* Puts the pin's rule on another library's SSL_CTX. `pin` outlives it. */
void net_tls_pin_apply(void *ssl_ctx, const uint8_t pin[NET_TLS_PIN_SIZE]);

#endif
