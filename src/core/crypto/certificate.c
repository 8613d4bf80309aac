#include "crypto/certificate.h"

#include "certificate_internal.h"
#include "crypto/hash.h"
#include "crypto_internal.h"
#include "os/host.h"
#include "os/random.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

enum {
    PEM_LIMIT = 64 * 1024,
    SERIAL_SIZE = 16,
    NAME_LIMIT = 64, /* ub-common-name, RFC 5280 appendix A.1 */
    CLOCK_ALLOWANCE_SECONDS = 3600,
    MILLISECONDS_A_DAY = 86400000
};

certificate_pair certificate_pair_make(void) {
    return (certificate_pair){.certificate = buffer_make(PEM_LIMIT), .key = buffer_make(PEM_LIMIT)};
}

void certificate_pair_free(certificate_pair *pair) {
    buffer_free(&pair->certificate);
    buffer_wipe(&pair->key);
}

/* Positive, as RFC 5280 §4.1.2.2 asks: a leading bit that is set gets a zero byte before it. */
bool certificate_set_serial(X509 *certificate, error *err) {
    uint8_t bytes[SERIAL_SIZE];
    if (!random_bytes(bytes, sizeof bytes, err)) {
        return false;
    }
    BIGNUM *number = BN_bin2bn(bytes, sizeof bytes, NULL);
    ASN1_INTEGER *serial = X509_get_serialNumber(certificate);
    bool good = number != NULL && !BN_is_zero(number) && BN_to_ASN1_INTEGER(number, serial) != NULL;
    BN_free(number);
    return good || crypto_openssl_error(err, "making a serial number");
}

bool certificate_set_validity(X509 *certificate, uint64_t now_unix_ms, uint64_t until_unix_ms, error *err) {
    int64_t now = (int64_t)(now_unix_ms / 1000);
    time_t from = now > CLOCK_ALLOWANCE_SECONDS ? (time_t)(now - CLOCK_ALLOWANCE_SECONDS) : 0;
    time_t until = (time_t)(until_unix_ms / 1000);
    return (ASN1_TIME_set(X509_getm_notBefore(certificate), from) != NULL &&
            ASN1_TIME_set(X509_getm_notAfter(certificate), until) != NULL) ||
           crypto_openssl_error(err, "setting the dates");
}

bool certificate_set_name(X509_NAME *name, const char *common_name, error *err) {
    return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1,
                                      0) == 1 ||
           crypto_openssl_error(err, "setting the name");
}

bool certificate_add_extension(X509 *certificate, X509 *issuer, int kind, const char *value, error *err) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    bool good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good || crypto_openssl_error(err, "adding an extension");
}

static GENERAL_NAME *make_dns_name(const char *text, error *err) {
    if (!host_is_dns_name(slice_of_text(text))) {
        error_set(err, ERROR_INVALID, "\"%s\" is not a DNS name", text);
        return NULL;
    }
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_IA5STRING *value = ASN1_IA5STRING_new();
    if (name == NULL || value == NULL || ASN1_STRING_set(value, text, -1) != 1) {
        crypto_openssl_error(err, "making a name");
        GENERAL_NAME_free(name);
        ASN1_IA5STRING_free(value);
        return NULL;
    }
    GENERAL_NAME_set0_value(name, GEN_DNS, value);
    return name;
}

static GENERAL_NAME *make_address(const char *text, error *err) {
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_OCTET_STRING *value = name == NULL ? NULL : a2i_IPADDRESS(text);
    if (name == NULL) {
        crypto_openssl_error(err, "making an address");
    } else if (value == NULL) {
        bool memory = ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
        ERR_clear_error();
        if (memory) {
            error_memory(err);
        } else {
            error_set(err, ERROR_INVALID, "\"%s\" is not an IP address", text);
        }
        GENERAL_NAME_free(name);
        name = NULL;
    } else {
        GENERAL_NAME_set0_value(name, GEN_IPADD, value);
    }
    return name;
}

static bool push(GENERAL_NAMES *list, GENERAL_NAME *name, error *err) {
    if (name == NULL) {
        return false;
    }
    if (sk_GENERAL_NAME_push(list, name) <= 0) {
        GENERAL_NAME_free(name);
        return crypto_openssl_error(err, "collecting the names");
    }
    return true;
}

/* The caller frees the list, also on failure. */
static bool collect_names(const certificate_names *names, GENERAL_NAMES **list, error *err) {
    if (names->name_count + names->address_count == 0) {
        return error_set(err, ERROR_INVALID, "a server certificate needs at least one name or address");
    }
    *list = GENERAL_NAMES_new();
    bool good = *list != NULL || crypto_openssl_error(err, "collecting the names");
    for (size_t i = 0; good && i < names->name_count; i++) {
        good = push(*list, make_dns_name(names->names[i], err), err);
    }
    for (size_t i = 0; good && i < names->address_count; i++) {
        good = push(*list, make_address(names->addresses[i], err), err);
    }
    return good;
}

bool certificate_take_pem(BIO *bio, bool written, buffer *pem, error *err) {
    const char *text = NULL;
    long length = bio == NULL || !written ? 0 : BIO_get_mem_data(bio, &text);
    bool good = length > 0 || crypto_openssl_error(err, "writing PEM");
    if (good) {
        buffer_clear(pem);
        good = buffer_append(pem, slice_of(text, (size_t)length)) || error_memory(err);
    }
    BIO_free(bio); /* a memory BIO wipes what it frees */
    return good;
}

bool certificate_write_pair(X509 *certificate, EVP_PKEY *key, certificate_pair *pair, error *err) {
    BIO *bio = BIO_new(BIO_s_mem());
    bool written = bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;
    bool good = certificate_take_pem(bio, written, &pair->certificate, err);
    if (good) {
        bio = BIO_new(BIO_s_mem());
        written = bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;
        good = certificate_take_pem(bio, written, &pair->key, err);
    }
    if (!good) {
        certificate_pair_free(pair);
    }
    return good;
}

EVP_PKEY *certificate_make_key(error *err) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (key == NULL) {
        crypto_openssl_error(err, "making a P-256 key");
    }
    return key;
}

X509 *certificate_begin(EVP_PKEY *key, uint64_t now_unix_ms, int days, error *err) {
    X509 *certificate = X509_new();
    bool good = (certificate != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
                 X509_set_pubkey(certificate, key) == 1) ||
                crypto_openssl_error(err, "making a certificate");
    uint64_t lifetime = (uint64_t)days * MILLISECONDS_A_DAY - (uint64_t)CLOCK_ALLOWANCE_SECONDS * 1000;
    good = good && certificate_set_serial(certificate, err) &&
           certificate_set_validity(certificate, now_unix_ms, now_unix_ms + lifetime, err);
    if (!good) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

bool certificate_finish(X509 *certificate, X509_NAME *issuer, EVP_PKEY *issuer_key, error *err) {
    return (X509_set_issuer_name(certificate, issuer) == 1 &&
            X509_sign(certificate, issuer_key, EVP_sha256()) > 0) ||
           crypto_openssl_error(err, "signing a certificate");
}

bool certificate_add_authority(X509 *certificate, X509 *issuer, error *err) {
    return certificate_add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0",
                                     err) &&
           certificate_add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign",
                                     err) &&
           certificate_add_extension(certificate, issuer, NID_subject_key_identifier, "hash", err) &&
           certificate_add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always", err);
}

bool certificate_make_authority(const char *common_name, uint64_t now_unix_ms, certificate_pair *authority,
                                error *err) {
    if (crypto_algorithms_get(err) == NULL) {
        return false;
    }
    slice name = slice_of_text(common_name);
    if (name.length == 0 || name.length > NAME_LIMIT || !slice_is_utf8(name)) {
        return error_set(err, ERROR_INVALID, "the name of an authority must have 1 to %d characters",
                         NAME_LIMIT);
    }
    EVP_PKEY *key = certificate_make_key(err);
    X509 *certificate =
        key == NULL ? NULL : certificate_begin(key, now_unix_ms, CERTIFICATE_AUTHORITY_DAYS, err);
    bool good = certificate != NULL &&
                certificate_set_name(X509_get_subject_name(certificate), common_name, err) &&
                certificate_add_authority(certificate, certificate, err) &&
                certificate_finish(certificate, X509_get_subject_name(certificate), key, err) &&
                certificate_write_pair(certificate, key, authority, err);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good;
}

/* Never asks a terminal for a pass phrase. */
static int no_passphrase(char *text, int size, int writing, void *user) {
    (void)text;
    (void)size;
    (void)writing;
    (void)user;
    return -1;
}

X509 *certificate_read(slice pem, error *err) {
    if (crypto_algorithms_get(err) == NULL) {
        return NULL;
    }
    BIO *bio = pem.length > PEM_LIMIT ? NULL : BIO_new_mem_buf(pem.data, (int)pem.length);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    if (certificate == NULL && crypto_openssl_error(err, "reading") == false && err->code != ERROR_MEMORY) {
        error_set(err, ERROR_CORRUPT, "this is not a certificate in PEM");
    }
    return certificate;
}

EVP_PKEY *certificate_read_key(slice pem, error *err) {
    BIO *bio = pem.length > PEM_LIMIT ? NULL : BIO_new_mem_buf(pem.data, (int)pem.length);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    if (key == NULL && crypto_openssl_error(err, "reading") == false && err->code != ERROR_MEMORY) {
        error_set(err, ERROR_CORRUPT, "this is not a private key in PEM");
    }
    return key;
}

bool certificate_issue(X509 *authority, EVP_PKEY *authority_key, GENERAL_NAMES *names, uint64_t now_unix_ms,
                       certificate_pair *server, error *err) {
    EVP_PKEY *key = certificate_make_key(err);
    X509 *certificate =
        key == NULL ? NULL : certificate_begin(key, now_unix_ms, CERTIFICATE_SERVER_DAYS, err);
    bool good =
        certificate != NULL &&
        certificate_set_name(X509_get_subject_name(certificate), "Cellule pool", err) &&
        certificate_add_extension(certificate, authority, NID_basic_constraints, "critical,CA:FALSE", err) &&
        certificate_add_extension(certificate, authority, NID_key_usage, "critical,digitalSignature", err) &&
        certificate_add_extension(certificate, authority, NID_ext_key_usage, "serverAuth", err) &&
        certificate_add_extension(certificate, authority, NID_subject_key_identifier, "hash", err) &&
        certificate_add_extension(certificate, authority, NID_authority_key_identifier, "keyid:always",
                                  err) &&
        (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1 ||
         crypto_openssl_error(err, "adding the names")) &&
        certificate_finish(certificate, X509_get_subject_name(authority), authority_key, err) &&
        certificate_write_pair(certificate, key, server, err);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good;
}

bool certificate_read_authority(const certificate_pair *authority, X509 **certificate, EVP_PKEY **key,
                                error *err) {
    *certificate = certificate_read(buffer_slice(&authority->certificate), err);
    *key = *certificate == NULL ? NULL : certificate_read_key(buffer_slice(&authority->key), err);
    bool good = *key != NULL;
    if (good && (X509_check_ca(*certificate) != 1 || X509_check_private_key(*certificate, *key) != 1)) {
        ERR_clear_error();
        good = error_set(err, ERROR_CORRUPT, "the authority's certificate and key do not belong together");
    }
    if (!good) {
        X509_free(*certificate);
        EVP_PKEY_free(*key);
        *certificate = NULL;
        *key = NULL;
    }
    return good;
}

bool certificate_issue_server(const certificate_pair *authority, const certificate_names *names,
                              uint64_t now_unix_ms, certificate_pair *server, error *err) {
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    GENERAL_NAMES *list = NULL;
    bool good = certificate_read_authority(authority, &certificate, &key, err) &&
                collect_names(names, &list, err) &&
                certificate_issue(certificate, key, list, now_unix_ms, server, err);
    GENERAL_NAMES_free(list);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return good;
}

bool certificate_pin(slice certificate_pem, uint8_t pin[CERTIFICATE_PIN_SIZE], error *err) {
    memset(pin, 0, CERTIFICATE_PIN_SIZE);
    X509 *certificate = certificate_read(certificate_pem, err);
    if (certificate == NULL) {
        return false;
    }
    unsigned char *der = NULL;
    int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    bool good = length > 0 ? hash_sha256(slice_of(der, (size_t)length), pin, err)
                           : crypto_openssl_error(err, "encoding the public key");
    OPENSSL_free(der);
    X509_free(certificate);
    return good;
}

static bool read_time(const ASN1_TIME *time, uint64_t *unix_ms, error *err) {
    struct tm parts;
    bool good = ASN1_TIME_to_tm(time, &parts) == 1;
    time_t seconds = good ? timegm(&parts) : 0;
    *unix_ms = seconds > 0 ? (uint64_t)seconds * 1000 : 0;
    return good || crypto_openssl_error(err, "reading the dates of validity");
}

bool certificate_start(slice certificate_pem, uint64_t *unix_ms, error *err) {
    X509 *certificate = certificate_read(certificate_pem, err);
    bool good = certificate != NULL && read_time(X509_get0_notBefore(certificate), unix_ms, err);
    X509_free(certificate);
    return good;
}

bool certificate_expiry(slice certificate_pem, uint64_t *unix_ms, error *err) {
    X509 *certificate = certificate_read(certificate_pem, err);
    bool good = certificate != NULL && read_time(X509_get0_notAfter(certificate), unix_ms, err);
    X509_free(certificate);
    return good;
}
