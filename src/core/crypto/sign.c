#include "crypto/sign.h"

#include "base/buffer.h"
#include "crypto/key_file.h"
#include "crypto/secret.h"

#include <sodium.h>

_Static_assert(SIGN_PUBLIC_SIZE == crypto_sign_PUBLICKEYBYTES, "Ed25519");
_Static_assert(SIGN_SEED_SIZE == crypto_sign_SEEDBYTES, "Ed25519");
_Static_assert(SIGN_SIGNATURE_SIZE == crypto_sign_BYTES, "Ed25519");

/* The DER of RFC 8410 is always this and the seed: version 0, id-Ed25519, an octet string in an octet string.
 */
static const uint8_t der_prefix[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                     0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

enum {
    DER_SIZE = sizeof der_prefix + SIGN_SEED_SIZE,
    DER_TEXT_SIZE = sodium_base64_ENCODED_LEN(DER_SIZE, sodium_base64_VARIANT_ORIGINAL),
    FILE_LIMIT = 1024
};

static const char pem_begin[] = "-----BEGIN PRIVATE KEY-----\n";
static const char pem_end[] = "\n-----END PRIVATE KEY-----\n";

/* All of it in secret memory. libsodium's secret key is the seed and the public key. */
struct sign_key {
    uint8_t public_key[SIGN_PUBLIC_SIZE];
    uint8_t secret_key[crypto_sign_SECRETKEYBYTES];
    sign_elsewhere *sign; /* NULL: secret_key is there */
    void (*drop)(void *context);
    void *context;
};

sign_key *sign_key_from_seed(const uint8_t seed[SIGN_SEED_SIZE], error *err) {
    sign_key *key = secret_allocate(sizeof *key, err);
    if (key != NULL) {
        crypto_sign_seed_keypair(key->public_key, key->secret_key, seed);
    }
    return key;
}

sign_key *sign_key_generate(error *err) {
    sign_key *key = secret_allocate(sizeof *key, err);
    if (key != NULL) {
        crypto_sign_keypair(key->public_key, key->secret_key);
    }
    return key;
}

sign_key *sign_key_elsewhere(const uint8_t public_key[SIGN_PUBLIC_SIZE], sign_elsewhere *sign,
                             void (*drop)(void *context), void *context, error *err) {
    sign_key *key = secret_allocate(sizeof *key, err);
    if (key != NULL) {
        memcpy(key->public_key, public_key, sizeof key->public_key);
        key->sign = sign;
        key->drop = drop;
        key->context = context;
    }
    return key;
}

void sign_key_free(sign_key *key) {
    if (key != NULL && key->drop != NULL) {
        key->drop(key->context);
    }
    secret_free(key);
}

const uint8_t *sign_key_public(const sign_key *key) {
    return key->public_key;
}

bool sign_bytes(const sign_key *key, slice message, uint8_t signature[SIGN_SIGNATURE_SIZE], error *err) {
    if (key->sign != NULL) {
        bool done = key->sign(key->context, message, signature, err);
        if (!done) {
            memset(signature, 0, SIGN_SIGNATURE_SIZE);
        }
        return done;
    }
    if (crypto_sign_detached(signature, NULL, message.data, message.length, key->secret_key) != 0) {
        memset(signature, 0, SIGN_SIGNATURE_SIZE);
        return error_set(err, ERROR_INTERNAL, "libsodium does not sign");
    }
    return true;
}

bool sign_verify(const uint8_t public_key[SIGN_PUBLIC_SIZE], slice message,
                 const uint8_t signature[SIGN_SIGNATURE_SIZE]) {
    return crypto_sign_verify_detached(signature, message.data, message.length, public_key) == 0;
}

bool sign_key_save(const sign_key *key, const char *path, error *err) {
    if (key->sign != NULL) {
        return error_set(err, ERROR_UNSUPPORTED, "%s: the private key isn't in this process", path);
    }
    uint8_t der[DER_SIZE];
    char text[sizeof pem_begin - 1 + DER_TEXT_SIZE - 1 + sizeof pem_end];
    size_t length = sizeof pem_begin - 1;
    memcpy(der, der_prefix, sizeof der_prefix);
    crypto_sign_ed25519_sk_to_seed(der + sizeof der_prefix, key->secret_key);
    memcpy(text, pem_begin, length);
    sodium_bin2base64(text + length, DER_TEXT_SIZE, der, sizeof der, sodium_base64_VARIANT_ORIGINAL);
    length += DER_TEXT_SIZE - 1;
    memcpy(text + length, pem_end, sizeof pem_end);
    length += sizeof pem_end - 1;
    bool saved = key_file_write(path, slice_of(text, length), err);
    secret_wipe(der, sizeof der);
    secret_wipe(text, sizeof text);
    return saved;
}

static bool decode_pem(slice pem, uint8_t der[DER_SIZE]) {
    slice begin = slice_of_text(pem_begin);
    slice end = slice_of_text(pem_end);
    size_t middle = DER_TEXT_SIZE - 1;
    size_t length = 0;
    return pem.length == begin.length + middle + end.length && slice_starts_with(pem, begin) &&
           slice_equal(slice_after(pem, begin.length + middle), end) &&
           sodium_base642bin(der, DER_SIZE, (const char *)pem.data + begin.length, middle, NULL, &length,
                             NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
           length == DER_SIZE && memcmp(der, der_prefix, sizeof der_prefix) == 0;
}

sign_key *sign_key_load(const char *path, error *err) {
    buffer pem = buffer_make(FILE_LIMIT);
    uint8_t der[DER_SIZE] = {0};
    sign_key *key = NULL;
    if (key_file_read(path, &pem, err)) {
        if (decode_pem(buffer_slice(&pem), der)) {
            key = sign_key_from_seed(der + sizeof der_prefix, err);
        } else {
            error_set(err, ERROR_CORRUPT, "%s is not an Ed25519 private key (PKCS#8 in PEM)", path);
        }
    }
    buffer_wipe(&pem);
    secret_wipe(der, sizeof der);
    return key;
}
