#include "os/host.h"
#include "os/clock.h"
#include "os/random.h"

#include "unit.h"

#include <arpa/inet.h>
#include <sys/utsname.h>
#include <time.h>

static void test_the_machine_is_described(void **state) {
    (void)state;
    error err;
    host_description host;
    struct utsname names;
    assert_true(host_describe(&host, &err));
    assert_int_equal(uname(&names), 0);
    assert_string_equal(host.architecture, names.machine);
    assert_int_equal(strncmp(host.os, names.sysname, strlen(names.sysname)), 0);
    assert_true(host.cores > 0);
    assert_true(host.ram_bytes > 1 << 20);
}

static void test_names_and_addresses_are_such_as_a_certificate_takes(void **state) {
    (void)state;
    error err;
    host_names names;
    assert_true(host_find_names(&names, &err));
    for (size_t i = 0; i < names.name_count; i++) {
        assert_string_not_equal(names.names[i], "localhost");
        assert_true(host_is_dns_name(slice_of_text(names.names[i])));
    }
    for (size_t i = 0; i < names.address_count; i++) {
        struct in6_addr address;
        assert_true(inet_pton(AF_INET, names.addresses[i], &address) == 1 ||
                    inet_pton(AF_INET6, names.addresses[i], &address) == 1);
        assert_int_not_equal(strncmp(names.addresses[i], "127.", 4), 0);
        assert_string_not_equal(names.addresses[i], "::1");
    }
}

static void test_only_names_of_proper_labels_are_dns_names(void **state) {
    (void)state;
    char longest[254];
    memset(longest, 'a', sizeof longest);
    for (size_t i = 63; i < sizeof longest; i += 64) {
        longest[i] = '.';
    }
    assert_true(host_is_dns_name(slice_of(longest, 253)));
    assert_false(host_is_dns_name(slice_of(longest, 254)));
    longest[63] = 'a';
    assert_false(host_is_dns_name(slice_of(longest, 100)));
    const char *const good[] = {"a", "a-b.c", "pool_1.example", "9", "A.B.C"};
    const char *const bad[] = {"",     ".",    "a.",  ".a",  "a..b",     "-a", "a-",
                               "a-.b", "a.-b", "a b", "*.a", "\xC3\xA9", "a\n"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(host_is_dns_name(slice_of_text(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(host_is_dns_name(slice_of_text(bad[i])));
    }
}

static void test_random_bytes_differ_and_fill_all(void **state) {
    (void)state;
    error err;
    static uint8_t a[4096];
    static uint8_t b[4096];
    assert_true(random_bytes(a, sizeof a, &err));
    assert_true(random_bytes(b, sizeof b, &err));
    assert_memory_not_equal(a, b, sizeof a);
    size_t zeros = 0;
    for (size_t i = sizeof a - 64; i < sizeof a; i++) {
        zeros += a[i] == 0;
    }
    assert_true(zeros < 32);
}

static void test_clocks_run_in_milliseconds(void **state) {
    (void)state;
    uint64_t first = clock_monotonic_ms();
    assert_true(clock_monotonic_ms() >= first);
    uint64_t seconds = (uint64_t)time(NULL);
    uint64_t unix_seconds = clock_unix_ms() / 1000;
    assert_true(unix_seconds + 2 >= seconds && unix_seconds <= seconds + 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_machine_is_described),
        cmocka_unit_test(test_names_and_addresses_are_such_as_a_certificate_takes),
        cmocka_unit_test(test_only_names_of_proper_labels_are_dns_names),
        cmocka_unit_test(test_random_bytes_differ_and_fill_all),
        cmocka_unit_test(test_clocks_run_in_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
