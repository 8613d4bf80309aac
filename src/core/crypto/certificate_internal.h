#ifndef CRYPTO_CERTIFICATE_INTERNAL_H
#define CRYPTO_CERTIFICATE_INTERNAL_H

#include "crypto/certificate.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* The steps in which certificates are read and made. What is returned is the caller's; NULL on failure. */
X509 *certificate_read(slice pem, error *err); /* the first one */
EVP_PKEY *certificate_read_key(slice pem, error *err);
/* Both, and that they belong together; the caller frees both. NULL and NULL on failure. */
MUST_CHECK bool certificate_open_authority(const certificate_pair *authority, X509 **certificate,
                                           EVP_PKEY **key, error *err);

EVP_PKEY *certificate_make_key(error *err);
/* With key, serial number and dates. */
X509 *certificate_begin(EVP_PKEY *key, uint64_t now_unix_ms, int days, error *err);
MUST_CHECK bool certificate_add_extension(X509 *certificate, X509 *issuer, int kind, const char *value,
                                          error *err);
/* What makes it an authority's. */
MUST_CHECK bool certificate_add_authority(X509 *certificate, X509 *issuer, error *err);
/* The issuer's name and signature. */
MUST_CHECK bool certificate_finish(X509 *certificate, X509_NAME *issuer, EVP_PKEY *issuer_key, error *err);
/* A server's, with a key of its own. */
MUST_CHECK bool certificate_issue(X509 *authority, EVP_PKEY *authority_key, GENERAL_NAMES *names,
                                  uint64_t now_unix_ms, certificate_pair *server, error *err);

/* `bio` is taken and freed. */
MUST_CHECK bool certificate_take_text(BIO *bio, bool written, buffer *pem, error *err);
MUST_CHECK bool certificate_write_pair(X509 *certificate, EVP_PKEY *key, certificate_pair *pair, error *err);

#endif
