#include "proof/calibrations.h"

#include "unit.h"

static void test_a_calibration_comes_back_as_it_was_stored(void **state) {
    (void)state;
    agreement_calibration c = {0};
    agreement_calibration back;
    uint8_t bytes[CALIBRATION_ENCODED_SIZE];
    error err;
    for (size_t i = 0; i < 5000; i++) {
        agreement_calibrate(&c, (double)(i % 97) / 96);
        if (i % 613 == 0) {
            calibration_encode(&c, bytes);
            assert_true(calibration_decode(slice_of(bytes, sizeof bytes), &back, &err));
            assert_memory_equal(&back, &c, sizeof c);
        }
    }
}

static void test_what_was_never_stored_is_refused(void **state) {
    (void)state;
    agreement_calibration c = {0};
    agreement_calibration back;
    uint8_t bytes[CALIBRATION_ENCODED_SIZE + 1] = {0};
    error err = {0};
    agreement_calibrate(&c, 0.5);
    calibration_encode(&c, bytes);
    assert_false(calibration_decode(slice_of(bytes, 0), &back, &err));
    assert_false(calibration_decode(slice_of(bytes, CALIBRATION_ENCODED_SIZE - 1), &back, &err));
    assert_false(calibration_decode(slice_of(bytes, sizeof bytes), &back, &err));
    bytes[7]++; /* one pair more in a bin than in all */
    assert_false(calibration_decode(slice_of(bytes, CALIBRATION_ENCODED_SIZE), &back, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_int_equal(back.pairs, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_calibration_comes_back_as_it_was_stored),
        cmocka_unit_test(test_what_was_never_stored_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
