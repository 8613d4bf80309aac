#include "privilege/session_keys.h"
#include "privilege/signer.h"

#include "crypto/start.h"
#include "site.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[] = "/tmp/cellule-session-keys-XXXXXX";
static const uint8_t seal_key[SEAL_KEY_SIZE] = "the key that seals session keys";
static error err;
static const uint8_t transfer[SEAL_KEY_SIZE] = {7, 8, 9};

static void must(bool good) {
    if (!good) {
        fail_msg("%s", err.text);
    }
}

/* Asked over the signer's socket, or where the pool keeps its rights: the same. */
typedef struct fixture {
    helper *signer;
    sign_key *pool_key;
    session_keys all;
} fixture;

static void open_vault(fixture *f, bool apart, const uint8_t key[SEAL_KEY_SIZE]) {
    bool confined = false;
    *f = (fixture){.signer = NULL};
    if (apart) {
        f->signer = signer_start(folder, transfer, &confined, &f->pool_key, &err);
        must(f->signer != NULL);
    }
    must(session_keys_open(&f->all, f->signer, key, &err));
}

static void close_vault(fixture *f) {
    session_keys_close(&f->all);
    sign_key_free(f->pool_key);
    helper_stop(f->signer);
}

static void check_signs(const sign_key *key) {
    uint8_t signature[SIGN_SIGNATURE_SIZE];
    static uint8_t message[VAULT_MESSAGE_MAX + 1];
    must(sign_bytes(key, SLICE_LITERAL("header.claims"), signature, &err));
    assert_true(sign_verify(sign_key_public(key), SLICE_LITERAL("header.claims"), signature));
    must(sign_bytes(key, slice_of(message, VAULT_MESSAGE_MAX), signature, &err));
    assert_true(sign_verify(sign_key_public(key), slice_of(message, VAULT_MESSAGE_MAX), signature));
    assert_false(sign_bytes(key, slice_of(message, sizeof message), signature, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
}

static void check_key_of_before(bool apart) {
    fixture f;
    uint8_t id[VAULT_ID_SIZE];
    uint8_t public_key[SIGN_PUBLIC_SIZE];
    buffer sealed = buffer_make(256);
    open_vault(&f, apart, seal_key);
    sign_key *key = session_keys_draw(&f.all, id, &sealed, &err);
    must(key != NULL);
    check_signs(key);
    memcpy(public_key, sign_key_public(key), sizeof public_key);
    sign_key_free(key);
    close_vault(&f);

    open_vault(&f, apart, seal_key);
    key = session_keys_take(&f.all, id, buffer_slice(&sealed), &err);
    must(key != NULL);
    assert_memory_equal(sign_key_public(key), public_key, sizeof public_key);
    check_signs(key);
    sign_key_free(key);
    close_vault(&f);
    buffer_free(&sealed);
}

static void test_a_key_signs_now_and_after_a_start_and_is_the_same(void **state) {
    (void)state;
    check_key_of_before(false);
    check_key_of_before(true);
}

static void test_a_key_is_bound_to_its_row_its_site_and_its_bits(void **state) {
    (void)state;
    static const uint8_t other_seal[SEAL_KEY_SIZE] = "another site's";
    for (int apart = 0; apart < 2; apart++) {
        fixture f;
        uint8_t id[VAULT_ID_SIZE];
        uint8_t bytes[256];
        buffer sealed = buffer_make(256);
        open_vault(&f, apart != 0, seal_key);
        sign_key *key = session_keys_draw(&f.all, id, &sealed, &err);
        must(key != NULL);
        size_t length = buffer_length(&sealed);
        memcpy(bytes, buffer_slice(&sealed).data, length);
        for (size_t i = 0; i < length; i++) {
            bytes[i] ^= 1;
            assert_null(session_keys_take(&f.all, id, slice_of(bytes, length), &err));
            assert_int_equal(err.code, ERROR_CORRUPT);
            bytes[i] ^= 1;
        }
        for (size_t shorter = 0; shorter < length; shorter++) {
            assert_null(session_keys_take(&f.all, id, slice_of(bytes, shorter), &err));
            assert_int_equal(err.code, ERROR_CORRUPT);
        }
        id[0] ^= 1;
        assert_null(session_keys_take(&f.all, id, slice_of(bytes, length), &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        id[0] ^= 1;
        sign_key_free(key);
        close_vault(&f);
        open_vault(&f, apart != 0, other_seal);
        assert_null(session_keys_take(&f.all, id, slice_of(bytes, length), &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        close_vault(&f);
        buffer_free(&sealed);
    }
}

static void test_keys_that_are_dropped_make_room(void **state) {
    (void)state;
    for (int apart = 0; apart < 2; apart++) {
        fixture f;
        uint8_t id[VAULT_ID_SIZE];
        sign_key *keys[VAULT_KEYS_MAX];
        buffer sealed = buffer_make(1 << 20);
        open_vault(&f, apart != 0, seal_key);
        for (size_t i = 0; i < VAULT_KEYS_MAX; i++) {
            keys[i] = session_keys_draw(&f.all, id, &sealed, &err);
            must(keys[i] != NULL);
        }
        assert_null(session_keys_draw(&f.all, id, &sealed, &err));
        assert_int_equal(err.code, ERROR_LIMIT);
        sign_key_free(keys[5]);
        keys[5] = session_keys_draw(&f.all, id, &sealed, &err);
        must(keys[5] != NULL);
        for (size_t i = 0; i < VAULT_KEYS_MAX; i++) {
            check_signs(keys[i]);
            sign_key_free(keys[i]);
        }
        buffer_free(&sealed);
        close_vault(&f);
    }
}

static void refuse(vault *v, unsigned what, slice question, error_code code) {
    buffer answer = buffer_make(1024);
    assert_false(vault_answer(v, (uint8_t)what, question, &answer, &err));
    assert_int_equal(err.code, code);
    assert_int_equal(buffer_length(&answer), 0);
    buffer_free(&answer);
}

static void test_what_makes_no_sense_is_refused(void **state) {
    (void)state;
    buffer answer = buffer_make(1024);
    vault *v = vault_new(&err);
    must(v != NULL);
    for (unsigned what = 0; what < 256; what++) {
        refuse(v, what, SLICE_LITERAL("x"), ERROR_INVALID); /* nothing before its seal */
    }
    must(vault_answer(v, VAULT_OPEN, slice_of(seal_key, sizeof seal_key), &answer, &err));
    refuse(v, VAULT_OPEN, slice_of(seal_key, sizeof seal_key), ERROR_INVALID); /* once */
    refuse(v, VAULT_SIGN, (slice){NULL, 0}, ERROR_NOT_FOUND);
    refuse(v, VAULT_SIGN, SLICE_LITERAL("\0x"), ERROR_NOT_FOUND);
    refuse(v, VAULT_SIGN, SLICE_LITERAL("\xFFx"), ERROR_NOT_FOUND);
    refuse(v, VAULT_DROP, SLICE_LITERAL("\0"), ERROR_NOT_FOUND);
    for (unsigned what = VAULT_DROP + 1; what < 256; what++) {
        refuse(v, what, SLICE_LITERAL("x"), ERROR_INVALID);
    }
    vault_free(v);
    buffer_free(&answer);
}

static void test_without_memory_nothing_is_lost(void **state) {
    (void)state;
    fixture f;
    uint8_t id[VAULT_ID_SIZE];
    buffer sealed = buffer_make(1024);
    open_vault(&f, false, seal_key);
    sign_key *key = NULL;
    for (int nth = 0; key == NULL; nth++) {
        assert_true(nth < 100);
        buffer_clear(&sealed);
        fault_fail_nth(nth);
        key = session_keys_draw(&f.all, id, &sealed, &err);
        (void)fault_stop();
    }
    sign_key *again = NULL;
    for (int nth = 0; again == NULL; nth++) {
        assert_true(nth < 100);
        fault_fail_nth(nth);
        again = session_keys_take(&f.all, id, buffer_slice(&sealed), &err);
        (void)fault_stop();
    }
    for (size_t i = 2; i < VAULT_KEYS_MAX; i++) {
        assert_null(f.all.keys[i].all); /* no number was lost on the way */
    }
    check_signs(key);
    check_signs(again);
    sign_key_free(key);
    sign_key_free(again);
    close_vault(&f);
    buffer_free(&sealed);
}

static int prepare(void **state) {
    (void)state;
    char path[SITE_PATH_SIZE];
    must(crypto_start(&err));
    assert_non_null(mkdtemp(folder));
    sign_key *key = sign_key_generate(&err);
    must(key != NULL && site_path(folder, SITE_POOL_KEY, path, &err) && sign_key_save(key, path, &err));
    sign_key_free(key);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    char path[SITE_PATH_SIZE];
    must(site_path(folder, SITE_POOL_KEY, path, &err));
    unlink(path);
    crypto_stop();
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_signs_now_and_after_a_start_and_is_the_same),
        cmocka_unit_test(test_a_key_is_bound_to_its_row_its_site_and_its_bits),
        cmocka_unit_test(test_keys_that_are_dropped_make_room),
        cmocka_unit_test(test_what_makes_no_sense_is_refused),
        cmocka_unit_test(test_without_memory_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
