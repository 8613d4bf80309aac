#include "../samples.h"
#include "crypto/fernet.h"
#include "crypto/hash.h"
#include "crypto/start.h"
#include "memory/record.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

/* What sealing what users keep costs: bench_sealing MILLISECONDS. For each size: processor time of sealing
 * and of opening a Fernet token and a record, in turn with the yardstick: OpenSSL's own AES-128-CBC and
 * HMAC-SHA-256 over as many bytes, with contexts that are kept and keyed for each message, and a random
 * initial vector. Prints one JSON object: microseconds of each, the median of many turns. */
enum { LARGEST = 1024 * 1024, BLOCK = 16, TURN_US = 500, TURNS_MAX = 4096 };

typedef enum task { PLAIN_SEAL, FERNET_SEAL, RECORD_SEAL, PLAIN_OPEN, FERNET_OPEN, RECORD_OPEN, TASKS } task;

static const char *const names[TASKS] = {"plain_seal_us", "fernet_seal_us", "record_seal_us",
                                         "plain_open_us", "fernet_open_us", "record_open_us"};

typedef struct bench {
    uint8_t key[FERNET_KEY_SIZE];
    uint8_t initial[BLOCK];
    uint8_t *text;
    uint8_t *cipher; /* the yardstick's, its code behind it */
    uint8_t *opened;
    size_t size;
    EVP_CIPHER_CTX *encrypt;
    EVP_CIPHER_CTX *decrypt;
    EVP_MAC_CTX *mac;
    buffer token;
    buffer record;
    buffer made;
} bench;

static const record_place place = {.kind = RECORD_TURN, .user_id = 7, .id = {1}};

static bool code_of(bench *b, const uint8_t *bytes, size_t size, uint8_t code[HASH_SIZE]) {
    return EVP_MAC_init(b->mac, b->key, BLOCK, NULL) == 1 && EVP_MAC_update(b->mac, bytes, size) == 1 &&
           EVP_MAC_final(b->mac, code, NULL, HASH_SIZE) == 1;
}

static size_t cipher_size(const bench *b) {
    return b->size / BLOCK * BLOCK + BLOCK;
}

static bool plain_seal(bench *b) {
    int written = 0;
    int last = 0;
    randombytes_buf(b->initial, BLOCK);
    return EVP_EncryptInit_ex2(b->encrypt, NULL, b->key + BLOCK, b->initial, NULL) == 1 &&
           EVP_EncryptUpdate(b->encrypt, b->cipher, &written, b->text, (int)b->size) == 1 &&
           EVP_EncryptFinal_ex(b->encrypt, b->cipher + written, &last) == 1 &&
           code_of(b, b->cipher, cipher_size(b), b->cipher + cipher_size(b));
}

static bool plain_open(bench *b) {
    uint8_t code[HASH_SIZE];
    int written = 0;
    int last = 0;
    return code_of(b, b->cipher, cipher_size(b), code) &&
           CRYPTO_memcmp(code, b->cipher + cipher_size(b), sizeof code) == 0 &&
           EVP_DecryptInit_ex2(b->decrypt, NULL, b->key + BLOCK, b->initial, NULL) == 1 &&
           EVP_DecryptUpdate(b->decrypt, b->opened, &written, b->cipher, (int)cipher_size(b)) == 1 &&
           EVP_DecryptFinal_ex(b->decrypt, b->opened + written, &last) == 1;
}

static bool run(bench *b, task t, error *err) {
    slice text = slice_of(b->text, b->size);
    buffer_clear(&b->made);
    switch (t) {
    case PLAIN_SEAL:
        return plain_seal(b);
    case FERNET_SEAL:
        return fernet_seal(b->key, 86400, text, &b->made, err);
    case RECORD_SEAL:
        return record_seal(b->key, &place, 86400000, text, &b->made, err);
    case PLAIN_OPEN:
        return plain_open(b);
    case FERNET_OPEN:
        return fernet_open(b->key, buffer_slice(&b->token), NULL, &b->made, err);
    default:
        return record_open(b->key, &place, buffer_slice(&b->record), &b->made, err);
    }
}

/* As many as take about TURN_US. */
static bool calibrate(bench *b, task t, size_t *count, error *err) {
    *count = 1;
    for (uint64_t spent = 0; spent < TURN_US * 1000; *count *= 2) {
        uint64_t began = bench_thread_ns();
        for (size_t i = 0; i < *count; i++) {
            if (!run(b, t, err)) {
                return false;
            }
        }
        spent = bench_thread_ns() - began;
    }
    return true;
}

/* In nanoseconds; samples_percentile has them as they are. */
static bool measure(bench *b, uint64_t milliseconds, double medians_us[TASKS], error *err) {
    samples all[TASKS] = {{0}};
    size_t counts[TASKS];
    bool good = true;
    for (int t = 0; good && t < TASKS; t++) {
        good = calibrate(b, (task)t, &counts[t], err);
    }
    uint64_t until = bench_now_ns() + milliseconds * 1000000;
    for (size_t turn = 0; good && turn < TURNS_MAX && bench_now_ns() < until; turn++) {
        for (int t = 0; good && t < TASKS; t++) {
            uint64_t began = bench_thread_ns();
            for (size_t i = 0; good && i < counts[t]; i++) {
                good = run(b, (task)t, err);
            }
            good = good && samples_add(&all[t], (bench_thread_ns() - began) / counts[t]);
        }
    }
    for (int t = 0; t < TASKS; t++) {
        medians_us[t] = samples_percentile(&all[t], 0.5) / 1e3;
        samples_free(&all[t]);
    }
    return good;
}

static bool prepare(bench *b, error *err) {
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    b->encrypt = EVP_CIPHER_CTX_new();
    b->decrypt = EVP_CIPHER_CTX_new();
    b->mac = hmac == NULL ? NULL : EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);
    randombytes_buf(b->key, sizeof b->key);
    b->text = malloc(LARGEST);
    b->cipher = malloc(LARGEST + 2 * BLOCK + HASH_SIZE);
    b->opened = malloc(LARGEST + 2 * BLOCK);
    if (b->encrypt == NULL || b->decrypt == NULL || b->mac == NULL || b->text == NULL || b->cipher == NULL ||
        b->opened == NULL || EVP_EncryptInit_ex2(b->encrypt, EVP_aes_128_cbc(), NULL, NULL, NULL) != 1 ||
        EVP_DecryptInit_ex2(b->decrypt, EVP_aes_128_cbc(), NULL, NULL, NULL) != 1 ||
        EVP_MAC_CTX_set_params(b->mac, parameters) != 1) {
        return error_memory(err);
    }
    randombytes_buf(b->text, LARGEST);
    return true;
}

static bool prepare_size(bench *b, size_t size, error *err) {
    b->size = size;
    buffer_clear(&b->token);
    buffer_clear(&b->record);
    return fernet_seal(b->key, 86400, slice_of(b->text, size), &b->token, err) &&
           record_seal(b->key, &place, 86400000, slice_of(b->text, size), &b->record, err);
}

int main(int argc, char **argv) {
    static const size_t sizes[] = {1024, 16384, LARGEST};
    bench b = {.token = buffer_make(2 * LARGEST),
               .record = buffer_make(2 * LARGEST),
               .made = buffer_make(2 * LARGEST)};
    error err = {0};
    uint64_t milliseconds = argc == 2 ? strtoull(argv[1], NULL, 10) : 0;
    bool good = milliseconds > 0 && crypto_start(&err) && prepare(&b, &err);
    printf("{");
    for (size_t i = 0; good && i < sizeof sizes / sizeof sizes[0]; i++) {
        double medians[TASKS];
        good = prepare_size(&b, sizes[i], &err) && measure(&b, milliseconds, medians, &err);
        printf("%s\"%zu\":{", i > 0 ? "," : "", sizes[i]);
        for (int t = 0; good && t < TASKS; t++) {
            printf("%s\"%s\":%.3f", t > 0 ? "," : "", names[t], medians[t]);
        }
        printf("}");
    }
    printf("}\n");
    if (!good) {
        fprintf(stderr, "bench_sealing MILLISECONDS: %s\n", err.text);
    }
    EVP_CIPHER_CTX_free(b.encrypt);
    EVP_CIPHER_CTX_free(b.decrypt);
    EVP_MAC_CTX_free(b.mac);
    free(b.text);
    free(b.cipher);
    free(b.opened);
    buffer_free(&b.token);
    buffer_free(&b.record);
    buffer_free(&b.made);
    return good ? 0 : 1;
}
