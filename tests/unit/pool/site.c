#include "site.h"
#include "crypto/start.h"
#include "os/clock.h"

#include "unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static error err;
static char folder[64];

static void path_of(site_file file, char path[SITE_PATH_SIZE]) {
    assert_true(site_path(folder, file, path, &err));
}

static void write_site_file(site_file file, slice content) {
    char path[SITE_PATH_SIZE];
    path_of(file, path);
    assert_true(file_write_atomic(path, content, 0600, &err));
}

/* What site_open reads, as `pool init` of an older version made it. */
static int make_site(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cellule-site-XXXXXX");
    if (!crypto_start(&err) || mkdtemp(folder) == NULL) {
        return -1;
    }
    char path[SITE_PATH_SIZE];
    certificate_pair authority = certificate_pair_make();
    sign_key *key = sign_key_generate(&err);
    path_of(SITE_POOL_KEY, path);
    bool made = key != NULL && sign_key_save(key, path, &err) &&
                certificate_make_authority("Test CA", clock_unix_ms(), &authority, &err);
    if (made) {
        write_site_file(SITE_CA_CERTIFICATE, buffer_slice(&authority.certificate));
        write_site_file(SITE_SETTINGS, SLICE_LITERAL("listen: \"127.0.0.1:0\"\n"));
    }
    sign_key_free(key);
    certificate_pair_free(&authority);
    return made ? 0 : -1;
}

static int remove_site(void **state) {
    (void)state;
    for (unsigned file = 0; file < SITE_FILE_COUNT; file++) {
        char path[SITE_PATH_SIZE];
        path_of((site_file)file, path);
        unlink(path);
    }
    crypto_stop();
    return rmdir(folder);
}

static site open_site(void) {
    site s;
    if (!site_open(folder, &s, &err)) {
        print_error("%s\n", err.text);
        fail();
    }
    return s;
}

static void test_a_site_without_verify_key_gets_one_and_keeps_it(void **state) {
    (void)state;
    char path[SITE_PATH_SIZE];
    struct stat status;
    path_of(SITE_VERIFY_KEY, path);
    assert_false(file_exists(path));
    site s = open_site();
    site_verify_keys first = *s.verify;
    site_close(&s);
    assert_null(s.verify);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 32);
    assert_int_equal(status.st_mode & 0777, 0600);
    s = open_site();
    assert_memory_equal(s.verify, &first, sizeof first);
    site_close(&s);
    assert_memory_not_equal(first.seal, first.draw, 32);
    assert_memory_not_equal(first.seal, first.honeytoken, 32);
    assert_memory_not_equal(first.draw, first.honeytoken, 32);
    assert_true(site_make_verify_key(folder, &err));
    s = open_site();
    assert_memory_not_equal(s.verify->seal, first.seal, 32);
    assert_memory_not_equal(s.verify->draw, first.draw, 32);
    assert_memory_not_equal(s.verify->honeytoken, first.honeytoken, 32);
    site_close(&s);
}

static void test_a_verify_key_that_is_none_is_refused_and_left(void **state) {
    (void)state;
    static uint8_t bytes[100];
    char path[SITE_PATH_SIZE];
    path_of(SITE_VERIFY_KEY, path);
    for (size_t length = 0; length <= sizeof bytes; length += length == 31 ? 2 : 1) {
        write_site_file(SITE_VERIFY_KEY, slice_of(bytes, length));
        site s;
        assert_false(site_open(folder, &s, &err));
        assert_non_null(strstr(err.text, "verify.key"));
        site_close(&s);
    }
    write_site_file(SITE_VERIFY_KEY, slice_of(bytes, 32));
    assert_int_equal(chmod(path, 0640), 0);
    site s;
    assert_false(site_open(folder, &s, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    site_close(&s);
}

static void test_a_record_opens_in_its_own_place_alone(void **state) {
    (void)state;
    static const uint8_t ids[2][SITE_RECORD_ID_SIZE] = {{1}, {2}};
    site s = open_site();
    buffer sealed = buffer_make(1024);
    buffer plain = buffer_make(1024);
    assert_true(site_seal(&s, "inference_verifications", ids[0], SLICE_LITERAL("asked"), &sealed, &err));
    assert_true(site_open_sealed(&s, "inference_verifications", ids[0], buffer_slice(&sealed), &plain, &err));
    assert_true(slice_equal_text(buffer_slice(&plain), "asked"));
    buffer_wipe(&plain);
    assert_false(
        site_open_sealed(&s, "inference_verifications", ids[1], buffer_slice(&sealed), &plain, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_false(site_open_sealed(&s, "inference_payloads", ids[0], buffer_slice(&sealed), &plain, &err));
    assert_false(site_open_sealed(&s, "", ids[0], buffer_slice(&sealed), &plain, &err));
    assert_int_equal(buffer_length(&plain), 0);
    site_close(&s);
    assert_true(site_make_verify_key(folder, &err));
    s = open_site();
    assert_false(
        site_open_sealed(&s, "inference_verifications", ids[0], buffer_slice(&sealed), &plain, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    site_close(&s);
    buffer_free(&sealed);
    buffer_wipe(&plain);
}

static void test_opening_survives_each_failing_allocation_write_and_lock(void **state) {
    (void)state;
    static const char *const points[] = {"memory", "write", "lock"};
    char path[SITE_PATH_SIZE];
    path_of(SITE_VERIFY_KEY, path);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        bool reached = true;
        for (int nth = 0; reached; nth++) {
            site s;
            unlink(path);
            fault_fail_nth_at(points[i], nth);
            bool opened = site_open(folder, &s, &err);
            reached = fault_stop();
            assert_true(opened || reached);
            site_close(&s);
            site_close(&s); /* harmless */
        }
    }
}

#define SITE_TEST(test) cmocka_unit_test_setup_teardown(test, make_site, remove_site)

int main(void) {
    const struct CMUnitTest tests[] = {
        SITE_TEST(test_a_site_without_verify_key_gets_one_and_keeps_it),
        SITE_TEST(test_a_verify_key_that_is_none_is_refused_and_left),
        SITE_TEST(test_a_record_opens_in_its_own_place_alone),
        SITE_TEST(test_opening_survives_each_failing_allocation_write_and_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
