#ifndef CRYPTO_CERTIFICATE_H
#define CRYPTO_CERTIFICATE_H

#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"

/* The site's own authority and the certificates it issues (X.509 v3, RFC 5280): P-256, SHA-256, random
 * 128-bit serial numbers. Valid from an hour before `now_unix_ms`, so that a slow clock doesn't refuse it. */
enum {
    CERTIFICATE_PIN_SIZE = 32,
    CERTIFICATE_AUTHORITY_DAYS = 3650,
    CERTIFICATE_SERVER_DAYS = 397,
    CERTIFICATE_PUBLIC_KEY_MAX = 128 /* bytes of a SubjectPublicKeyInfo; 91 for P-256 */
};

/* Both in PEM; the key (PKCS#8, not encrypted) is a secret: certificate_pair_free wipes it. */
typedef struct certificate_pair {
    buffer certificate;
    buffer key;
} certificate_pair;

/* Empty and ready to be filled; also what a caller reads the two files into. */
certificate_pair certificate_pair_make(void);
void certificate_pair_free(certificate_pair *pair);

/* DNS names ("pool.example", "localhost") and addresses ("192.0.2.1", "::1") of a server; at least one. */
typedef struct certificate_names {
    const char *const *names;
    size_t name_count;
    const char *const *addresses;
    size_t address_count;
} certificate_names;

/* A self-signed authority that may sign no other authority (pathlen 0). `common_name`: 1 to 64 characters. */
MUST_CHECK bool certificate_make_authority(const char *common_name, uint64_t now_unix_ms,
                                           certificate_pair *authority, error *err);
/* A TLS server's certificate signed by `authority`; ERROR_INVALID names a name or address that is not one. */
MUST_CHECK bool certificate_issue_server(const certificate_pair *authority, const certificate_names *names,
                                         uint64_t now_unix_ms, certificate_pair *server, error *err);
/* Another certificate and key with the names of the one before, from the same authority. ERROR_CONFLICT: that
 * one is from another authority. */
MUST_CHECK bool certificate_renew_server(const certificate_pair *authority, slice former_pem,
                                         uint64_t now_unix_ms, certificate_pair *server, error *err);
/* The same, but the new one is from the authority `to`. */
MUST_CHECK bool certificate_move_server(const certificate_pair *from, const certificate_pair *to,
                                        slice former_pem, uint64_t now_unix_ms, certificate_pair *server,
                                        error *err);
/* Another authority with the same name; `bridge` is its key certified by the one before, so that who trusts
 * only that one trusts what the new one issues, when the bridge is presented too (for
 * CERTIFICATE_SERVER_DAYS). RFC 4210 appendix E. */
MUST_CHECK bool certificate_make_successor(const certificate_pair *authority, uint64_t now_unix_ms,
                                           certificate_pair *successor, buffer *bridge, error *err);
/* How many certificates a chain in PEM has. */
size_t certificate_count(slice chain_pem);
/* A new key to show in TLS as a client: PKCS#8 in PEM, a secret for the caller to wipe, and its public half
 * (SubjectPublicKeyInfo, DER). Both are appended. */
MUST_CHECK bool certificate_make_client_key(buffer *key_pem, buffer *public_key, error *err);
/* A TLS client's certificate for whoever holds the other half of `public_key`, which must be P-256
 * (ERROR_INVALID). Replaces what `certificate` holds, in PEM. */
typedef struct certificate_client {
    slice public_key;        /* as certificate_make_client_key gives it */
    const char *common_name; /* 1 to 64 characters */
    uint64_t until_unix_ms;
} certificate_client;
MUST_CHECK bool certificate_issue_client(const certificate_pair *authority, const certificate_client *client,
                                         uint64_t now_unix_ms, buffer *certificate, error *err);
/* SHA-256 of the SubjectPublicKeyInfo (RFC 7469 §2.4): `capin` in a join token, when given the authority's.
 */
MUST_CHECK bool certificate_pin(slice certificate_pem, uint8_t pin[CERTIFICATE_PIN_SIZE], error *err);
/* When it begins, and when it ends. */
MUST_CHECK bool certificate_start(slice certificate_pem, uint64_t *unix_ms, error *err);
MUST_CHECK bool certificate_expiry(slice certificate_pem, uint64_t *unix_ms, error *err);

#endif
