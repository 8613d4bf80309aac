#include "crypto/start.h"

#include "base/memory.h"
#include "crypto_internal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <sodium.h>

static struct {
    bool started;
    bool allocator_given; /* OpenSSL takes one once in a process */
    crypto_algorithms algorithms;
} crypto;

static void *allocate(size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    return memory_allocate(size);
}

static void *resize(void *block, size_t size, const char *file, int line) {
    (void)file;
    (void)line;
    if (size == 0) {
        memory_free(block);
        return NULL;
    }
    return memory_resize(block, size);
}

static void release(void *block, const char *file, int line) {
    (void)file;
    (void)line;
    memory_free(block);
}

bool crypto_openssl_error(error *err, const char *what) {
    unsigned long last = 0;
    bool memory = false;
    for (unsigned long code = ERR_get_error(); code != 0; code = ERR_get_error()) {
        last = code;
        memory = memory || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE;
    }
    if (memory) {
        return error_memory(err);
    }
    const char *reason = last == 0 ? NULL : ERR_reason_error_string(last);
    return error_set(err, ERROR_INTERNAL, "%s: %s", what,
                     reason == NULL ? "OpenSSL gives no reason" : reason);
}

bool crypto_no_memory(error *err) {
    ERR_clear_error();
    return error_memory(err);
}

const crypto_algorithms *crypto_algorithms_get(error *err) {
    if (!crypto.started) {
        error_set(err, ERROR_INTERNAL, "crypto_start has not run");
        return NULL;
    }
    return &crypto.algorithms;
}

bool crypto_start(error *err) {
    if (crypto.started) {
        return true;
    }
    if (!crypto.allocator_given && CRYPTO_set_mem_functions(allocate, resize, release) != 1) {
        return error_set(err, ERROR_INTERNAL, "crypto_start must come before any other use of OpenSSL");
    }
    crypto.allocator_given = true;
    /* Without memory for its context OpenSSL 3.0 has none ever after, and would crash at the first use. */
    if (OSSL_LIB_CTX_get0_global_default() == NULL) {
        return error_memory(err);
    }
    crypto.algorithms = (crypto_algorithms){
        .sha256 = EVP_MD_fetch(NULL, "SHA256", NULL),
        .hmac = EVP_MAC_fetch(NULL, "HMAC", NULL),
        .hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL),
        .pbkdf2 = EVP_KDF_fetch(NULL, "PBKDF2", NULL),
        .aes = EVP_CIPHER_fetch(NULL, "AES-128-CBC", NULL),
    };
    const crypto_algorithms *got = &crypto.algorithms;
    crypto.started = got->sha256 != NULL && got->hmac != NULL && got->hkdf != NULL && got->pbkdf2 != NULL &&
                     got->aes != NULL;
    if (!crypto.started) {
        crypto_stop();
        return crypto_openssl_error(err, "fetching SHA-256, HMAC, HKDF, PBKDF2 and AES");
    }
    if (sodium_init() < 0) {
        crypto_stop();
        return error_set(err, ERROR_INTERNAL, "libsodium does not start");
    }
    return true;
}

void crypto_stop(void) {
    crypto_fernet_stop();
    EVP_MD_free(crypto.algorithms.sha256);
    EVP_MAC_free(crypto.algorithms.hmac);
    EVP_KDF_free(crypto.algorithms.hkdf);
    EVP_KDF_free(crypto.algorithms.pbkdf2);
    EVP_CIPHER_free(crypto.algorithms.aes);
    crypto.algorithms = (crypto_algorithms){0};
    crypto.started = false;
}
