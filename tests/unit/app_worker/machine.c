#include "machine.h"

#include "crypto/hash.h"
#include "crypto/start.h"
#include "os/file.h"

#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

static char folder[64];
static char path[128];

static int start(void **state) {
    (void)state;
    error err;
    snprintf(folder, sizeof folder, "/tmp/cellule-machine-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    snprintf(path, sizeof path, "%s/machine-id", folder);
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    unlink(path);
    rmdir(folder);
    crypto_stop();
    return 0;
}

static const uint8_t pool_id[PROTO_POOL_ID_SIZE] = {
    0x24, 0xf6, 0xed, 0x6a, 0xcb, 0xfe, 0x10, 0x09, 0xc0, 0x30, 0xd7, 0xca, 0x56, 0x7c, 0x33, 0xca,
    0x48, 0x30, 0x91, 0x14, 0x98, 0x23, 0x6b, 0x55, 0x61, 0xa6, 0xc8, 0x2a, 0xbe, 0xc5, 0xde, 0x28};

static void identify(const char *content, char hex[HASH_HEX_SIZE]) {
    uint8_t machine[PROTO_MACHINE_SIZE];
    error err = {.text = ""};
    assert_true(file_write_atomic(path, slice_of_text(content), 0644, &err));
    assert_true(machine_identify(path, pool_id, machine, &err));
    hex_encode(slice_of(machine, sizeof machine), hex);
}

/* The documented pool and id (docs/protocol.md), hashed by another program (Python's hashlib). */
static void test_the_id_is_hashed_as_documented(void **state) {
    (void)state;
    static const char *const same[] = {"0123456789abcdef0123456789abcdef\n",
                                       "0123456789abcdef0123456789abcdef",
                                       " 0123456789abcdef0123456789abcdef \nmore\n"};
    char hex[HASH_HEX_SIZE];
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        identify(same[i], hex);
        assert_string_equal(hex, "2690919950fd595932558261a4b57906b012074b575d84be2dbce35e5474ea05");
    }
}

static void test_a_machine_has_another_id_at_each_pool(void **state) {
    (void)state;
    uint8_t here[PROTO_MACHINE_SIZE];
    uint8_t there[PROTO_MACHINE_SIZE];
    uint8_t other[PROTO_POOL_ID_SIZE] = {1};
    error err;
    assert_true(file_write_atomic(path, SLICE_LITERAL("0123456789abcdef0123456789abcdef\n"), 0644, &err));
    assert_true(machine_identify(path, pool_id, here, &err));
    assert_true(machine_identify(path, other, there, &err));
    assert_memory_not_equal(here, there, sizeof here);
}

static void test_a_machine_without_an_id_says_so(void **state) {
    (void)state;
    static const char *const none[] = {"", "\n", " \t\nx", "uninitialized\n"};
    static const uint8_t zeros[PROTO_MACHINE_SIZE];
    char hex[HASH_HEX_SIZE];
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        identify(none[i], hex);
        assert_int_equal(strspn(hex, "0"), 64);
    }
    static char long_text[8192];
    memset(long_text, 'a', sizeof long_text - 1);
    identify(long_text, hex);
    assert_int_equal(strspn(hex, "0"), 64);
    uint8_t machine[PROTO_MACHINE_SIZE];
    error err;
    assert_true(machine_identify("/nowhere/machine-id", pool_id, machine, &err));
    assert_memory_equal(machine, zeros, sizeof zeros);
    assert_true(machine_identify(folder, pool_id, machine, &err));
    assert_memory_equal(machine, zeros, sizeof zeros);
}

static void test_a_failed_allocation_is_no_other_machine(void **state) {
    (void)state;
    char hex[HASH_HEX_SIZE];
    identify("0123456789abcdef0123456789abcdef\n", hex);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        uint8_t machine[PROTO_MACHINE_SIZE];
        error err = {0};
        fault_fail_nth(nth);
        bool good = machine_identify(path, pool_id, machine, &err);
        reached = fault_stop();
        assert_true(good != reached);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_id_is_hashed_as_documented),
        cmocka_unit_test(test_a_machine_has_another_id_at_each_pool),
        cmocka_unit_test(test_a_machine_without_an_id_says_so),
        cmocka_unit_test(test_a_failed_allocation_is_no_other_machine),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
