#ifndef CRYPTO_CERTIFICATE_INTERNAL_H
#define CRYPTO_CERTIFICATE_INTERNAL_H

#include "crypto/certificate.h"

#include <openssl/bio.h>
#include <openssl/x509.h>

/* What servers' certificates (certificate.c) and clients' (client_certificate.c) have in common. */

MUST_CHECK bool certificate_set_serial(X509 *certificate, error *err);
/* From the clock's allowance before `now_unix_ms`. */
MUST_CHECK bool certificate_set_validity(X509 *certificate, uint64_t now_unix_ms, uint64_t until_unix_ms,
                                         error *err);
MUST_CHECK bool certificate_set_name(X509_NAME *name, const char *common_name, error *err);
MUST_CHECK bool certificate_add_extension(X509 *certificate, X509 *issuer, int kind, const char *value,
                                          error *err);
MUST_CHECK bool certificate_finish(X509 *certificate, X509_NAME *issuer, EVP_PKEY *issuer_key, error *err);
/* What was written to `bio`, which is taken and freed, replaces what `pem` holds. */
MUST_CHECK bool certificate_take_pem(BIO *bio, bool written, buffer *pem, error *err);
/* The caller frees both, after a failure too. ERROR_CORRUPT: they don't belong together, or it is no
 * authority. */
MUST_CHECK bool certificate_read_authority(const certificate_pair *authority, X509 **certificate,
                                           EVP_PKEY **key, error *err);

#endif
