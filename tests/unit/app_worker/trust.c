/* The site's other authority, as the pool names it to a worker. */
#include "trust.h"

#include "codec/json.h"
#include "crypto/start.h"
#include "os/file.h"
#include "proto/trust.h"

#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

static const uint64_t start_ms = UINT64_C(1700000000000);
enum { DAY_MS = 24 * 60 * 60 * 1000 };

static agent here;
static sign_key *first;
static sign_key *second;                /* follows it */
static certificate_pair authorities[2]; /* the second begins later */
static char folder[64];
static error err;

static slice ca_of(size_t number) {
    return buffer_slice(&authorities[number].certificate);
}

/* As the pool of `id` says it with `key`. */
static proto_trust named_by(const sign_key *key, const uint8_t id[HASH_SIZE], size_t number) {
    proto_trust told = {.ca = ca_of(number)};
    buffer bytes = buffer_make(PROTO_CA_MAX + 256);
    proto_trust_bytes(id, told.ca, &bytes);
    assert_true(sign_bytes(key, buffer_slice(&bytes), told.signature, &err));
    buffer_free(&bytes);
    return told;
}

static void tell(const sign_key *key, size_t number) {
    proto_trust told = named_by(key, here.home.pool_id, number);
    trust_take(&here, &told);
}

static void assert_trusts(size_t number) {
    char path[128];
    buffer content = buffer_make(HOME_CA_LIMIT);
    snprintf(path, sizeof path, "%s/ca.pem", folder);
    assert_true(file_read_all(path, &content, &err));
    assert_true(slice_equal(buffer_slice(&content), ca_of(number)));
    assert_true(slice_equal(buffer_slice(&here.home.ca_pem), ca_of(number)));
    buffer_free(&content);
}

static int set_up(void **state) {
    char path[128];
    (void)state;
    here = (agent){.state_folder = folder, .home = {.ca_pem = buffer_make(HOME_CA_LIMIT)}};
    snprintf(folder, sizeof folder, "/tmp/cellule-trust-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/ca.pem", folder);
    assert_true(file_write_atomic(path, ca_of(0), 0644, &err));
    assert_true(buffer_append(&here.home.ca_pem, ca_of(0)));
    assert_true(succession_begin(sign_key_public(first), &here.keys.known, &err));
    memcpy(here.home.pool_id, here.keys.known.pool_id, HASH_SIZE);
    return 0;
}

static int tear_down(void **state) {
    char path[128];
    (void)state;
    net_tls_free(here.tls);
    buffer_free(&here.home.ca_pem);
    snprintf(path, sizeof path, "%s/ca.pem", folder);
    unlink(path);
    return rmdir(folder);
}

static void test_an_authority_that_the_pools_key_signed_is_trusted(void **state) {
    (void)state;
    tell(first, 1);
    assert_trusts(1);
    assert_non_null(here.tls);
    tell(first, 0); /* an older one */
    assert_trusts(1);
}

static void test_after_an_exchange_the_new_key_counts_and_the_one_before_doesnt(void **state) {
    (void)state;
    tell(second, 1); /* not named yet */
    assert_trusts(0);
    assert_true(succession_append(&here.keys.known, first, second, start_ms, &err));
    tell(first, 1); /* may be stolen: that's why it was exchanged */
    assert_trusts(0);
    assert_null(here.tls);
    tell(second, 1);
    assert_trusts(1);
}

static void test_what_another_pool_was_told_isnt_taken(void **state) {
    uint8_t other[HASH_SIZE];
    (void)state;
    memcpy(other, here.home.pool_id, sizeof other);
    other[0] ^= 1;
    proto_trust told = named_by(first, other, 1);
    trust_take(&here, &told);
    assert_trusts(0);
    told = named_by(first, here.home.pool_id, 1);
    told.signature[63] ^= 1;
    trust_take(&here, &told);
    assert_trusts(0);
}

/* But of what is only said in the log. */
static void test_every_failing_allocation_leaves_one_authority_whole(void **state) {
    (void)state;
    assert_true(succession_append(&here.keys.known, first, second, start_ms, &err));
    proto_trust told = named_by(second, here.home.pool_id, 1);
    for (int nth = 0; here.tls == NULL; nth++) {
        fault_fail_nth(nth);
        trust_take(&here, &told);
        bool reached = fault_stop();
        assert_true(reached || here.tls != NULL);
        assert_trusts(here.tls == NULL ? 0 : 1);
    }
}

static int start(void **state) {
    (void)state;
    if (!crypto_start(&err)) {
        return -1;
    }
    json_start(1);
    first = sign_key_generate(&err);
    second = sign_key_generate(&err);
    bool made = first != NULL && second != NULL;
    for (size_t i = 0; made && i < 2; i++) {
        authorities[i] = certificate_pair_make();
        made = certificate_make_authority("site", start_ms + i * DAY_MS, &authorities[i], &err);
    }
    return made ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    sign_key_free(first);
    sign_key_free(second);
    certificate_pair_free(&authorities[0]);
    certificate_pair_free(&authorities[1]);
    crypto_stop();
    return 0;
}

#define TRUST_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TRUST_TEST(test_an_authority_that_the_pools_key_signed_is_trusted),
        TRUST_TEST(test_after_an_exchange_the_new_key_counts_and_the_one_before_doesnt),
        TRUST_TEST(test_what_another_pool_was_told_isnt_taken),
        TRUST_TEST(test_every_failing_allocation_leaves_one_authority_whole),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
