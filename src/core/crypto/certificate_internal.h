#ifndef CRYPTO_CERTIFICATE_INTERNAL_H
#define CRYPTO_CERTIFICATE_INTERNAL_H

#include "crypto/certificate.h"

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* The steps in which certificates are read and made: servers' and authorities' (certificate.c), what follows
 * them (certificate_renew.c), clients' (client_certificate.c). What is returned is the caller's; NULL on
 * failure. */
X509 *certificate_read(slice pem, error *err); /* the first one */
EVP_PKEY *certificate_read_key(slice pem, error *err);
/* The caller frees both. ERROR_CORRUPT: they don't belong together, or it is no authority; NULL and NULL on
 * any failure. */
MUST_CHECK bool certificate_read_authority(const certificate_pair *authority, X509 **certificate,
                                           EVP_PKEY **key, error *err);

EVP_PKEY *certificate_make_key(error *err);
/* With key, serial number and dates. */
X509 *certificate_begin(EVP_PKEY *key, uint64_t now_unix_ms, int days, error *err);
MUST_CHECK bool certificate_set_serial(X509 *certificate, error *err);
/* From the clock's allowance before `now_unix_ms`. */
MUST_CHECK bool certificate_set_validity(X509 *certificate, uint64_t now_unix_ms, uint64_t until_unix_ms,
                                         error *err);
MUST_CHECK bool certificate_set_name(X509_NAME *name, const char *common_name, error *err);
MUST_CHECK bool certificate_add_extension(X509 *certificate, X509 *issuer, int kind, const char *value,
                                          error *err);
/* What makes it an authority's. */
MUST_CHECK bool certificate_add_authority(X509 *certificate, X509 *issuer, error *err);
/* The issuer's name and signature. */
MUST_CHECK bool certificate_finish(X509 *certificate, X509_NAME *issuer, EVP_PKEY *issuer_key, error *err);
/* A server's, with a key of its own. */
MUST_CHECK bool certificate_issue(X509 *authority, EVP_PKEY *authority_key, GENERAL_NAMES *names,
                                  uint64_t now_unix_ms, certificate_pair *server, error *err);

/* What was written to `bio`, which is taken and freed, replaces what `pem` holds. */
MUST_CHECK bool certificate_take_pem(BIO *bio, bool written, buffer *pem, error *err);
MUST_CHECK bool certificate_write_pair(X509 *certificate, EVP_PKEY *key, certificate_pair *pair, error *err);

#endif
