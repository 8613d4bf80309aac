#include "crypto/public_key.h"

#include "base/memory.h"
#include "crypto/sign.h"
#include "crypto_internal.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

enum {
    COORDINATE_SIZE = 32,
    RSA_LEAST = 2048 / 8, /* bytes of a modulus */
    RSA_MOST = 8192 / 8,
    EXPONENT_MOST = 4,
    ECDSA_DER_MAX = 80
};

struct public_key {
    public_key_algorithm algorithm;
    EVP_PKEY *key; /* NULL for Ed25519 */
    uint8_t bytes[SIGN_PUBLIC_SIZE];
};

static public_key *make(public_key_algorithm algorithm, error *err) {
    public_key *key = memory_allocate_zeroed(1, sizeof *key);
    if (key == NULL) {
        error_memory(err);
        return NULL;
    }
    key->algorithm = algorithm;
    return key;
}

void public_key_free(public_key *key) {
    if (key != NULL) {
        EVP_PKEY_free(key->key);
        memory_free(key);
    }
}

public_key_algorithm public_key_algorithm_of(const public_key *key) {
    return key->algorithm;
}

public_key *public_key_eddsa(slice bytes, error *err) {
    if (bytes.length != SIGN_PUBLIC_SIZE) {
        error_set(err, ERROR_INVALID, "an Ed25519 key has %d bytes", SIGN_PUBLIC_SIZE);
        return NULL;
    }
    public_key *key = make(PUBLIC_KEY_EDDSA, err);
    if (key != NULL) {
        memcpy(key->bytes, bytes.data, SIGN_PUBLIC_SIZE);
    }
    return key;
}

/* A key of OpenSSL's from its parts, checked. */
static EVP_PKEY *from_parameters(const char *kind, OSSL_PARAM *parameters, error *err) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    bool good = context != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
                EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) == 1;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_CTX *check = good ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    good = check != NULL && EVP_PKEY_public_check(check) == 1;
    EVP_PKEY_CTX_free(check);
    if (!good) {
        EVP_PKEY_free(key);
        crypto_openssl_error(err, "not a good public key");
        err->code = err->code == ERROR_MEMORY ? ERROR_MEMORY : ERROR_INVALID;
        return NULL;
    }
    return key;
}

static public_key *wrap(public_key_algorithm algorithm, EVP_PKEY *inner, error *err) {
    public_key *key = inner == NULL ? NULL : make(algorithm, err);
    if (key == NULL) {
        EVP_PKEY_free(inner);
        return NULL;
    }
    key->key = inner;
    return key;
}

public_key *public_key_es256(slice x, slice y, error *err) {
    uint8_t point[1 + 2 * COORDINATE_SIZE] = {POINT_CONVERSION_UNCOMPRESSED};
    char group[] = "P-256";
    if (x.length != COORDINATE_SIZE || y.length != COORDINATE_SIZE) {
        error_set(err, ERROR_INVALID, "a point of P-256 has two coordinates of %d bytes", COORDINATE_SIZE);
        return NULL;
    }
    memcpy(point + 1, x.data, COORDINATE_SIZE);
    memcpy(point + 1 + COORDINATE_SIZE, y.data, COORDINATE_SIZE);
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point),
        OSSL_PARAM_construct_end()};
    return wrap(PUBLIC_KEY_ES256, from_parameters("EC", parameters, err), err);
}

static EVP_PKEY *rsa_key(slice modulus, slice exponent, error *err) {
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn(modulus.data, (int)modulus.length, NULL);
    BIGNUM *e = BN_bin2bn(exponent.data, (int)exponent.length, NULL);
    OSSL_PARAM *parameters = NULL;
    if (builder != NULL && n != NULL && e != NULL &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) == 1 &&
        OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e) == 1) {
        parameters = OSSL_PARAM_BLD_to_param(builder);
    }
    EVP_PKEY *key = NULL;
    if (parameters == NULL) {
        ERR_clear_error();
        error_memory(err);
    } else {
        key = from_parameters("RSA", parameters, err);
    }
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    BN_free(n);
    BN_free(e);
    return key;
}

public_key *public_key_rs256(slice modulus, slice exponent, error *err) {
    bool modulus_fits = modulus.length >= RSA_LEAST && modulus.length <= RSA_MOST &&
                        modulus.data[0] >= 0x80 && (modulus.data[modulus.length - 1] & 1) != 0;
    bool exponent_fits = exponent.length >= 1 && exponent.length <= EXPONENT_MOST && exponent.data[0] != 0 &&
                         (exponent.data[exponent.length - 1] & 1) != 0 &&
                         (exponent.length > 1 || exponent.data[0] >= 3);
    if (!modulus_fits || !exponent_fits) {
        error_set(err, ERROR_INVALID, "an RSA key has 2048 to 8192 bits and an odd exponent of 3 or more");
        return NULL;
    }
    return wrap(PUBLIC_KEY_RS256, rsa_key(modulus, exponent, err), err);
}

/* r ‖ s as OpenSSL wants it: 0 if it isn't one, or memory is out. */
static size_t ecdsa_der(slice signature, uint8_t der[ECDSA_DER_MAX]) {
    if (signature.length != 2 * COORDINATE_SIZE) {
        return 0;
    }
    ECDSA_SIG *parts = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.data, COORDINATE_SIZE, NULL);
    BIGNUM *s = BN_bin2bn(signature.data + COORDINATE_SIZE, COORDINATE_SIZE, NULL);
    int length = 0;
    if (parts == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(parts, r, s) != 1) {
        BN_free(r);
        BN_free(s);
    } else {
        length = i2d_ECDSA_SIG(parts, NULL);
        uint8_t *end = der;
        length = length > 0 && length <= ECDSA_DER_MAX ? i2d_ECDSA_SIG(parts, &end) : 0;
    }
    ECDSA_SIG_free(parts);
    return length > 0 ? (size_t)length : 0;
}

static bool verify_with_openssl(const public_key *key, slice message, slice signature) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good =
        context != NULL &&
        EVP_DigestVerifyInit_ex(context, NULL, "SHA256", NULL, NULL, key->key, NULL) == 1 &&
        EVP_DigestVerify(context, signature.data, signature.length, message.data, message.length) == 1;
    EVP_MD_CTX_free(context);
    ERR_clear_error();
    return good;
}

bool public_key_verify(const public_key *key, slice message, slice signature) {
    uint8_t der[ECDSA_DER_MAX];
    size_t length = 0;
    switch (key->algorithm) {
    case PUBLIC_KEY_EDDSA:
        return signature.length == SIGN_SIGNATURE_SIZE && sign_verify(key->bytes, message, signature.data);
    case PUBLIC_KEY_ES256:
        length = ecdsa_der(signature, der);
        return length > 0 && verify_with_openssl(key, message, slice_of(der, length));
    case PUBLIC_KEY_RS256:
        return verify_with_openssl(key, message, signature);
    }
    return false;
}
