#include "crypto/sign.h"
#include "crypto/hash.h"
#include "crypto/secret.h"
#include "crypto/start.h"
#include "os/file.h"

#include "unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char path[128];

static int start(void **state) {
    (void)state;
    error err;
    snprintf(folder, sizeof folder, "/tmp/cellule-sign-XXXXXX");
    if (!crypto_start(&err) || mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/key.pem", folder);
    return 0;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return rmdir(folder);
}

/* RFC 8032 §7.1, tests 1 to 3. */
static void test_signatures_are_the_published_ones(void **state) {
    (void)state;
    static const struct {
        const char *seed, *public_key, *message, *signature;
    } vectors[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
         "d25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
         "387b2eaeb4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
         "4a7c15e9716ed28dc027beceea1ec40a"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        error err;
        uint8_t seed[SIGN_SEED_SIZE];
        uint8_t message[4];
        uint8_t signature[SIGN_SIGNATURE_SIZE];
        char text[2 * SIGN_SIGNATURE_SIZE + 1];
        size_t length = strlen(vectors[i].message) / 2;
        assert_true(hex_decode(slice_of_text(vectors[i].seed), seed, sizeof seed));
        assert_true(hex_decode(slice_of_text(vectors[i].message), message, length));
        sign_key *key = sign_key_from_seed(seed, &err);
        assert_non_null(key);
        hex_encode(slice_of(sign_key_public(key), SIGN_PUBLIC_SIZE), text);
        assert_string_equal(text, vectors[i].public_key);
        assert_true(sign_bytes(key, slice_of(message, length), signature, &err));
        hex_encode(slice_of(signature, sizeof signature), text);
        assert_string_equal(text, vectors[i].signature);
        assert_true(sign_verify(sign_key_public(key), slice_of(message, length), signature));
        sign_key_free(key);
    }
}

static void test_any_flipped_bit_breaks_the_signature(void **state) {
    (void)state;
    error err;
    sign_key *key = sign_key_generate(&err);
    assert_non_null(key);
    uint8_t parts[SIGN_PUBLIC_SIZE + SIGN_SIGNATURE_SIZE + 5];
    uint8_t *message = parts;
    uint8_t *signature = parts + 5;
    uint8_t *public_key = signature + SIGN_SIGNATURE_SIZE;
    memcpy(message, "hello", 5);
    memcpy(public_key, sign_key_public(key), SIGN_PUBLIC_SIZE);
    assert_true(sign_bytes(key, slice_of(message, 5), signature, &err));
    assert_true(sign_verify(public_key, slice_of(message, 5), signature));
    for (size_t bit = 0; bit < 8 * sizeof parts; bit++) {
        parts[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_false(sign_verify(public_key, slice_of(message, 5), signature));
        parts[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    assert_false(sign_verify(public_key, slice_of(message, 4), signature));
    sign_key_free(key);
}

static void test_a_saved_key_is_private_and_loads_as_the_same_key(void **state) {
    (void)state;
    error err;
    struct stat status;
    sign_key *key = sign_key_generate(&err);
    assert_non_null(key);
    assert_true(sign_key_save(key, path, &err));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    sign_key *loaded = sign_key_load(path, &err);
    assert_non_null(loaded);
    assert_memory_equal(sign_key_public(key), sign_key_public(loaded), SIGN_PUBLIC_SIZE);
    sign_key_free(loaded);
    assert_int_equal(chmod(path, 0644), 0);
    assert_null(sign_key_load(path, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    sign_key_free(key);
    assert_int_equal(unlink(path), 0);
    assert_null(sign_key_load(path, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
}

/* RFC 8410 §10.3. */
static void test_the_published_key_file_loads(void **state) {
    (void)state;
    error err;
    char text[2 * SIGN_PUBLIC_SIZE + 1];
    slice pem = SLICE_LITERAL("-----BEGIN PRIVATE KEY-----\n"
                              "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
                              "-----END PRIVATE KEY-----\n");
    assert_true(file_write_atomic(path, pem, 0600, &err));
    sign_key *key = sign_key_load(path, &err);
    assert_non_null(key);
    hex_encode(slice_of(sign_key_public(key), SIGN_PUBLIC_SIZE), text);
    assert_string_equal(text, "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
    sign_key_free(key);
    assert_int_equal(unlink(path), 0);
}

static void test_a_damaged_key_file_is_refused(void **state) {
    (void)state;
    error err;
    char pem[256];
    sign_key *key = sign_key_generate(&err);
    assert_non_null(key);
    assert_true(sign_key_save(key, path, &err));
    sign_key_free(key);
    buffer content = buffer_make(sizeof pem);
    assert_true(file_read_private(path, &content, &err));
    size_t length = buffer_length(&content);
    memcpy(pem, buffer_slice(&content).data, length);
    for (size_t cut = 0; cut < length; cut++) {
        assert_true(file_write_atomic(path, slice_of(pem, cut), 0600, &err));
        assert_null(sign_key_load(path, &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
    }
    pem[30] ^= 1; /* in the DER prefix */
    assert_true(file_write_atomic(path, slice_of(pem, length), 0600, &err));
    assert_null(sign_key_load(path, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    buffer_wipe(&content);
    assert_int_equal(unlink(path), 0);
}

static void test_memory_that_will_not_lock_is_refused_with_what_to_do(void **state) {
    (void)state;
    error err;
    fault_fail_nth_at("lock", 0);
    void *secret = secret_allocate(32, &err);
    bool reached = fault_stop();
    assert_int_equal(secret == NULL, reached);
    if (reached) {
        assert_int_equal(err.code, ERROR_LIMIT);
        assert_non_null(strstr(err.text, "ulimit -l"));
    }
    secret_free(secret);
}

static void test_secret_memory_starts_as_zeros(void **state) {
    (void)state;
    error err;
    uint8_t zeros[100] = {0};
    uint8_t *secret = secret_allocate(sizeof zeros, &err);
    assert_non_null(secret);
    assert_memory_equal(secret, zeros, sizeof zeros);
    memset(secret, 1, sizeof zeros);
    secret_wipe(secret, sizeof zeros);
    assert_memory_equal(secret, zeros, sizeof zeros);
    secret_free(secret);
    secret_free(NULL);
}

static void test_each_failed_allocation_is_an_error_and_leaks_nothing(void **state) {
    (void)state;
    error err;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        fault_fail_nth(nth);
        sign_key *key = sign_key_generate(&err);
        bool saved = key != NULL && sign_key_save(key, path, &err);
        sign_key *loaded = saved ? sign_key_load(path, &err) : NULL;
        reached = fault_stop();
        assert_int_equal(loaded != NULL, !reached);
        assert_true(loaded != NULL || err.code == ERROR_MEMORY);
        assert_int_equal(file_exists(path), saved);
        sign_key_free(loaded);
        sign_key_free(key);
        unlink(path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signatures_are_the_published_ones),
        cmocka_unit_test(test_any_flipped_bit_breaks_the_signature),
        cmocka_unit_test(test_a_saved_key_is_private_and_loads_as_the_same_key),
        cmocka_unit_test(test_the_published_key_file_loads),
        cmocka_unit_test(test_a_damaged_key_file_is_refused),
        cmocka_unit_test(test_memory_that_will_not_lock_is_refused_with_what_to_do),
        cmocka_unit_test(test_secret_memory_starts_as_zeros),
        cmocka_unit_test(test_each_failed_allocation_is_an_error_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
