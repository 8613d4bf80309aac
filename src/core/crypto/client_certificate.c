#include "certificate_internal.h"
#include "crypto_internal.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

bool certificate_make_client_key(buffer *key_pem, buffer *public_key, error *err) {
    unsigned char *der = NULL;
    if (crypto_algorithms_get(err) == NULL) {
        return false;
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    int length = key == NULL ? 0 : i2d_PUBKEY(key, &der);
    bool made = length > 0 || crypto_openssl_error(err, "making a P-256 key");
    made = made && (buffer_append(public_key, slice_of(der, (size_t)length)) || error_memory(err));
    if (made) {
        BIO *bio = BIO_new(BIO_s_mem());
        bool written = bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
        made = certificate_take_pem(bio, written, key_pem, err);
    }
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    return made;
}

static bool is_p256(const EVP_PKEY *key) {
    char group[32] = "";
    return EVP_PKEY_is_a(key, "EC") == 1 &&
           EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

/* A point that isn't on the curve doesn't decode. */
static EVP_PKEY *read_public_key(slice der, error *err) {
    const unsigned char *bytes = der.data;
    EVP_PKEY *key =
        der.length > CERTIFICATE_PUBLIC_KEY_MAX ? NULL : d2i_PUBKEY(NULL, &bytes, (long)der.length);
    bool memory = key == NULL && ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
    if (key != NULL && bytes == der.data + der.length && is_p256(key)) {
        return key;
    }
    ERR_clear_error();
    EVP_PKEY_free(key);
    if (memory) {
        error_memory(err);
    } else {
        error_set(err, ERROR_INVALID, "this is not a public key of the curve P-256");
    }
    return NULL;
}

static bool write_certificate(X509 *certificate, buffer *pem, error *err) {
    BIO *bio = BIO_new(BIO_s_mem());
    bool written = bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;
    return certificate_take_pem(bio, written, pem, err);
}

bool certificate_issue_client(const certificate_pair *authority, const certificate_client *client,
                              uint64_t now_unix_ms, buffer *certificate, error *err) {
    X509 *issuer = NULL;
    EVP_PKEY *issuer_key = NULL;
    X509 *made = NULL;
    bool good = certificate_read_authority(authority, &issuer, &issuer_key, err);
    EVP_PKEY *key = good ? read_public_key(client->public_key, err) : NULL;
    if (key != NULL) {
        made = X509_new();
        good = (made != NULL && X509_set_version(made, X509_VERSION_3) == 1 &&
                X509_set_pubkey(made, key) == 1) ||
               crypto_openssl_error(err, "making a certificate");
        good = good && certificate_set_serial(made, err) &&
               certificate_set_validity(made, now_unix_ms, client->until_unix_ms, err) &&
               certificate_set_name(X509_get_subject_name(made), client->common_name, err) &&
               certificate_add_extension(made, issuer, NID_basic_constraints, "critical,CA:FALSE", err) &&
               certificate_add_extension(made, issuer, NID_key_usage, "critical,digitalSignature", err) &&
               certificate_add_extension(made, issuer, NID_ext_key_usage, "clientAuth", err) &&
               certificate_add_extension(made, issuer, NID_authority_key_identifier, "keyid:always", err) &&
               certificate_finish(made, X509_get_subject_name(issuer), issuer_key, err) &&
               write_certificate(made, certificate, err);
    }
    X509_free(made);
    EVP_PKEY_free(key);
    X509_free(issuer);
    EVP_PKEY_free(issuer_key);
    return key != NULL && good;
}
