#include "certificate_internal.h"
#include "crypto_internal.h"

#include <openssl/err.h>

/* What follows a certificate that is there. */

static bool is_issued_by(X509 *certificate, X509 *authority) {
    EVP_PKEY *key = X509_get0_pubkey(authority);
    bool issued = X509_check_issued(authority, certificate) == X509_V_OK && key != NULL &&
                  X509_verify(certificate, key) == 1;
    ERR_clear_error();
    return issued;
}

bool certificate_renew_server(const certificate_pair *authority, slice former_pem, uint64_t now_unix_ms,
                              certificate_pair *server, error *err) {
    return certificate_move_server(authority, authority, former_pem, now_unix_ms, server, err);
}

bool certificate_move_server(const certificate_pair *from, const certificate_pair *to, slice former_pem,
                             uint64_t now_unix_ms, certificate_pair *server, error *err) {
    X509 *old_authority = certificate_read(buffer_slice(&from->certificate), err);
    X509 *former = old_authority == NULL ? NULL : certificate_read(former_pem, err);
    GENERAL_NAMES *names = NULL;
    X509 *authority = NULL;
    EVP_PKEY *key = NULL;
    bool good = former != NULL && (is_issued_by(former, old_authority) ||
                                   error_set(err, ERROR_CONFLICT,
                                             "the server's certificate isn't from the site's own authority"));
    if (good) {
        names = X509_get_ext_d2i(former, NID_subject_alt_name, NULL, NULL);
        good = names != NULL || crypto_openssl_error(err, "reading the certificate's names");
    }
    good = good && certificate_read_authority(to, &authority, &key, err) &&
           certificate_issue(authority, key, names, now_unix_ms, server, err);
    GENERAL_NAMES_free(names);
    X509_free(old_authority);
    X509_free(former);
    X509_free(authority);
    EVP_PKEY_free(key);
    return good;
}

/* The successor's key, signed by the authority that is there: "new with old" (RFC 4210 appendix E). It is
 * self-issued, for the name is the same, and so doesn't count for the length of a path. */
static bool make_bridge(X509 *authority, EVP_PKEY *authority_key, EVP_PKEY *key, uint64_t now_unix_ms,
                        buffer *bridge, error *err) {
    X509 *certificate = certificate_begin(key, now_unix_ms, CERTIFICATE_SERVER_DAYS, err);
    bool good = certificate != NULL &&
                (X509_set_subject_name(certificate, X509_get_subject_name(authority)) == 1 ||
                 crypto_openssl_error(err, "setting the name")) &&
                certificate_add_authority(certificate, authority, err) &&
                certificate_finish(certificate, X509_get_subject_name(authority), authority_key, err);
    if (good) {
        BIO *bio = BIO_new(BIO_s_mem());
        bool written = bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;
        good = certificate_take_pem(bio, written, bridge, err);
    }
    X509_free(certificate);
    return good;
}

static bool make_root(X509 *authority, EVP_PKEY *key, uint64_t now_unix_ms, certificate_pair *successor,
                      error *err) {
    X509 *root = certificate_begin(key, now_unix_ms, CERTIFICATE_AUTHORITY_DAYS, err);
    bool good = root != NULL &&
                (X509_set_subject_name(root, X509_get_subject_name(authority)) == 1 ||
                 crypto_openssl_error(err, "setting the name")) &&
                certificate_add_authority(root, root, err) &&
                certificate_finish(root, X509_get_subject_name(root), key, err) &&
                certificate_write_pair(root, key, successor, err);
    X509_free(root);
    return good;
}

bool certificate_make_successor(const certificate_pair *authority, uint64_t now_unix_ms,
                                certificate_pair *successor, buffer *bridge, error *err) {
    X509 *certificate = NULL;
    EVP_PKEY *old_key = NULL;
    EVP_PKEY *key = NULL;
    bool good = certificate_read_authority(authority, &certificate, &old_key, err);
    key = good ? certificate_make_key(err) : NULL;
    good = key != NULL && make_root(certificate, key, now_unix_ms, successor, err) &&
           make_bridge(certificate, old_key, key, now_unix_ms, bridge, err);
    X509_free(certificate);
    EVP_PKEY_free(old_key);
    EVP_PKEY_free(key);
    return good;
}

size_t certificate_count(slice chain_pem) {
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    size_t count = 0;
    for (size_t i = 0; i + sizeof begin - 1 <= chain_pem.length; i++) {
        count += slice_starts_with(slice_after(chain_pem, i), slice_of_text(begin));
    }
    return count;
}
