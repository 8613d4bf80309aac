#include "crypto/key_file.h"
#include "crypto/secret.h"
#include "crypto/sign.h"
#include "crypto/start.h"
#include "os/file.h"

#include "unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static error err;
static char folder[64];
static char path[128];

static const slice content = {(const uint8_t *)"-----BEGIN PRIVATE KEY-----", 27};

static int start(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cellule-key-file-XXXXXX");
    if (!crypto_start(&err) || mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/key", folder);
    return 0;
}

static int forget(void **state) {
    (void)state;
    key_file_forget();
    unsetenv("CREDENTIALS_DIRECTORY");
    unlink(path);
    return 0;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return rmdir(folder);
}

static void use(const char *passphrase) {
    assert_true(key_file_use(slice_of_text(passphrase), &err));
}

static void check_reads(void) {
    buffer read = buffer_make(27); /* no room is needed beyond the content */
    if (!key_file_read(path, &read, &err)) {
        print_error("%s\n", err.text);
        fail();
    }
    assert_true(slice_equal(buffer_slice(&read), content));
    buffer_wipe(&read);
}

static void check_refuses(error_code code) {
    buffer read = buffer_make(1024);
    assert_false(key_file_read(path, &read, &err));
    assert_int_equal(err.code, code);
    assert_int_equal(buffer_length(&read), 0);
    buffer_free(&read);
}

static void raw(buffer *bytes) {
    *bytes = buffer_make(4096);
    assert_true(file_read_private(path, bytes, &err));
}

static void test_without_a_passphrase_the_content_is_the_file(void **state) {
    (void)state;
    buffer bytes;
    struct stat status;
    assert_true(key_file_use_from(NULL, &err));
    assert_true(key_file_write(path, content, &err));
    raw(&bytes);
    assert_true(slice_equal(buffer_slice(&bytes), content));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    check_reads();
    assert_int_equal(chmod(path, 0640), 0);
    check_refuses(ERROR_DENIED);
    buffer_free(&bytes);
}

static void test_with_one_the_file_tells_nothing_and_only_the_same_one_opens_it(void **state) {
    (void)state;
    buffer bytes;
    struct stat status;
    use("correct horse battery");
    assert_true(key_file_write(path, content, &err));
    raw(&bytes);
    assert_true(key_file_is_sealed(buffer_slice(&bytes)));
    assert_true(slice_find_slice(buffer_slice(&bytes), SLICE_LITERAL("PRIVATE")) == SIZE_MAX);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    buffer_free(&bytes);
    check_reads();
    key_file_forget();
    check_refuses(ERROR_DENIED);
    assert_non_null(strstr(err.text, "--passphrase-file"));
    use("correct horse batterz");
    check_refuses(ERROR_DENIED);
    use("correct horse battery"); /* a second one, as when it is changed */
    check_reads();
}

static void test_files_that_were_there_before_are_read_and_written_sealed(void **state) {
    (void)state;
    buffer bytes;
    assert_true(key_file_write(path, content, &err));
    use("correct horse battery");
    check_reads();
    assert_true(key_file_write(path, content, &err));
    raw(&bytes);
    assert_true(key_file_is_sealed(buffer_slice(&bytes)));
    buffer_free(&bytes);
    key_file_write_plain();
    check_reads();
    assert_true(key_file_write(path, content, &err));
    key_file_forget();
    check_reads();
}

static void test_a_file_changed_in_any_byte_is_refused(void **state) {
    (void)state;
    buffer bytes;
    use("correct horse battery");
    assert_true(key_file_write(path, content, &err));
    raw(&bytes);
    size_t length = buffer_length(&bytes);
    for (size_t i = 21; i < length;
         i += i < 29 || i > 44 ? 9 : 15) { /* the costs, the salt, what is sealed */
        uint8_t changed[512];
        assert_true(length <= sizeof changed);
        memcpy(changed, buffer_slice(&bytes).data, length);
        changed[i] ^= 0x40;
        assert_true(file_write_atomic(path, slice_of(changed, length), 0600, &err));
        buffer read = buffer_make(1024);
        assert_false(key_file_read(path, &read, &err));
        assert_true(err.code == ERROR_DENIED || err.code == ERROR_CORRUPT);
        buffer_free(&read);
    }
    for (size_t cut = 21; cut < length; cut += 20) {
        assert_true(file_write_atomic(path, slice_part(buffer_slice(&bytes), 0, cut), 0600, &err));
        buffer read = buffer_make(1024);
        assert_false(key_file_read(path, &read, &err));
        buffer_free(&read);
    }
    buffer_free(&bytes);
}

static void test_a_passphrase_comes_from_a_private_file_or_the_services_credential(void **state) {
    (void)state;
    char source[160];
    snprintf(source, sizeof source, "%s/cellule.passphrase", folder);
    assert_true(file_write_atomic(source, SLICE_LITERAL("correct horse battery\n"), 0600, &err));
    assert_true(key_file_use_from(source, &err));
    assert_true(key_file_write(path, content, &err));
    key_file_forget();
    assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
    assert_true(key_file_use_from(NULL, &err));
    check_reads();
    key_file_forget();
    assert_int_equal(chmod(source, 0644), 0);
    assert_false(key_file_use_from(source, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    unlink(source);
    assert_true(key_file_use_from(NULL, &err)); /* a service with other credentials */
    check_refuses(ERROR_DENIED);
    assert_false(key_file_use_from(source, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
}

static void test_a_passphrase_too_short_is_refused(void **state) {
    (void)state;
    assert_false(key_file_use(SLICE_LITERAL("hunter2"), &err));
    assert_int_equal(err.code, ERROR_INVALID);
    use("correct horse battery");
    use("correct horse batterz");
    assert_false(key_file_use(SLICE_LITERAL("and a third one"), &err));
    assert_int_equal(err.code, ERROR_LIMIT);
}

static void test_signing_keys_are_sealed_too(void **state) {
    (void)state;
    use("correct horse battery");
    sign_key *key = sign_key_generate(&err);
    assert_non_null(key);
    assert_true(sign_key_save(key, path, &err));
    sign_key *loaded = sign_key_load(path, &err);
    assert_non_null(loaded);
    assert_memory_equal(sign_key_public(loaded), sign_key_public(key), SIGN_PUBLIC_SIZE);
    sign_key_free(loaded);
    key_file_forget();
    assert_null(sign_key_load(path, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    sign_key_free(key);
}

static void test_failures_are_errors_and_leave_the_file_as_it_was(void **state) {
    (void)state;
    use("correct horse battery");
    assert_true(key_file_write(path, content, &err));
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        buffer read = buffer_make(1024);
        fault_fail_nth(nth);
        bool good = key_file_read(path, &read, &err) && key_file_write(path, content, &err);
        reached = fault_stop();
        assert_true(good || reached);
        buffer_wipe(&read);
        check_reads();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_without_a_passphrase_the_content_is_the_file, forget),
        cmocka_unit_test_teardown(test_with_one_the_file_tells_nothing_and_only_the_same_one_opens_it,
                                  forget),
        cmocka_unit_test_teardown(test_files_that_were_there_before_are_read_and_written_sealed, forget),
        cmocka_unit_test_teardown(test_a_file_changed_in_any_byte_is_refused, forget),
        cmocka_unit_test_teardown(test_a_passphrase_comes_from_a_private_file_or_the_services_credential,
                                  forget),
        cmocka_unit_test_teardown(test_a_passphrase_too_short_is_refused, forget),
        cmocka_unit_test_teardown(test_signing_keys_are_sealed_too, forget),
        cmocka_unit_test_teardown(test_failures_are_errors_and_leave_the_file_as_it_was, forget),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
