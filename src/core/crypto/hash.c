#include "crypto/hash.h"

#include "base/memory.h"
#include "crypto/secret.h"
#include "crypto_internal.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <sodium.h>

enum { DERIVED_LIMIT = 255 * HASH_SIZE };

struct hash {
    EVP_MD_CTX *context;
    bool failed;
};

bool hash_sha256(slice bytes, uint8_t digest[HASH_SIZE], error *err) {
    memset(digest, 0, HASH_SIZE);
    const crypto_algorithms *algorithms = crypto_algorithms_get(err);
    if (algorithms == NULL) {
        return false;
    }
    return EVP_Digest(bytes.data, bytes.length, digest, NULL, algorithms->sha256, NULL) == 1 ||
           crypto_no_memory(err);
}

hash *hash_new(error *err) {
    const crypto_algorithms *algorithms = crypto_algorithms_get(err);
    if (algorithms == NULL) {
        return NULL;
    }
    hash *h = memory_allocate_zeroed(1, sizeof *h);
    if (h == NULL) {
        error_memory(err);
        return NULL;
    }
    h->context = EVP_MD_CTX_new();
    if (h->context == NULL || EVP_DigestInit_ex2(h->context, algorithms->sha256, NULL) != 1) {
        crypto_no_memory(err);
        hash_free(h);
        return NULL;
    }
    return h;
}

void hash_update(hash *h, slice bytes) {
    h->failed = h->failed || EVP_DigestUpdate(h->context, bytes.data, bytes.length) != 1;
}

bool hash_finish(hash *h, uint8_t digest[HASH_SIZE], error *err) {
    memset(digest, 0, HASH_SIZE);
    bool good = !h->failed && EVP_DigestFinal_ex(h->context, digest, NULL) == 1;
    /* NULL: the same algorithm again. */
    h->failed = EVP_DigestInit_ex2(h->context, NULL, NULL) != 1;
    return good || crypto_no_memory(err);
}

void hash_free(hash *h) {
    if (h != NULL) {
        EVP_MD_CTX_free(h->context);
        memory_free(h);
    }
}

bool hash_hmac(slice key, slice bytes, uint8_t mac[HASH_SIZE], error *err) {
    memset(mac, 0, HASH_SIZE);
    const crypto_algorithms *algorithms = crypto_algorithms_get(err);
    if (algorithms == NULL) {
        return false;
    }
    if (key.length == 0) {
        return error_set(err, ERROR_INTERNAL, "HMAC with an empty key");
    }
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(algorithms->hmac);
    bool good = context != NULL && EVP_MAC_init(context, key.data, key.length, parameters) == 1 &&
                EVP_MAC_update(context, bytes.data, bytes.length) == 1 &&
                EVP_MAC_final(context, mac, NULL, HASH_SIZE) == 1;
    EVP_MAC_CTX_free(context);
    return good || crypto_openssl_error(err, "computing an HMAC");
}

static OSSL_PARAM octets(const char *name, slice bytes) {
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)bytes.data, bytes.length);
}

bool hash_derive(slice key, slice salt, slice info, uint8_t *derived, size_t length, error *err) {
    if (key.length == 0 || length == 0 || length > DERIVED_LIMIT) {
        return error_set(err, ERROR_INTERNAL, "HKDF with an empty key or %zu bytes asked for", length);
    }
    memset(derived, 0, length);
    const crypto_algorithms *algorithms = crypto_algorithms_get(err);
    if (algorithms == NULL) {
        return false;
    }
    char digest[] = "SHA256";
    OSSL_PARAM parameters[5];
    size_t count = 0;
    parameters[count++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
    parameters[count++] = octets(OSSL_KDF_PARAM_KEY, key);
    if (salt.length > 0) {
        parameters[count++] = octets(OSSL_KDF_PARAM_SALT, salt);
    }
    if (info.length > 0) {
        parameters[count++] = octets(OSSL_KDF_PARAM_INFO, info);
    }
    parameters[count] = OSSL_PARAM_construct_end();
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(algorithms->hkdf);
    bool good = context != NULL && EVP_KDF_derive(context, derived, length, parameters) == 1;
    EVP_KDF_CTX_free(context);
    if (!good) {
        memset(derived, 0, length);
    }
    return good || crypto_openssl_error(err, "deriving a key");
}

bool hash_pbkdf2(slice password, slice salt, uint64_t iterations, uint8_t *derived, size_t length,
                 error *err) {
    if (password.length == 0 || salt.length == 0 || iterations == 0 || length == 0) {
        return error_set(err, ERROR_INTERNAL,
                         "PBKDF2 of nothing, without salt, without work, or to no bytes");
    }
    memset(derived, 0, length);
    const crypto_algorithms *algorithms = crypto_algorithms_get(err);
    if (algorithms == NULL) {
        return false;
    }
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
                               octets(OSSL_KDF_PARAM_PASSWORD, password), octets(OSSL_KDF_PARAM_SALT, salt),
                               OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_ITER, &iterations),
                               OSSL_PARAM_construct_end()};
    EVP_KDF_CTX *context = EVP_KDF_CTX_new(algorithms->pbkdf2);
    bool good = context != NULL && EVP_KDF_derive(context, derived, length, parameters) == 1;
    EVP_KDF_CTX_free(context);
    if (!good) {
        secret_wipe(derived, length);
    }
    return good || crypto_openssl_error(err, "deriving a key of a password");
}

bool hash_equal(const void *a, const void *b, size_t length) {
    return sodium_memcmp(a, b, length) == 0;
}

void hex_encode(slice bytes, char *text) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.length; i++) {
        text[2 * i] = digits[bytes.data[i] >> 4];
        text[2 * i + 1] = digits[bytes.data[i] & 15];
    }
    text[2 * bytes.length] = '\0';
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_decode(slice text, uint8_t *bytes, size_t length) {
    bool good = length <= SIZE_MAX / 2 && text.length == 2 * length;
    for (size_t i = 0; good && i < length; i++) {
        int high = hex_digit(text.data[2 * i]);
        int low = hex_digit(text.data[2 * i + 1]);
        good = high >= 0 && low >= 0;
        bytes[i] = (uint8_t)(high * 16 + low);
    }
    if (!good && length > 0) {
        memset(bytes, 0, length);
    }
    return good;
}
