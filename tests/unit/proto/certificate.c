#include "proto/certificate.h"

#include "codec/json.h"
#include "unit.h"

static const uint8_t pool_id[PROTO_POOL_ID_SIZE] = {7};

static proto_certificate sample(void) {
    proto_certificate request = {.worker_id = {0xab}};
    for (size_t i = 0; i < sizeof request.tls_key; i++) {
        request.tls_key[i] = (uint8_t)i;
    }
    memset(request.signature, 9, sizeof request.signature);
    return request;
}

static int start(void **state) {
    (void)state;
    json_start(1);
    return 0;
}

static void test_a_request_is_read_as_it_was_written(void **state) {
    (void)state;
    error err;
    proto_certificate request = sample();
    proto_certificate back;
    buffer text = buffer_make(PROTO_CERTIFICATE_MAX);
    assert_true(proto_certificate_encode(&request, &text, &err));
    assert_true(proto_certificate_decode(buffer_slice(&text), &back, &err));
    assert_memory_equal(&back, &request, sizeof back);
    buffer_free(&text);
}

static void test_the_signed_bytes_name_the_pool_the_worker_and_the_key(void **state) {
    (void)state;
    static const uint8_t other_pool[PROTO_POOL_ID_SIZE] = {8};
    proto_certificate one = sample();
    proto_certificate other_worker = sample();
    proto_certificate other_key = sample();
    buffer bytes[4];
    other_worker.worker_id[15] = 1;
    other_key.tls_key[90] = 0;
    const proto_certificate *const requests[] = {&one, &one, &other_worker, &other_key};
    for (size_t i = 0; i < 4; i++) {
        bytes[i] = buffer_make(1024);
        proto_certificate_bytes(requests[i], i == 1 ? other_pool : pool_id, &bytes[i]);
        assert_false(buffer_failed(&bytes[i]));
        assert_int_equal(buffer_length(&bytes[i]), 4 + 22 + 4 + 32 + 4 + 16 + 4 + 91);
    }
    for (size_t i = 1; i < 4; i++) {
        assert_false(slice_equal(buffer_slice(&bytes[0]), buffer_slice(&bytes[i])));
    }
    for (size_t i = 0; i < 4; i++) {
        buffer_free(&bytes[i]);
    }
}

static void test_what_is_missing_or_of_another_size_is_refused(void **state) {
    (void)state;
    static const char *const members[] = {"worker_id", "tls_key", "signature"};
    error err;
    proto_certificate request = sample();
    proto_certificate back;
    buffer text = buffer_make(PROTO_CERTIFICATE_MAX);
    assert_true(proto_certificate_encode(&request, &text, &err));
    for (size_t i = 0; i < 3; i++) {
        char copy[PROTO_CERTIFICATE_MAX + 1];
        snprintf(copy, sizeof copy, "%.*s", SLICE_FORMAT(buffer_slice(&text)));
        char *place = strstr(copy, members[i]);
        assert_non_null(place);
        char *value = place + strlen(members[i]) + 3;
        place[0] = 'x';
        assert_false(proto_certificate_decode(slice_of_text(copy), &back, &err));
        assert_int_equal(err.code, ERROR_INVALID);
        place[0] = members[i][0];
        memmove(value, value + 1, strlen(value));
        assert_false(proto_certificate_decode(slice_of_text(copy), &back, &err));
        assert_int_equal(err.code, ERROR_INVALID);
    }
    static const char *const junk[] = {"", "{}", "[]", "{\"worker_id\":7}", "null"};
    for (size_t i = 0; i < sizeof junk / sizeof junk[0]; i++) {
        assert_false(proto_certificate_decode(slice_of_text(junk[i]), &back, &err));
    }
    buffer_free(&text);
}

static void test_every_failed_allocation_is_an_error(void **state) {
    (void)state;
    proto_certificate request = sample();
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        proto_certificate back;
        buffer text = buffer_make(PROTO_CERTIFICATE_MAX);
        fault_fail_nth(nth);
        bool good = proto_certificate_encode(&request, &text, &err) &&
                    proto_certificate_decode(buffer_slice(&text), &back, &err);
        reached = fault_stop();
        assert_true(good || (reached && err.code == ERROR_MEMORY));
        buffer_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_is_read_as_it_was_written),
        cmocka_unit_test(test_the_signed_bytes_name_the_pool_the_worker_and_the_key),
        cmocka_unit_test(test_what_is_missing_or_of_another_size_is_refused),
        cmocka_unit_test(test_every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
