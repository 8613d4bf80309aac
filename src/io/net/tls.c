#include "net/tls.h"

#include "base/memory.h"
#include "net_internal.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>

static const char tls12_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";

void tls_clear_errors(void) {
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
}

bool tls_error(error *err, const char *what) {
    unsigned long code = ERR_peek_last_error();
    char text[160] = "no further details";
    if (code != 0) {
        ERR_error_string_n(code, text, sizeof text);
    }
    bool memory = ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    ERR_clear_error();
    return error_set(err, memory ? ERROR_MEMORY : ERROR_INVALID, "%s: %s", what, text);
}

net_tls *tls_hold(net_tls *tls) {
    if (tls != NULL) {
        tls->references++;
    }
    return tls;
}

void net_tls_free(net_tls *tls) {
    if (tls == NULL || --tls->references > 0) {
        return;
    }
    SSL_SESSION_free(tls->session);
    X509_free(tls->client_authority);
    SSL_CTX_free(tls->context);
    memory_free(tls);
}

static int refuse_password(char *text, int size, int writing, void *unused) {
    (void)text, (void)size, (void)writing, (void)unused;
    return -1;
}

static BIO *pem_reader(slice pem) {
    return pem.length > INT32_MAX ? NULL : BIO_new_mem_buf(pem.data, (int)pem.length);
}

static X509 *next_certificate(BIO *reader) {
    return PEM_read_bio_X509(reader, NULL, refuse_password, NULL);
}

/* True if the last certificate was followed by the end and not by a broken one. */
static bool at_end_of_pem(void) {
    unsigned long code = ERR_peek_last_error();
    bool end = ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
    if (end) {
        ERR_clear_error();
    }
    return end;
}

static bool use_certificates(SSL_CTX *context, slice pem) {
    BIO *reader = pem_reader(pem);
    X509 *leaf = reader == NULL ? NULL : next_certificate(reader);
    bool good = leaf != NULL && SSL_CTX_use_certificate(context, leaf) == 1;
    X509_free(leaf);
    while (good) {
        X509 *issuer = next_certificate(reader);
        if (issuer == NULL) {
            good = at_end_of_pem();
            break;
        }
        good = SSL_CTX_add0_chain_cert(context, issuer) == 1;
        if (!good) {
            X509_free(issuer);
        }
    }
    BIO_free(reader);
    return good;
}

static bool use_key(SSL_CTX *context, slice pem) {
    BIO *reader = pem_reader(pem);
    EVP_PKEY *key = reader == NULL ? NULL : PEM_read_bio_PrivateKey(reader, NULL, refuse_password, NULL);
    bool good =
        key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    BIO_free(reader);
    return good;
}

static bool trust(SSL_CTX *context, slice pem) {
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    BIO *reader = pem_reader(pem);
    size_t count = 0;
    bool good = reader != NULL;
    while (good) {
        X509 *certificate = next_certificate(reader);
        if (certificate == NULL) {
            good = count > 0 && at_end_of_pem();
            break;
        }
        good = X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
        count++;
    }
    BIO_free(reader);
    return good;
}

static bool pin_of_certificate(X509 *certificate, uint8_t pin[NET_TLS_PIN_SIZE]) {
    unsigned char *key = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &key);
    bool good = length > 0 && SHA256(key, (size_t)length, pin) != NULL;
    OPENSSL_free(key);
    return good;
}

/* Trusts the one presented certificate above the leaf whose key has the pin, then verifies as usual. */
static int verify_by_pin(X509_STORE_CTX *verification, void *argument) {
    const uint8_t *pin = argument;
    STACK_OF(X509) *presented = X509_STORE_CTX_get0_untrusted(verification);
    for (int i = 1; presented != NULL && i < sk_X509_num(presented); i++) {
        X509 *candidate = sk_X509_value(presented, i);
        uint8_t digest[NET_TLS_PIN_SIZE];
        if (!pin_of_certificate(candidate, digest) || memcmp(digest, pin, sizeof digest) != 0) {
            continue;
        }
        STACK_OF(X509) *trusted = sk_X509_new_null();
        if (trusted == NULL || sk_X509_push(trusted, candidate) == 0) {
            sk_X509_free(trusted);
            X509_STORE_CTX_set_error(verification, X509_V_ERR_OUT_OF_MEM);
            return 0;
        }
        /* It is what is trusted, be it presented with its own signature or with that of one before it. */
        X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(verification), X509_V_FLAG_PARTIAL_CHAIN);
        X509_STORE_CTX_set0_trusted_stack(verification, trusted);
        int verified = X509_verify_cert(verification);
        X509_STORE_CTX_set0_trusted_stack(verification, NULL);
        sk_X509_free(trusted);
        return verified == 1;
    }
    X509_STORE_CTX_set_error(verification, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
    return 0;
}

void net_tls_pin_apply(void *ssl_ctx, const uint8_t pin[NET_TLS_PIN_SIZE]) {
    SSL_CTX_set_cert_verify_callback(ssl_ctx, verify_by_pin, (void *)(uintptr_t)pin);
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
}

/* HTTP/1.1 is what we speak; a client that offers others as well is told so (RFC 7301). */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length,
                           const unsigned char *in, unsigned int in_length, void *unused) {
    (void)ssl, (void)unused;
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen = NULL;
    int found = SSL_select_next_proto(&chosen, out_length, ours, sizeof ours - 1, in, in_length);
    *out = chosen;
    return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

static SSL_CTX *context_new(bool is_server) {
    SSL_CTX *context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (context == NULL) {
        return NULL;
    }
    if (SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(context, tls12_ciphers) != 1) {
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* One system call per record instead of two. What was read too far is found by SSL_has_pending. */
    SSL_CTX_set_read_ahead(context, 1);
    /* Tickets hold the session at the client: nothing is kept for those who may never come back. */
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

static SSL_CTX *server_context(slice certificate_pem, slice key_pem, error *err) {
    static const unsigned char session_context[] = "cellule";
    tls_clear_errors();
    SSL_CTX *context = context_new(true);
    if (context == NULL) {
        tls_error(err, "cannot set up TLS");
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_num_tickets(context, 1);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    bool good = SSL_CTX_set_session_id_context(context, session_context, sizeof session_context - 1) == 1 ||
                tls_error(err, "cannot set up TLS");
    good = good && (use_certificates(context, certificate_pem) ||
                    tls_error(err, "the TLS certificate cannot be used"));
    good = good && (use_key(context, key_pem) ||
                    tls_error(err, "the TLS private key cannot be used or is not the certificate's"));
    if (!good) {
        SSL_CTX_free(context);
        return NULL;
    }
    return context;
}

static net_tls *wrap(SSL_CTX *context, bool is_server, error *err) {
    net_tls *tls = context == NULL ? NULL : memory_allocate_zeroed(1, sizeof *tls);
    if (tls == NULL) {
        if (context != NULL) {
            error_memory(err);
        }
        SSL_CTX_free(context);
        return NULL;
    }
    *tls = (net_tls){.references = 1, .context = context, .is_server = is_server};
    return tls;
}

net_tls *net_tls_server_new(slice certificate_pem, slice key_pem, error *err) {
    return wrap(server_context(certificate_pem, key_pem, err), true, err);
}

/* A client is asked, not made, to show one: what it showed is judged by whom it concerns. */
static int judge_client(X509_STORE_CTX *verification, void *unused) {
    (void)unused;
    if (X509_verify_cert(verification) != 1 && X509_STORE_CTX_get_error(verification) == X509_V_OK) {
        X509_STORE_CTX_set_error(verification, X509_V_ERR_UNSPECIFIED);
    }
    return 1;
}

/* The authority's name goes along, so that a browser doesn't offer certificates of others. */
static bool ask_clients(SSL_CTX *context, X509 *authority, error *err) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(context, judge_client, NULL);
    return (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority) == 1 &&
            SSL_CTX_add_client_CA(context, authority) == 1) ||
           tls_error(err, "cannot ask clients for certificates");
}

bool net_tls_server_ask(net_tls *tls, slice authority_pem, error *err) {
    if (!tls->is_server || tls->client_authority != NULL) {
        return error_set(err, ERROR_INTERNAL, "clients are asked by a server, for one authority");
    }
    tls_clear_errors();
    BIO *reader = pem_reader(authority_pem);
    tls->client_authority = reader == NULL ? NULL : next_certificate(reader);
    BIO_free(reader);
    return tls->client_authority == NULL ? tls_error(err, "the clients' authority cannot be used")
                                         : ask_clients(tls->context, tls->client_authority, err);
}

bool net_tls_server_reload(net_tls *tls, slice certificate_pem, slice key_pem, error *err) {
    if (!tls->is_server) {
        return error_set(err, ERROR_INTERNAL, "only a server's certificate can be replaced");
    }
    SSL_CTX *context = server_context(certificate_pem, key_pem, err);
    if (context == NULL) {
        return false;
    }
    uint8_t keys[256];
    long size = SSL_CTX_get_tlsext_ticket_keys(tls->context, NULL, 0);
    bool kept = size > 0 && size <= (long)sizeof keys &&
                SSL_CTX_get_tlsext_ticket_keys(tls->context, keys, size) == 1 &&
                SSL_CTX_set_tlsext_ticket_keys(context, keys, size) == 1;
    OPENSSL_cleanse(keys, sizeof keys);
    bool ready = kept || tls_error(err, "cannot carry over the TLS ticket keys");
    ready = ready && (tls->client_authority == NULL || ask_clients(context, tls->client_authority, err));
    if (!ready) {
        SSL_CTX_free(context);
        return false;
    }
    SSL_CTX_free(tls->context); /* open connections hold it until they end */
    tls->context = context;
    return true;
}

/* The host that a connection was made to, as expect_name was told. */
static void expected_name(SSL *ssl, char name[TLS_NAME_SIZE]) {
    X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
    const char *host = X509_VERIFY_PARAM_get0_host(expected, 0);
    char *address = host != NULL ? NULL : X509_VERIFY_PARAM_get1_ip_asc(expected);
    const char *found = host != NULL ? host : address;
    snprintf(name, TLS_NAME_SIZE, "%s", found == NULL ? "" : found);
    OPENSSL_free(address);
}

/* A session is only kept of a server whose certificate and name were verified; a copy, since OpenSSL spoils
 * its own when the connection is cut, which is just when it is wanted. */
static int keep_session(SSL *ssl, SSL_SESSION *session) {
    net_tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    SSL_SESSION *copy = SSL_get_verify_result(ssl) == X509_V_OK ? SSL_SESSION_dup(session) : NULL;
    if (copy != NULL) {
        SSL_SESSION_free(tls->session);
        tls->session = copy;
        expected_name(ssl, tls->session_name);
    }
    tls_clear_errors();
    return 0;
}

/* Resuming leaves the certificate out, so it is done only with the host that was verified by this same
 * context. The keys are fresh all the same (psk_dhe_ke, RFC 8446 §2.2). */
static void resume(net_tls *tls, SSL *ssl) {
    char name[TLS_NAME_SIZE];
    expected_name(ssl, name);
    if (tls->session != NULL && strcmp(name, tls->session_name) == 0) {
        (void)SSL_set_session(ssl, tls->session);
    }
}

net_tls *net_tls_client_new(const net_tls_client_options *options, error *err) {
    if ((options->ca_pem.length > 0) == (options->pin != NULL)) {
        error_set(err, ERROR_INVALID, "name either a CA certificate or a pin to trust");
        return NULL;
    }
    tls_clear_errors();
    SSL_CTX *context = context_new(false);
    if (context == NULL) {
        tls_error(err, "cannot set up TLS");
        return NULL;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    bool good = options->pin != NULL || trust(context, options->ca_pem) ||
                tls_error(err, "the CA certificate cannot be used");
    good = good &&
           (options->certificate_pem.length == 0 ||
            (use_certificates(context, options->certificate_pem) && use_key(context, options->key_pem)) ||
            tls_error(err, "the client's certificate cannot be used"));
    if (!good) {
        SSL_CTX_free(context);
        return NULL;
    }
    net_tls *tls = wrap(context, false, err);
    if (tls != NULL) {
        SSL_CTX_set_app_data(context, tls);
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(context, keep_session);
    }
    if (tls != NULL && options->pin != NULL) {
        memcpy(tls->pin, options->pin, sizeof tls->pin);
        net_tls_pin_apply(context, tls->pin);
    }
    return tls;
}

static bool expect_name(SSL *ssl, const char *name) {
    uint8_t address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

SSL *tls_new_session(net_tls *tls, int descriptor, const char *server_name, error *err) {
    tls_clear_errors();
    SSL *ssl = SSL_new(tls->context);
    if (ssl == NULL || SSL_set_fd(ssl, descriptor) != 1 ||
        (server_name != NULL && !expect_name(ssl, server_name))) {
        SSL_free(ssl);
        tls_error(err, "cannot start TLS");
        return NULL;
    }
    if (tls->is_server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
        resume(tls, ssl);
    }
    return ssl;
}
