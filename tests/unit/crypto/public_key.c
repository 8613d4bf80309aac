#include "crypto/public_key.h"

#include "codec/base64.h"
#include "crypto/start.h"

#include "unit.h"

/* The examples of RFC 7515 A.2 and A.3 and of RFC 8037 A.4: signed text, signature, key. */
#define CLAIMS                                                                                               \
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
#define RS256_TEXT "eyJhbGciOiJSUzI1NiJ9." CLAIMS
#define RS256_MODULUS                                                                                        \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-"     \
    "yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-"    \
    "KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"    \
    "h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"
#define RS256_SIGNATURE                                                                                      \
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_"                         \
    "lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQB" \
    "MHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipU" \
    "TI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
#define ES256_TEXT "eyJhbGciOiJFUzI1NiJ9." CLAIMS
#define ES256_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define ES256_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define ES256_SIGNATURE                                                                                      \
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
#define EDDSA_TEXT "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
#define EDDSA_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define EDDSA_SIGNATURE                                                                                      \
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"

typedef struct bytes {
    uint8_t data[1200];
    size_t length;
} bytes;

static bytes decode(const char *text) {
    bytes b = {.length = 0};
    assert_true(base64url_decode(slice_of_text(text), b.data, sizeof b.data, &b.length));
    return b;
}

static slice all(const bytes *b) {
    return slice_of(b->data, b->length);
}

static int start(void **state) {
    error err;
    (void)state;
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

static public_key *make(public_key_algorithm algorithm, error *err) {
    if (algorithm == PUBLIC_KEY_EDDSA) {
        bytes x = decode(EDDSA_X);
        return public_key_eddsa(all(&x), err);
    }
    if (algorithm == PUBLIC_KEY_ES256) {
        bytes x = decode(ES256_X);
        bytes y = decode(ES256_Y);
        return public_key_es256(all(&x), all(&y), err);
    }
    bytes modulus = decode(RS256_MODULUS);
    bytes exponent = decode("AQAB");
    return public_key_rs256(all(&modulus), all(&exponent), err);
}

static const struct {
    public_key_algorithm algorithm;
    const char *text;
    const char *signature;
} examples[] = {{PUBLIC_KEY_EDDSA, EDDSA_TEXT, EDDSA_SIGNATURE},
                {PUBLIC_KEY_ES256, ES256_TEXT, ES256_SIGNATURE},
                {PUBLIC_KEY_RS256, RS256_TEXT, RS256_SIGNATURE}};

static void test_the_published_signatures_verify_and_no_other(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        error err;
        public_key *key = make(examples[i].algorithm, &err);
        bytes signature = decode(examples[i].signature);
        slice text = slice_of_text(examples[i].text);
        assert_non_null(key);
        assert_int_equal(public_key_algorithm_of(key), examples[i].algorithm);
        assert_true(public_key_verify(key, text, all(&signature)));
        assert_false(public_key_verify(key, slice_part(text, 0, text.length - 1), all(&signature)));
        assert_false(public_key_verify(key, text, slice_part(all(&signature), 0, signature.length - 1)));
        assert_false(public_key_verify(key, text, slice_of(signature.data, signature.length + 1)));
        assert_false(public_key_verify(key, text, (slice){NULL, 0}));
        for (size_t byte = 0; byte < signature.length; byte += 1 + signature.length / 20) {
            signature.data[byte] ^= 4;
            assert_false(public_key_verify(key, text, all(&signature)));
            signature.data[byte] ^= 4;
        }
        public_key_free(key);
    }
}

static void test_a_signature_of_zeros_or_of_another_kind_verifies_nothing(void **state) {
    static const uint8_t zeros[512];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        error err;
        public_key *key = make(examples[i].algorithm, &err);
        assert_non_null(key);
        assert_false(public_key_verify(key, SLICE_LITERAL("text"), slice_of(zeros, 64)));
        assert_false(public_key_verify(key, SLICE_LITERAL("text"), slice_of(zeros, 256)));
        assert_false(public_key_verify(key, SLICE_LITERAL("text"), slice_of(zeros, sizeof zeros)));
        for (size_t other = 0; other < 3; other++) {
            bytes signature = decode(examples[other].signature);
            assert_int_equal(public_key_verify(key, slice_of_text(examples[other].text), all(&signature)),
                             other == i);
        }
        public_key_free(key);
    }
}

static void expect_bad(public_key *key, const error *err) {
    assert_null(key);
    assert_int_equal(err->code, ERROR_INVALID);
}

static void test_bad_keys_are_refused(void **state) {
    error err;
    bytes x = decode(ES256_X);
    bytes y = decode(ES256_Y);
    bytes modulus = decode(RS256_MODULUS);
    static const uint8_t zeros[1100] = {0};
    (void)state;
    expect_bad(public_key_eddsa(slice_of(zeros, 31), &err), &err);
    expect_bad(public_key_es256(all(&x), slice_of(y.data, 31), &err), &err);
    expect_bad(public_key_es256(slice_of(zeros, 32), slice_of(zeros, 32), &err), &err);
    y.data[31] ^= 1;
    expect_bad(public_key_es256(all(&x), all(&y), &err), &err);
    expect_bad(public_key_rs256(all(&modulus), slice_of("\x01", 1), &err), &err);
    expect_bad(public_key_rs256(all(&modulus), slice_of("\x04", 1), &err), &err);
    expect_bad(public_key_rs256(all(&modulus), slice_of("\x00\x03", 2), &err), &err);
    expect_bad(public_key_rs256(all(&modulus), slice_of("\x01\x00\x00\x00\x01", 5), &err), &err);
    expect_bad(public_key_rs256(all(&modulus), (slice){NULL, 0}, &err), &err);
    expect_bad(public_key_rs256(slice_of(modulus.data, 128), slice_of("\x01\x00\x01", 3), &err), &err);
    expect_bad(public_key_rs256(slice_of(zeros, 256), slice_of("\x01\x00\x01", 3), &err), &err);
    expect_bad(public_key_rs256(slice_of(zeros, sizeof zeros), slice_of("\x01\x00\x01", 3), &err), &err);
    modulus.data[255] ^= 1;
    expect_bad(public_key_rs256(all(&modulus), slice_of("\x01\x00\x01", 3), &err), &err);
}

static void test_no_memory_makes_no_key_and_verifies_nothing(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        for (int nth = 0;; nth++) {
            error err = {0};
            bytes signature = decode(examples[i].signature);
            fault_fail_nth(nth);
            public_key *key = make(examples[i].algorithm, &err);
            bool good =
                key != NULL && public_key_verify(key, slice_of_text(examples[i].text), all(&signature));
            bool reached = fault_stop();
            public_key_free(key);
            /* OpenSSL goes on without some of what it wants, caches above all. */
            assert_true(good || reached);
            if (!reached) {
                break;
            }
            assert_true(nth < 2000);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_published_signatures_verify_and_no_other),
        cmocka_unit_test(test_a_signature_of_zeros_or_of_another_kind_verifies_nothing),
        cmocka_unit_test(test_bad_keys_are_refused),
        cmocka_unit_test(test_no_memory_makes_no_key_and_verifies_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
