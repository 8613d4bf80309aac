#include "net/egress.h"

#include "base/log.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static int forget(void **state) {
    (void)state;
    net_egress_begin("say so");
    net_egress_on_refused(NULL, NULL);
    return 0;
}

static void allow(const char *list) {
    error err = {0};
    if (!net_egress_allow(slice_of_text(list), &err)) {
        fail_msg("%s", err.text);
    }
}

/* Opens the socket, as whoever connects does. */
static bool may_reach(const char *host, const char *address, uint16_t port, error *err) {
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    assert_true(is_v4 || inet_pton(AF_INET6, address, &v6.sin6_addr) == 1);
    int descriptor =
        net_egress_socket(host, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)(void *)&v6, err);
    if (descriptor >= 0) {
        close(descriptor);
        return true;
    }
    if (err->code == ERROR_IO && !is_v4) {
        return true; /* allowed, by a machine without IPv6 */
    }
    assert_int_equal(err->code, ERROR_DENIED);
    return false;
}

static void expect(bool allowed, const char *host, const char *address, uint16_t port) {
    error err = {0};
    if (may_reach(host, address, port, &err) != allowed) {
        fail_msg("%s at %s, port %u: %s", host, address, port, allowed ? err.text : "allowed");
    }
}

static void test_nothing_can_be_dialled_before_something_is_named(void **state) {
    (void)state;
    error err = {0};
    assert_true(net_egress_is_empty());
    expect(false, "127.0.0.1", "127.0.0.1", 443);
    expect(false, "10.0.0.1", "10.0.0.1", 443);
    assert_false(net_egress_may_look_up("pool.corp", 443, &err));
    assert_int_equal(err.code, ERROR_DENIED);
}

static void test_a_named_host_may_have_private_addresses_only(void **state) {
    (void)state;
    static const char *const private_ones[] = {"10.0.0.1",    "172.16.0.1", "172.31.255.255",
                                               "192.168.7.7", "100.64.0.1", "127.0.1.1",
                                               "::1",         "fd00::1",    "::ffff:10.1.1.1"};
    static const char *const others[] = {"8.8.8.8",         "172.32.0.1",    "100.128.0.1",
                                         "192.169.0.1",     "2001:db8::1",   "::ffff:8.8.8.8",
                                         "64:ff9b::a00:1",  "2002:a00:1::1", "11.0.0.1",
                                         "169.254.169.254", "fe80::1",       "::ffff:169.254.169.254"};
    allow("pool.corp:8443");
    for (size_t i = 0; i < sizeof private_ones / sizeof private_ones[0]; i++) {
        expect(true, "pool.corp", private_ones[i], 8443);
        expect(true, "POOL.corp.", private_ones[i], 8443);
        expect(false, "pool.corp", private_ones[i], 443);
        expect(false, "evil.example", private_ones[i], 8443);
        expect(false, "pool.corp.evil.example", private_ones[i], 8443);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        expect(false, "pool.corp", others[i], 8443);
    }
}

static void test_a_host_named_as_public_may_not_point_inside(void **state) {
    (void)state;
    allow("idp.example.com:443=public");
    expect(true, "idp.example.com", "203.0.113.9", 443);
    expect(true, "idp.example.com", "2001:db8::1", 443);
    expect(false, "idp.example.com", "10.0.0.1", 443);
    expect(false, "idp.example.com", "127.0.0.1", 443);
    expect(false, "idp.example.com", "169.254.169.254", 443);
    expect(false, "203.0.113.9", "203.0.113.9", 443);
    expect(true, "idp.example.com", "64:ff9b::808:808", 443);
    expect(true, "idp.example.com", "2002:808:808::1", 443);
    static const char *const inside[] = {
        "64:ff9b::a00:1",    "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1",   "64:ff9b:1::a00:1", "2002:a00:1::1",
        "2002:a9fe:a9fe::1", "::10.0.0.1",         "::169.254.169.254", "fec0::1",          "192.0.0.192",
        "198.18.0.1",        "64:ff9b::e000:1",    "2002:7f00:1::1",    "::8.8.8.8",        "2002:e000:1::"};
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++) {
        expect(false, "idp.example.com", inside[i], 443);
    }
}

static void test_an_address_inside_another_is_what_is_reached(void **state) {
    (void)state;
    allow("pool.corp:8443");
    expect(false, "pool.corp", "64:ff9b::a9fe:a9fe", 8443);
    expect(false, "pool.corp", "64:ff9b::808:808", 8443);
    net_egress_begin("say so");
    allow("0.0.0.0/0, 0.0.0.0/0=public, ::/0, ::/0=public");
    expect(false, "x", "64:ff9b::e000:1", 1);
    expect(false, "x", "2002:e000:1::", 1);
    expect(false, "x", "::8.8.8.8", 1);
    expect(true, "x", "::1", 1);
    net_egress_begin("say so");
    allow("64:ff9b::a00:0/104");
    expect(true, "x", "64:ff9b::a00:1", 1);
}

static void test_networks_and_addresses_count_whatever_the_name(void **state) {
    (void)state;
    allow("10.1.0.0/16, 192.168.1.7:80, [fd12:3456::]/32:443, 203.0.113.0/24=public, 169.254.1.1, fe80::2");
    expect(true, "anything", "10.1.255.255", 1);
    expect(false, "anything", "10.2.0.0", 1);
    expect(true, "192.168.1.7", "192.168.1.7", 80);
    expect(false, "192.168.1.7", "192.168.1.7", 81);
    expect(false, "192.168.1.8", "192.168.1.8", 80);
    expect(true, "x", "fd12:3456:ffff::1", 443);
    expect(false, "x", "fd12:3457::1", 443);
    expect(true, "x", "203.0.113.200", 9);
    expect(true, "x", "::ffff:203.0.113.200", 9);
    expect(false, "x", "203.0.114.1", 9);
    expect(true, "x", "169.254.1.1", 9);
    expect(false, "x", "169.254.1.2", 9);
    expect(true, "x", "fe80::2", 9);
}

static void test_some_addresses_are_never_dialled(void **state) {
    (void)state;
    static const char *const never[] = {"0.0.0.0",   "0.1.2.3", "224.0.0.1", "255.255.255.255",
                                        "240.0.0.1", "::",      "ff02::1",   "::ffff:0.0.0.0"};
    allow("0.0.0.0/0, 0.0.0.0/0=public, ::/0, ::/0=public, any.corp");
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        expect(false, "any.corp", never[i], 1);
    }
    expect(true, "any.corp", "8.8.8.8", 1);
}

static void test_an_internet_of_ipv4_says_nothing_of_ipv6(void **state) {
    (void)state;
    allow("0.0.0.0/0=public");
    expect(true, "x", "8.8.8.8", 1);
    expect(false, "x", "2001:db8::1", 1);
    expect(false, "x", "10.0.0.1", 1);
}

static void test_only_names_that_a_rule_is_about_are_looked_up(void **state) {
    (void)state;
    error err = {0};
    allow("pool.corp:8443");
    assert_true(net_egress_may_look_up("pool.corp", 8443, &err));
    assert_false(net_egress_may_look_up("pool.corp", 443, &err));
    assert_false(net_egress_may_look_up("secret.evil.example", 8443, &err));
    allow("10.0.0.0/8:443");
    assert_true(net_egress_may_look_up("inside.corp", 443, &err));
    assert_false(net_egress_may_look_up("inside.corp", 444, &err));
}

static void test_what_is_wrong_in_a_list_is_named_and_nothing_of_it_counts(void **state) {
    (void)state;
    static const char *const wrong[] = {"a b",         "host:0",       "host:65536",     "host:x",
                                        "10.0.0.0/33", "10.0.0.0/",    "10.0.0.0/-1",    "host/8",
                                        "host=open",   "=public",      ":443",           "[::1",
                                        "[host]",      "::/129",       "[::1]443",       "10.0.0.0/8/8",
                                        "host:1:2",    "https://host", "10.0.0.1,,host", "[10.0.0.1]:443"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        error err = {0};
        char list[64];
        snprintf(list, sizeof list, "good.corp, %s", wrong[i]);
        if (net_egress_allow(slice_of_text(list), &err)) {
            fail_msg("%s was taken", wrong[i]);
        }
        assert_int_equal(err.code, ERROR_INVALID);
        assert_true(net_egress_is_empty());
        assert_false(net_egress_check_list(slice_of_text(list), &err));
    }
}

static void test_a_list_has_a_bound(void **state) {
    (void)state;
    error err = {0};
    for (size_t i = 0; i < NET_EGRESS_RULES_MAX; i++) {
        allow("10.0.0.0/8");
    }
    assert_false(net_egress_allow(SLICE_LITERAL("10.0.0.0/8"), &err));
    assert_int_equal(err.code, ERROR_LIMIT);
}

static void test_a_url_names_its_host_and_port(void **state) {
    (void)state;
    error err = {0};
    assert_true(net_egress_allow_url("https://idp.corp/realms/a?x=1", false, &err));
    assert_true(net_egress_allow_url("http://[fd00::5]:8080/v1", false, &err));
    assert_true(net_egress_allow_url("http://10.0.0.9", true, &err));
    expect(true, "idp.corp", "10.0.0.1", 443);
    expect(false, "idp.corp", "10.0.0.1", 80);
    expect(false, "idp.corp", "8.8.8.8", 443);
    expect(true, "fd00::5", "fd00::5", 8080);
    expect(true, "10.0.0.9", "10.0.0.9", 80);
    static const char *const wrong[] = {"ftp://host",         "https://",
                                        "https://user@host/", "https://10.0.0.0=public",
                                        "https://ho st/",     "host:443"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(net_egress_allow_url(wrong[i], false, &err));
    }
}

static void test_a_host_may_be_meant_to_be_public(void **state) {
    (void)state;
    error err = {0};
    assert_true(net_egress_allow_host(SLICE_LITERAL("pool.example.com"), 8443, true, &err));
    assert_true(net_egress_allow_host(SLICE_LITERAL("203.0.113.5"), 8443, false, &err));
    expect(true, "pool.example.com", "203.0.113.4", 8443);
    expect(true, "pool.example.com", "10.0.0.1", 8443);
    expect(false, "203.0.113.5", "203.0.113.5", 8443);
    assert_false(net_egress_allow_host(SLICE_LITERAL("no host"), 1, false, &err));
}

static void test_the_ports_that_are_named_are_known(void **state) {
    (void)state;
    uint16_t ports[NET_EGRESS_PORTS_MAX];
    size_t count = 9;
    assert_true(net_egress_ports(ports, &count));
    assert_int_equal(count, 0);
    allow("a:443, b:8443, c:443");
    assert_true(net_egress_ports(ports, &count));
    assert_int_equal(count, 2);
    assert_int_equal(ports[0], 443);
    assert_int_equal(ports[1], 8443);
    allow("10.0.0.0/8");
    assert_false(net_egress_ports(ports, &count));
}

static void keep(void *context, const net_egress_refusal *r) {
    snprintf(context, 200, "%s|%s|%u|%s", r->host, r->address, r->port, r->reason);
}

static void test_a_refusal_says_who_wanted_what_and_what_to_do(void **state) {
    (void)state;
    char told[200] = "";
    error err = {0};
    net_egress_on_refused(keep, told);
    allow("pool.corp");
    assert_false(may_reach("pool.corp", "203.0.113.9", 8443, &err));
    assert_string_equal(
        told, "pool.corp|203.0.113.9|8443|a public address, which its configuration doesn't name as one");
    assert_non_null(strstr(err.text, "pool.corp (203.0.113.9), port 8443"));
    assert_non_null(strstr(err.text, "; say so"));
    assert_false(may_reach("10.0.0.1", "10.0.0.1", 1, &err));
    assert_string_equal(told, "10.0.0.1|10.0.0.1|1|its configuration doesn't name it");
    assert_non_null(strstr(err.text, "to 10.0.0.1, port 1"));
    assert_false(net_egress_may_look_up("other", 7, &err));
    assert_string_equal(told, "other||7|its configuration doesn't name it");
}

int main(void) {
    log_configure(LOG_ERROR, false); /* refusals are warnings */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_nothing_can_be_dialled_before_something_is_named, forget),
        cmocka_unit_test_setup(test_a_named_host_may_have_private_addresses_only, forget),
        cmocka_unit_test_setup(test_a_host_named_as_public_may_not_point_inside, forget),
        cmocka_unit_test_setup(test_an_address_inside_another_is_what_is_reached, forget),
        cmocka_unit_test_setup(test_networks_and_addresses_count_whatever_the_name, forget),
        cmocka_unit_test_setup(test_some_addresses_are_never_dialled, forget),
        cmocka_unit_test_setup(test_an_internet_of_ipv4_says_nothing_of_ipv6, forget),
        cmocka_unit_test_setup(test_only_names_that_a_rule_is_about_are_looked_up, forget),
        cmocka_unit_test_setup(test_what_is_wrong_in_a_list_is_named_and_nothing_of_it_counts, forget),
        cmocka_unit_test_setup(test_a_list_has_a_bound, forget),
        cmocka_unit_test_setup(test_a_url_names_its_host_and_port, forget),
        cmocka_unit_test_setup(test_a_host_may_be_meant_to_be_public, forget),
        cmocka_unit_test_setup(test_the_ports_that_are_named_are_known, forget),
        cmocka_unit_test_setup(test_a_refusal_says_who_wanted_what_and_what_to_do, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
