#include "crypto/certificate.h"
#include "crypto/hash.h"
#include "crypto/start.h"

#include "unit.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

static const uint64_t now = 1800000000000; /* 2027-01-15 */
static const uint64_t day = 86400000;
static certificate_pair authority;

static int start(void **state) {
    (void)state;
    error err;
    authority = certificate_pair_make();
    return crypto_start(&err) && certificate_make_authority("Test site", now, &authority, &err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    certificate_pair_free(&authority);
    crypto_stop();
    return 0;
}

static X509 *read(const certificate_pair *pair) {
    slice pem = buffer_slice(&pair->certificate);
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.length);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(certificate);
    return certificate;
}

static bool issue(const char *name, const char *address, certificate_pair *server, error *err) {
    certificate_names names = {&name, name != NULL, &address, address != NULL};
    return certificate_issue_server(&authority, &names, now, server, err);
}

/* What a TLS client or server does with the chain, at `seconds` after `now`; `presented` with the leaf, or
 * NULL. */
static int verify_chain(X509 *trusted, X509 *leaf, STACK_OF(X509) * presented, int64_t seconds, int purpose) {
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, trusted), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, leaf, presented), 1);
    X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_time(parameters, (time_t)(now / 1000) + seconds);
    X509_VERIFY_PARAM_set_purpose(parameters, purpose);
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT);
    X509_verify_cert(context);
    int result = X509_STORE_CTX_get_error(context);
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return result;
}

static int verify(X509 *trusted, X509 *leaf, int64_t seconds) {
    return verify_chain(trusted, leaf, NULL, seconds, X509_PURPOSE_SSL_SERVER);
}

static void test_a_strict_client_accepts_the_chain_while_it_is_valid(void **state) {
    (void)state;
    error err;
    certificate_pair pair = certificate_pair_make();
    assert_true(issue("pool.example", "192.0.2.7", &pair, &err));
    X509 *root = read(&authority);
    X509 *leaf = read(&pair);
    assert_int_equal(verify(root, leaf, 0), X509_V_OK);
    assert_int_equal(verify(root, leaf, -1800), X509_V_OK);
    assert_int_equal(verify(root, leaf, -7200), X509_V_ERR_CERT_NOT_YET_VALID);
    assert_int_equal(verify(root, leaf, 396 * 86400), X509_V_OK);
    assert_int_equal(verify(root, leaf, 397 * 86400), X509_V_ERR_CERT_HAS_EXPIRED);
    assert_int_equal(X509_check_host(leaf, "pool.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(leaf, "other.example", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(leaf, "192.0.2.7", 0), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "192.0.2.8", 0), 0);
    X509_free(root);
    X509_free(leaf);
    certificate_pair_free(&pair);
}

static void test_the_certificates_say_what_they_are_for(void **state) {
    (void)state;
    error err;
    certificate_pair pair = certificate_pair_make();
    assert_true(issue("pool.example", "2001:db8::1", &pair, &err));
    X509 *root = read(&authority);
    X509 *leaf = read(&pair);
    assert_int_equal(X509_get_version(leaf), X509_VERSION_3);
    assert_int_equal(X509_check_ca(root), 1);
    assert_int_equal(X509_check_ca(leaf), 0);
    assert_int_equal(X509_get_pathlen(root), 0);
    assert_int_equal(X509_get_key_usage(root), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
    assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER);
    assert_non_null(X509_get0_subject_key_id(root));
    assert_int_equal(ASN1_OCTET_STRING_cmp(X509_get0_subject_key_id(root), X509_get0_authority_key_id(leaf)),
                     0);
    assert_int_equal(X509_get_signature_nid(leaf), NID_ecdsa_with_SHA256);
    char group[32];
    assert_int_equal(EVP_PKEY_get_group_name(X509_get0_pubkey(leaf), group, sizeof group, NULL), 1);
    assert_string_equal(group, "prime256v1");
    const int critical[] = {NID_basic_constraints, NID_key_usage};
    for (size_t i = 0; i < 2; i++) {
        X509_EXTENSION *extension = X509_get_ext(leaf, X509_get_ext_by_NID(leaf, critical[i], -1));
        assert_int_equal(X509_EXTENSION_get_critical(extension), 1);
    }
    X509_free(root);
    X509_free(leaf);
    certificate_pair_free(&pair);
}

static void test_serial_numbers_are_long_and_differ(void **state) {
    (void)state;
    error err;
    certificate_pair pair[2] = {certificate_pair_make(), certificate_pair_make()};
    X509 *leaf[2];
    int longest = 0;
    for (size_t i = 0; i < 2; i++) {
        assert_true(issue("pool.example", NULL, &pair[i], &err));
        leaf[i] = read(&pair[i]);
        const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf[i]);
        assert_int_equal(ASN1_STRING_type(serial), V_ASN1_INTEGER); /* not negative */
        longest = ASN1_STRING_length(serial) > longest ? ASN1_STRING_length(serial) : longest;
    }
    assert_int_equal(longest, 16);
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(leaf[0]), X509_get0_serialNumber(leaf[1])),
                         0);
    for (size_t i = 0; i < 2; i++) {
        X509_free(leaf[i]);
        certificate_pair_free(&pair[i]);
    }
}

static void test_the_pin_is_the_hash_of_the_public_key_info(void **state) {
    (void)state;
    error err;
    uint8_t pin[CERTIFICATE_PIN_SIZE];
    uint8_t expected[CERTIFICATE_PIN_SIZE];
    assert_true(certificate_pin(buffer_slice(&authority.certificate), pin, &err));
    X509 *root = read(&authority);
    unsigned char *der = NULL;
    int length = i2d_PUBKEY(X509_get0_pubkey(root), &der);
    assert_int_equal(length, 91);
    assert_true(hash_sha256(slice_of(der, (size_t)length), expected, &err));
    assert_memory_equal(pin, expected, sizeof pin);
    OPENSSL_free(der);
    X509_free(root);
}

static void test_the_end_of_validity_is_told(void **state) {
    (void)state;
    error err;
    uint64_t end = 0;
    assert_true(certificate_expiry(buffer_slice(&authority.certificate), &end, &err));
    assert_int_equal(end, now + CERTIFICATE_AUTHORITY_DAYS * day - 3600000);
}

static void test_what_is_not_a_name_or_an_address_is_refused_by_name(void **state) {
    (void)state;
    error err;
    char long_label[70] = {0};
    memset(long_label, 'a', 64);
    const char *const wrong[] = {"",          ".",       "a..b",    "a b", "-a",   "a-",      "a-.b",
                                 "*.example", "exämple", "a,DNS:b", "a.",  "a\nb", long_label};
    certificate_pair pair = certificate_pair_make();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(issue(wrong[i], NULL, &pair, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_non_null(strstr(err.text, wrong[i]));
        assert_false(issue(NULL, wrong[i], &pair, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    assert_false(issue(NULL, "300.0.0.1", &pair, &err));
    assert_false(issue(NULL, NULL, &pair, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_false(certificate_make_authority("", now, &pair, &err));
    assert_int_equal(buffer_length(&pair.certificate) + buffer_length(&pair.key), 0);
    certificate_pair_free(&pair);
}

static void test_an_authority_that_is_none_or_has_another_key_signs_nothing(void **state) {
    (void)state;
    error err;
    const char *name = "pool.example";
    certificate_names names = {&name, 1, NULL, 0};
    certificate_pair server = certificate_pair_make();
    certificate_pair out = certificate_pair_make();
    assert_true(issue(name, NULL, &server, &err));
    assert_false(certificate_issue_server(&server, &names, now, &out, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    certificate_pair mixed = {.certificate = authority.certificate, .key = server.key};
    assert_false(certificate_issue_server(&mixed, &names, now, &out, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    certificate_pair empty = certificate_pair_make();
    assert_false(certificate_issue_server(&empty, &names, now, &out, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    certificate_pair_free(&server);
    certificate_pair_free(&out);
}

static void test_a_renewed_certificate_has_the_names_and_another_key(void **state) {
    (void)state;
    error err;
    certificate_pair former = certificate_pair_make();
    certificate_pair pair = certificate_pair_make();
    certificate_pair other = certificate_pair_make();
    assert_true(issue("pool.example", "192.0.2.7", &former, &err));
    assert_true(certificate_renew_server(&authority, buffer_slice(&former.certificate), now + 300 * day,
                                         &pair, &err));
    X509 *root = read(&authority);
    X509 *leaf = read(&pair);
    assert_int_equal(verify(root, leaf, 396 * 86400 + 300 * 86400), X509_V_OK);
    assert_int_equal(X509_check_host(leaf, "pool.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "192.0.2.7", 0), 1);
    assert_false(slice_equal(buffer_slice(&former.key), buffer_slice(&pair.key)));
    assert_true(certificate_make_authority("Test site", now, &other, &err)); /* the same name, another key */
    assert_false(certificate_renew_server(&other, buffer_slice(&former.certificate), now, &pair, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    X509_free(root);
    X509_free(leaf);
    certificate_pair_free(&former);
    certificate_pair_free(&pair);
    certificate_pair_free(&other);
}

static void test_a_successor_is_trusted_by_who_knows_the_authority_before_it(void **state) {
    (void)state;
    error err;
    certificate_pair former = certificate_pair_make();
    certificate_pair successor = certificate_pair_make();
    certificate_pair bridge = certificate_pair_make();
    certificate_pair pair = certificate_pair_make();
    assert_true(issue("pool.example", NULL, &former, &err));
    assert_true(certificate_make_successor(&authority, now, &successor, &bridge.certificate, &err));
    assert_true(
        certificate_move_server(&authority, &successor, buffer_slice(&former.certificate), now, &pair, &err));
    X509 *old_root = read(&authority);
    X509 *new_root = read(&successor);
    X509 *middle = read(&bridge);
    X509 *leaf = read(&pair);
    STACK_OF(X509) *presented = sk_X509_new_null();
    assert_int_equal(sk_X509_push(presented, middle), 1);
    assert_int_equal(sk_X509_push(presented, old_root), 2);
    assert_int_equal(verify_chain(old_root, leaf, presented, 0, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    assert_int_equal(verify_chain(new_root, leaf, presented, 0, X509_PURPOSE_SSL_SERVER), X509_V_OK);
    assert_int_equal(verify(new_root, leaf, 0), X509_V_OK);
    assert_int_not_equal(verify(old_root, leaf, 0), X509_V_OK);
    assert_int_equal(X509_check_host(leaf, "pool.example", 0, 0, NULL), 1);
    sk_X509_free(presented);
    X509_free(old_root);
    X509_free(new_root);
    X509_free(middle);
    X509_free(leaf);
    certificate_pair_free(&former);
    certificate_pair_free(&successor);
    certificate_pair_free(&bridge);
    certificate_pair_free(&pair);
}

static X509 *read_text(const buffer *pem) {
    certificate_pair pair = {.certificate = *pem};
    return read(&pair);
}

static void test_a_clients_certificate_is_for_its_key_its_name_and_its_time(void **state) {
    (void)state;
    error err;
    buffer key = buffer_make(4096);
    buffer public_key = buffer_make(CERTIFICATE_PUBLIC_KEY_MAX);
    buffer pem = buffer_make(65536);
    assert_true(certificate_make_client_key(&key, &public_key, &err));
    assert_int_equal(buffer_length(&public_key), 91);
    certificate_client client = {buffer_slice(&public_key), "worker 7", now + 3600 * 1000};
    assert_true(certificate_issue_client(&authority, &client, now, &pem, &err));
    X509 *root = read(&authority);
    X509 *leaf = read_text(&pem);
    assert_int_equal(verify_chain(root, leaf, NULL, 0, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_equal(verify_chain(root, leaf, NULL, 3599, X509_PURPOSE_SSL_CLIENT), X509_V_OK);
    assert_int_equal(verify_chain(root, leaf, NULL, 3601, X509_PURPOSE_SSL_CLIENT),
                     X509_V_ERR_CERT_HAS_EXPIRED);
    assert_int_equal(verify_chain(root, leaf, NULL, 0, X509_PURPOSE_SSL_SERVER), X509_V_ERR_INVALID_PURPOSE);
    assert_int_equal(X509_check_ca(leaf), 0);
    assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_CLIENT);
    char name[16];
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, name, sizeof name) >
                0);
    assert_string_equal(name, "worker 7");
    BIO *bio = BIO_new_mem_buf(buffer_slice(&key).data, (int)buffer_length(&key));
    EVP_PKEY *private_key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    assert_int_equal(X509_check_private_key(leaf, private_key), 1);
    EVP_PKEY_free(private_key);
    BIO_free(bio);
    X509_free(root);
    X509_free(leaf);
    buffer_wipe(&key);
    buffer_free(&public_key);
    buffer_free(&pem);
}

static void test_only_a_public_key_of_p256_is_certified(void **state) {
    (void)state;
    error err;
    buffer key = buffer_make(4096);
    buffer public_key = buffer_make(256);
    buffer pem = buffer_make(65536);
    assert_true(certificate_make_client_key(&key, &public_key, &err));
    uint8_t bytes[92];
    memcpy(bytes, buffer_slice(&public_key).data, 91);
    bytes[91] = 0;
    EVP_PKEY *other = EVP_EC_gen("P-384");
    unsigned char *der = NULL;
    int length = i2d_PUBKEY(other, &der);
    EVP_PKEY *edwards = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    unsigned char *short_der = NULL;
    int short_length = i2d_PUBKEY(edwards, &short_der);
    uint8_t off_curve[91];
    memcpy(off_curve, bytes, sizeof off_curve);
    off_curve[90] ^= 1;
    const slice wrong[] = {{NULL, 0},
                           slice_of(bytes, 90),
                           slice_of(bytes, 92),
                           slice_of(off_curve, sizeof off_curve),
                           slice_of(der, (size_t)length),
                           slice_of(short_der, (size_t)short_length),
                           buffer_slice(&key)};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        certificate_client client = {wrong[i], "worker", now + 1000};
        assert_false(certificate_issue_client(&authority, &client, now, &pem, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_int_equal(buffer_length(&pem), 0);
    }
    OPENSSL_free(der);
    OPENSSL_free(short_der);
    EVP_PKEY_free(other);
    EVP_PKEY_free(edwards);
    buffer_wipe(&key);
    buffer_free(&public_key);
    buffer_free(&pem);
}

static void test_failed_allocations_of_a_clients_certificate_leak_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth += 23) {
        error err = {0};
        buffer key = buffer_make(4096);
        buffer public_key = buffer_make(CERTIFICATE_PUBLIC_KEY_MAX);
        buffer pem = buffer_make(65536);
        fault_fail_nth(nth);
        bool good = certificate_make_client_key(&key, &public_key, &err);
        certificate_client client = {buffer_slice(&public_key), "worker", now + 1000};
        good = good && certificate_issue_client(&authority, &client, now, &pem, &err);
        reached = fault_stop();
        assert_true(good || reached);
        assert_true(good || err.text[0] != '\0');
        buffer_wipe(&key);
        buffer_free(&public_key);
        buffer_free(&pem);
    }
}

/* OpenSSL allocates some 40,000 times for this, mostly while decoding a key: every 97th of them. */
static void test_failed_allocations_are_errors_and_leak_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth += 97) {
        error err = {0};
        certificate_pair root = certificate_pair_make();
        certificate_pair server = certificate_pair_make();
        certificate_pair next = certificate_pair_make();
        certificate_pair moved = certificate_pair_make();
        buffer bridge = buffer_make(65536);
        const char *name = "pool.example";
        const char *address = "192.0.2.1";
        certificate_names names = {&name, 1, &address, 1};
        uint8_t pin[CERTIFICATE_PIN_SIZE];
        fault_fail_nth(nth);
        bool good =
            certificate_make_authority("Test", now, &root, &err) &&
            certificate_issue_server(&root, &names, now, &server, &err) &&
            certificate_pin(buffer_slice(&server.certificate), pin, &err) &&
            certificate_make_successor(&root, now, &next, &bridge, &err) &&
            certificate_move_server(&root, &next, buffer_slice(&server.certificate), now, &moved, &err);
        reached = fault_stop();
        assert_true(good || reached);
        assert_true(good || err.text[0] != '\0');
        certificate_pair_free(&root);
        certificate_pair_free(&server);
        certificate_pair_free(&next);
        certificate_pair_free(&moved);
        buffer_free(&bridge);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_strict_client_accepts_the_chain_while_it_is_valid),
        cmocka_unit_test(test_the_certificates_say_what_they_are_for),
        cmocka_unit_test(test_serial_numbers_are_long_and_differ),
        cmocka_unit_test(test_the_pin_is_the_hash_of_the_public_key_info),
        cmocka_unit_test(test_the_end_of_validity_is_told),
        cmocka_unit_test(test_what_is_not_a_name_or_an_address_is_refused_by_name),
        cmocka_unit_test(test_an_authority_that_is_none_or_has_another_key_signs_nothing),
        cmocka_unit_test(test_a_renewed_certificate_has_the_names_and_another_key),
        cmocka_unit_test(test_a_successor_is_trusted_by_who_knows_the_authority_before_it),
        cmocka_unit_test(test_a_clients_certificate_is_for_its_key_its_name_and_its_time),
        cmocka_unit_test(test_only_a_public_key_of_p256_is_certified),
        cmocka_unit_test(test_failed_allocations_of_a_clients_certificate_leak_nothing),
        cmocka_unit_test(test_failed_allocations_are_errors_and_leak_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
