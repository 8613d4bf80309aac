#include "verify/draw.h"

#include "crypto/start.h"
#include "unit.h"

typedef struct inputs {
    uint8_t secret[VERIFY_SECRET_SIZE];
    uint8_t job[VERIFY_JOB_SIZE];
    uint8_t commitment[VERIFY_COMMITMENT_SIZE];
} inputs;

static inputs some_inputs(void) {
    inputs in;
    for (uint8_t i = 0; i < 32; i++) {
        in.secret[i] = i;
        in.job[i % 16] = i % 16;
        in.commitment[i] = (uint8_t)(0xc0 + i);
    }
    return in;
}

static double draw_of(const inputs *in, const char *label) {
    error err;
    double draw = -1;
    assert_true(verify_draw(in->secret, label, in->job, in->commitment, &draw, &err));
    assert_true(draw >= 0 && draw < 1);
    return draw;
}

/* Expected value from Python's hmac over the same envelope. */
static void test_a_draw_is_the_first_53_bits_of_the_code(void **state) {
    (void)state;
    inputs in = some_inputs();
    assert_true(draw_of(&in, VERIFY_DRAW_CHECK) == 3280207272462717.0 / 9007199254740992.0);
}

static void test_each_bit_of_the_inputs_and_the_label_give_another_draw(void **state) {
    (void)state;
    inputs in = some_inputs();
    double draw = draw_of(&in, VERIFY_DRAW_CHECK);
    assert_true(draw != draw_of(&in, VERIFY_DRAW_VERIFIER));
    uint8_t *bytes = (uint8_t *)&in;
    for (size_t bit = 0; bit < 8 * sizeof in; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(draw != draw_of(&in, VERIFY_DRAW_CHECK));
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void test_draws_are_spread_evenly(void **state) {
    (void)state;
    enum { TENTHS = 10, DRAWS = 20000 };
    inputs in = some_inputs();
    unsigned counts[TENTHS] = {0};
    for (uint32_t i = 0; i < DRAWS; i++) {
        memcpy(in.job, &i, sizeof i);
        counts[(size_t)(draw_of(&in, VERIFY_DRAW_CHECK) * TENTHS)]++;
    }
    for (size_t i = 0; i < TENTHS; i++) {
        assert_in_range(counts[i], DRAWS / TENTHS - 250, DRAWS / TENTHS + 250); /* nearly six deviations */
    }
}

static void test_when_memory_is_out_what_was_to_be_drawn_happens(void **state) {
    (void)state;
    inputs in = some_inputs();
    double expected = draw_of(&in, VERIFY_DRAW_CHECK);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err;
        double draw = -1;
        fault_fail_nth(nth);
        bool good = verify_draw(in.secret, VERIFY_DRAW_CHECK, in.job, in.commitment, &draw, &err);
        reached = fault_stop();
        assert_true(good || reached);
        assert_true(draw == (good ? expected : 0));
    }
}

static int start(void **state) {
    (void)state;
    error err;
    return crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_draw_is_the_first_53_bits_of_the_code),
        cmocka_unit_test(test_each_bit_of_the_inputs_and_the_label_give_another_draw),
        cmocka_unit_test(test_draws_are_spread_evenly),
        cmocka_unit_test(test_when_memory_is_out_what_was_to_be_drawn_happens),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
