/* client.json while a key is exchanged, and files with a key alone. */
#include "client/client_file.h"

#include "os/file.h"
#include "unit.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "ck_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define OLD_KEY "ck_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB"

static char folder[64];
static char path[96];
static error err;

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cellule-client-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/client.json", folder);
    json_start(1);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void put(const char *text, unsigned mode) {
    assert_true(file_write_atomic(path, slice_of_text(text), mode, &err));
}

static void expect_content(const char *text) {
    buffer content = buffer_make(4096);
    assert_true(file_read_all(path, &content, &err));
    assert_true(slice_equal_text(buffer_slice(&content), text));
    buffer_free(&content);
}

static void test_the_keys_change_and_the_rest_stays(void **state) {
    (void)state;
    client_keys keys = {0};
    struct stat seen;
    put("{\"url\":\"https://pool\",\"key\":\"" OLD_KEY "\",\"public\":true,\"later\":{\"a\":1}}", 0600);
    assert_true(client_file_read(path, &keys, &err));
    assert_string_equal(keys.key, OLD_KEY);
    assert_string_equal(keys.old_key, "");
    snprintf(keys.key, sizeof keys.key, "%s", KEY);
    snprintf(keys.old_key, sizeof keys.old_key, "%s", OLD_KEY);
    assert_true(client_file_write(path, &keys, &err));
    expect_content("{\"url\":\"https://pool\",\"public\":true,\"later\":{\"a\":1},\"key\":\"" KEY
                   "\",\"old_key\":\"" OLD_KEY "\"}\n");
    assert_int_equal(stat(path, &seen), 0);
    assert_int_equal(seen.st_mode & 0777, 0600);
    keys.old_key[0] = '\0';
    assert_true(client_file_write(path, &keys, &err));
    expect_content("{\"url\":\"https://pool\",\"public\":true,\"later\":{\"a\":1},\"key\":\"" KEY "\"}\n");
}

static void test_a_file_that_names_no_key_or_is_open_to_others_is_refused(void **state) {
    (void)state;
    client_keys keys = {0};
    put("{\"url\":\"https://pool\"}", 0600);
    assert_false(client_file_read(path, &keys, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    put("{\"key\":\"" KEY "\"}", 0644);
    assert_false(client_file_read(path, &keys, &err));
    assert_int_equal(err.code, ERROR_DENIED);
    put("{\"key\":\"" KEY "\"", 0600);
    assert_false(client_file_read(path, &keys, &err));
    assert_false(client_file_write(path, &keys, &err));
    expect_content("{\"key\":\"" KEY "\"");
}

static void test_a_key_stands_alone_in_its_file(void **state) {
    (void)state;
    char key[CLIENT_KEY_SIZE] = "";
    char long_text[2 * CLIENT_KEY_SIZE];
    put(KEY "\r\n", 0600);
    assert_true(client_read_key(path, key, &err));
    assert_string_equal(key, KEY);
    put("\n", 0600);
    assert_false(client_read_key(path, key, &err));
    memset(long_text, 'k', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    put(long_text, 0600);
    assert_false(client_read_key(path, key, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    put(KEY, 0640);
    assert_false(client_read_key(path, key, &err));
    assert_int_equal(err.code, ERROR_DENIED);
}

#define FOLDER_TEST(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void) {
    const struct CMUnitTest tests[] = {
        FOLDER_TEST(test_the_keys_change_and_the_rest_stays),
        FOLDER_TEST(test_a_file_that_names_no_key_or_is_open_to_others_is_refused),
        FOLDER_TEST(test_a_key_stands_alone_in_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
