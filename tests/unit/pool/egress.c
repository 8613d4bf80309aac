#include "egress.h"
#include "audit/audit.h"
#include "base/log.h"
#include "crypto/start.h"
#include "net/egress.h"
#include "os/clock.h"
#include "store/audit.h"

#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static error err;
static char folder[64];
static pool p;

static void must(bool good) {
    if (!good) {
        fail_msg("%s", err.text);
    }
}

static void path_of(site_file file, char path[SITE_PATH_SIZE]) {
    must(site_path(folder, file, path, &err));
}

static void write_site_file(site_file file, slice content) {
    char path[SITE_PATH_SIZE];
    path_of(file, path);
    must(file_write_atomic(path, content, 0600, &err));
}

/* A site with its audit log, whose store runs each operation at once. */
static int start(void **state) {
    (void)state;
    char path[SITE_PATH_SIZE];
    certificate_pair authority = certificate_pair_make();
    snprintf(folder, sizeof folder, "/tmp/cellule-egress-XXXXXX");
    assert_non_null(mkdtemp(folder));
    must(crypto_start(&err) && certificate_make_authority("Test CA", clock_unix_ms(), &authority, &err));
    write_site_file(SITE_CA_CERTIFICATE, buffer_slice(&authority.certificate));
    write_site_file(SITE_SETTINGS, SLICE_LITERAL("# nothing\n"));
    certificate_pair_free(&authority);
    sign_key *key = sign_key_generate(&err);
    must(key != NULL && site_open_with(folder, key, &p.site, &err));
    must(pool_settings_parse(SLICE_LITERAL("egress: \"idp.corp:443\"\n"), &p.settings, &err));
    path_of(SITE_DATABASE, path);
    p.loop = ev_loop_new(&err);
    p.store = p.loop == NULL ? NULL : store_open(&(store_options){.path = path}, &err);
    must(p.store != NULL && audit_load(&p, p.store, AUDIT_AT_ONCE, &err) && egress_start(&p, &err));
    audit_start(&p);
    return 0;
}

static int stop(void **state) {
    (void)state;
    static const char *const more[] = {"pool.db-wal", "pool.db-shm", "pool.db.lock"};
    egress_stop();
    audit_stop(&p);
    store_close(p.store);
    ev_loop_free(p.loop);
    site_close(&p.site);
    pool_settings_free(&p.settings);
    p = (pool){.port = 0};
    for (unsigned file = 0; file < SITE_FILE_COUNT; file++) {
        char path[SITE_PATH_SIZE];
        path_of((site_file)file, path);
        unlink(path);
    }
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        char path[SITE_PATH_SIZE];
        snprintf(path, sizeof path, "%s/%s", folder, more[i]);
        unlink(path);
    }
    crypto_stop();
    return rmdir(folder);
}

static int dial(const char *host, const char *number) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(443)};
    assert_int_equal(inet_pton(AF_INET, number, &to.sin_addr), 1);
    return net_egress_socket(host, (struct sockaddr *)&to, &err);
}

typedef struct found {
    size_t count;
    audit_entry last;
} found;

static void keep(void *context, const slice *entries, size_t count, const error *failure) {
    found *f = context;
    assert_null(failure);
    f->count = count;
    must(count == 0 || audit_entry_parse(entries[count - 1], &f->last, &err));
}

static found read_log(void) {
    found f = {.count = 0};
    must(store_audit_entries(p.store, 0, STORE_LIST_MAX, keep, &f, &err));
    return f;
}

static void test_what_is_named_is_dialled_and_not_entered(void **state) {
    (void)state;
    int descriptor = dial("idp.corp", "10.0.0.1");
    assert_true(descriptor >= 0);
    close(descriptor);
    assert_int_equal(read_log().count, 0);
}

static void test_what_is_refused_is_in_the_audit_log_with_the_address_that_was_meant(void **state) {
    (void)state;
    assert_int_equal(dial("idp.corp", "203.0.113.9"), -1);
    assert_int_equal(err.code, ERROR_DENIED);
    assert_non_null(strstr(err.text, "pool.yaml"));
    found f = read_log();
    assert_int_equal(f.count, 1);
    assert_int_equal(f.last.outcome, AUDIT_REFUSED);
    assert_string_equal(f.last.action, "egress");
    assert_string_equal(f.last.target, "idp.corp port 443");
    assert_non_null(strstr(f.last.detail, "203.0.113.9: a public address"));
    assert_false(net_egress_may_look_up("elsewhere.example", 80, &err));
    f = read_log();
    assert_int_equal(f.count, 2);
    assert_string_equal(f.last.target, "elsewhere.example port 80");
}

static void test_a_loop_of_refusals_does_not_fill_the_log(void **state) {
    (void)state;
    size_t begun = (size_t)(ev_now_ms(p.loop) / 1000);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(dial("evil.example", "10.0.0.1"), -1);
    }
    size_t seconds = (size_t)(ev_now_ms(p.loop) / 1000) - begun + 1;
    assert_true(read_log().count <= 5 * seconds);
    assert_true(read_log().count > 0);
}

static void test_a_list_that_is_wrong_is_named(void **state) {
    (void)state;
    pool_settings settings;
    assert_false(pool_settings_parse(SLICE_LITERAL("egress: \"idp.corp, no host\"\n"), &settings, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_non_null(strstr(err.text, "egress: \"no host\""));
}

int main(void) {
    log_configure(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_named_is_dialled_and_not_entered, start, stop),
        cmocka_unit_test_setup_teardown(
            test_what_is_refused_is_in_the_audit_log_with_the_address_that_was_meant, start, stop),
        cmocka_unit_test_setup_teardown(test_a_loop_of_refusals_does_not_fill_the_log, start, stop),
        cmocka_unit_test_setup_teardown(test_a_list_that_is_wrong_is_named, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
