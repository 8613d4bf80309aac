#include "secrets/files.h"

#include "crypto/start.h"
#include "net/tls.h"
#include "os/clock.h"

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static error err;
static char folder[64];
static uint64_t now;

static void path_of(site_file file, char path[SITE_PATH_SIZE]) {
    assert_true(site_path(folder, file, path, &err));
}

static void next_of(site_file file, char path[SITE_PATH_SIZE + 8]) {
    char name[SITE_PATH_SIZE];
    path_of(file, name);
    snprintf(path, SITE_PATH_SIZE + 8, "%s.next", name);
}

static void put(site_file file, slice content) {
    char path[SITE_PATH_SIZE];
    path_of(file, path);
    assert_true(file_write_atomic(path, content, 0600, &err));
}

static const site_file files[] = {SITE_CA_KEY, SITE_CA_CERTIFICATE, SITE_SERVER_KEY, SITE_SERVER_CERTIFICATE};

enum { FILE_COUNT = sizeof files / sizeof files[0] };

static int make_site(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cellule-secrets-XXXXXX");
    if (!crypto_start(&err) || mkdtemp(folder) == NULL) {
        return -1;
    }
    static const char *const name = "pool.example";
    certificate_names names = {&name, 1, NULL, 0};
    certificate_pair authority = certificate_pair_make();
    certificate_pair server = certificate_pair_make();
    now = clock_unix_ms();
    assert_true(certificate_make_authority("Test CA", now, &authority, &err));
    assert_true(certificate_issue_server(&authority, &names, now, &server, &err));
    server.certificate.limit = SITE_PEM_LIMIT;
    buffer_append(&server.certificate, buffer_slice(&authority.certificate));
    put(SITE_CA_KEY, buffer_slice(&authority.key));
    put(SITE_CA_CERTIFICATE, buffer_slice(&authority.certificate));
    put(SITE_SERVER_KEY, buffer_slice(&server.key));
    put(SITE_SERVER_CERTIFICATE, buffer_slice(&server.certificate));
    certificate_pair_free(&authority);
    certificate_pair_free(&server);
    return 0;
}

static int remove_site(void **state) {
    (void)state;
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char path[SITE_PATH_SIZE];
        char next[SITE_PATH_SIZE + 8];
        path_of(files[i], path);
        next_of(files[i], next);
        unlink(path);
        unlink(next);
    }
    crypto_stop();
    return rmdir(folder);
}

static void read_file(site_file file, buffer *content) {
    char path[SITE_PATH_SIZE];
    path_of(file, path);
    *content = buffer_make(SITE_PEM_LIMIT);
    assert_true(file_read_all(path, content, &err));
}

/* The four belong together: the authority signs what follows the server's certificate, which its key is of.
 */
static void check_whole(void) {
    certificate_pair authority = certificate_pair_make();
    certificate_pair server = certificate_pair_make();
    certificate_pair next = certificate_pair_make();
    read_file(SITE_CA_CERTIFICATE, &authority.certificate);
    read_file(SITE_CA_KEY, &authority.key);
    if (!site_read_server(folder, &server, &err) ||
        !certificate_renew_server(&authority, buffer_slice(&server.certificate), now, &next, &err)) {
        print_error("%s\n", err.text);
        fail();
    }
    net_tls *tls = net_tls_server_new(buffer_slice(&server.certificate), buffer_slice(&server.key), &err);
    assert_non_null(tls);
    net_tls_free(tls);
    certificate_pair_free(&authority);
    certificate_pair_free(&server);
    certificate_pair_free(&next);
}

static void check_nothing_beside(void) {
    for (size_t i = 0; i < FILE_COUNT; i++) {
        char next[SITE_PATH_SIZE + 8];
        next_of(files[i], next);
        assert_false(file_exists(next));
    }
}

static void check_same(const secrets_issued *issued) {
    buffer content;
    read_file(SITE_SERVER_CERTIFICATE, &content);
    assert_true(slice_equal(buffer_slice(&content), buffer_slice(&issued->server.certificate)));
    buffer_free(&content);
    read_file(SITE_CA_CERTIFICATE, &content);
    assert_true(slice_equal(buffer_slice(&content), buffer_slice(&issued->ca_pem)));
    buffer_free(&content);
    check_whole();
    check_nothing_beside();
}

static void test_each_exchange_is_on_the_disk_and_belongs_together(void **state) {
    (void)state;
    secrets_issued issued = secrets_issued_make();
    check_whole();
    assert_true(secrets_issue_server(folder, now, &issued, &err));
    check_same(&issued);
    assert_int_equal(certificate_count(buffer_slice(&issued.server.certificate)), 2);
    secrets_issued_free(&issued);
    issued = secrets_issued_make();
    assert_false(secrets_drop_former(folder, &issued, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    secrets_issued_free(&issued);
    issued = secrets_issued_make();
    assert_true(secrets_issue_authority(folder, now + 1000, &issued, &err));
    check_same(&issued);
    assert_true(secrets_has_former(buffer_slice(&issued.server.certificate), buffer_slice(&issued.ca_pem)));
    secrets_issued_free(&issued);
    issued = secrets_issued_make();
    assert_false(secrets_issue_authority(folder, now + 2000, &issued, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    secrets_issued_free(&issued);
    issued = secrets_issued_make();
    assert_true(secrets_issue_server(folder, now + 2000, &issued, &err));
    check_same(&issued);
    assert_true(secrets_has_former(buffer_slice(&issued.server.certificate), buffer_slice(&issued.ca_pem)));
    secrets_issued_free(&issued);
    issued = secrets_issued_make();
    assert_true(secrets_drop_former(folder, &issued, &err));
    check_same(&issued);
    assert_false(secrets_has_former(buffer_slice(&issued.server.certificate), buffer_slice(&issued.ca_pem)));
    assert_int_equal(certificate_count(buffer_slice(&issued.server.certificate)), 2);
    secrets_issued_free(&issued);
}

/* What a crash leaves: the disk gives out at each step in turn, and the next start settles it. */
static void test_whenever_it_breaks_off_the_files_belong_together(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        secrets_issued issued = secrets_issued_make();
        fault_fail_nth_at("write", nth);
        bool done = secrets_issue_authority(folder, now + 1000, &issued, &err);
        reached = fault_stop();
        assert_true(done || reached);
        secrets_issued_free(&issued);
        assert_true(secrets_settle(folder, &err));
        check_whole();
        check_nothing_beside();
        issued = secrets_issued_make();
        if (!secrets_drop_former(folder, &issued, &err)) {
            assert_int_equal(err.code, ERROR_CONFLICT); /* it broke off before it counted */
        }
        secrets_issued_free(&issued);
        check_whole();
    }
}

static void test_without_the_authoritys_key_nothing_is_issued(void **state) {
    (void)state;
    char path[SITE_PATH_SIZE];
    secrets_issued issued = secrets_issued_make();
    path_of(SITE_CA_KEY, path);
    unlink(path);
    assert_false(secrets_issue_server(folder, now, &issued, &err));
    assert_int_equal(err.code, ERROR_NOT_FOUND);
    check_nothing_beside();
    secrets_issued_free(&issued);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_site, remove_site)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_each_exchange_is_on_the_disk_and_belongs_together),
        TEST(test_whenever_it_breaks_off_the_files_belong_together),
        TEST(test_without_the_authoritys_key_nothing_is_issued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
