#include "base/arena.h"
#include "optimise.h"
#include "pass.h"

#include "unit.h"

#include <math.h>

static const model_shape tiny = {
    .vocabulary = 11,
    .context = 16,
    .layers = 2,
    .width = 16,
    .heads = 4,
    .key_heads = 2,
    .feed_forward = 24,
    .rope_base = 100.0F,
    .epsilon = 1e-5F,
};

/* Two sequences, of which some tokens have no target. */
static const uint32_t tokens[] = {1, 5, 3, 9, 2, 7, 10, 4, 4, 6, 0, 8};
static const uint32_t targets[] = {5, PASS_NO_TARGET, 9, 2, PASS_NO_TARGET, 10, 4, PASS_NO_TARGET, 6, 0, 8,
                                   1};
static const size_t starts[] = {0, 5, 12};
static const batch two = {
    .tokens = tokens, .targets = targets, .tokens_count = 12, .starts = starts, .sequences = 2};
enum { PREDICTIONS = 9 };

typedef struct bench {
    arena *a;
    model m;
    pass p;
    float *gradient;
    random_source random;
} bench;

static void setup(bench *b) {
    error err;
    b->a = arena_new(64 << 20);
    b->random = random_make(7, 1);
    assert_non_null(b->a);
    assert_true(model_make(b->a, &tiny, &b->m, &err));
    model_initialise(&b->m, &b->random);
    assert_true(pass_make(b->a, &b->m, 12, 7, true, &b->p, &err));
    b->gradient = arena_allocate_array(b->a, b->m.parameter_count, sizeof(float));
    assert_non_null(b->gradient);
}

static double loss(bench *b) {
    b->p.random = random_make(9, 1); /* so that the same activations are dropped each time */
    pass_forward(&b->p, &two);
    return pass_loss(&b->p, &two, PREDICTIONS) / PREDICTIONS;
}

/* The loss after a step of `size` along `direction` within one tensor. */
static double loss_along(bench *b, const model_tensor *tensor, const float *direction, float size) {
    float *values = b->m.parameters + tensor->offset;
    float kept[24 * 16];
    size_t count = (size_t)tensor->rows * tensor->columns;
    memcpy(kept, values, count * sizeof(float));
    for (size_t i = 0; i < count; i++) {
        values[i] += size * direction[i];
    }
    double result = loss(b);
    memcpy(values, kept, count * sizeof(float));
    return result;
}

static void check_gradient(float dropped) {
    bench b;
    setup(&b);
    b.p.dropped = dropped;
    (void)loss(&b);
    pass_backward(&b.p, &two, b.gradient);
    for (size_t t = 0; t < b.m.tensor_count; t++) {
        const model_tensor *tensor = &b.m.tensors[t];
        float direction[24 * 16];
        size_t count = (size_t)tensor->rows * tensor->columns;
        double predicted = 0;
        assert_true(count <= 24 * 16);
        /* Half along the gradient, so that there is something to see; half at random. */
        for (size_t i = 0; i < count; i++) {
            float g = b.gradient[tensor->offset + i];
            direction[i] = (g > 0 ? 0.5F : -0.5F) + 0.5F * random_normal(&b.random);
            predicted += (double)g * (double)direction[i];
        }
        float size = 2e-3F;
        double up = loss_along(&b, tensor, direction, size);
        double measured = (up - loss_along(&b, tensor, direction, -size)) / (2 * (double)size);
        if (fabs(predicted) < 1e-3 || fabs(measured - predicted) > 0.02 * fabs(predicted)) {
            fail_msg("%s: gradient %g, differences %g", tensor->name, predicted, measured);
        }
    }
    arena_free(b.a);
}

static void test_the_gradient_of_each_tensor_is_that_of_differences(void **state) {
    (void)state;
    check_gradient(0);
}

static void test_the_gradient_leaves_out_what_was_dropped(void **state) {
    (void)state;
    check_gradient(0.25F);
}

static void test_what_comes_later_does_not_change_a_prediction(void **state) {
    (void)state;
    bench b;
    float before[11];
    uint32_t changed[12];
    setup(&b);
    pass_forward(&b.p, &two);
    memcpy(before, b.p.logits + 11, sizeof before);
    assert_int_equal(b.p.predicted[1], 2);
    memcpy(changed, tokens, sizeof changed);
    for (size_t i = 3; i < 12; i++) {
        changed[i] = (changed[i] + 1) % 11;
    }
    batch other = two;
    other.tokens = changed;
    pass_forward(&b.p, &other);
    for (size_t i = 0; i < 11; i++) {
        assert_true(fabsf(before[i] - b.p.logits[11 + i]) < 1e-5F);
    }
    arena_free(b.a);
}

static void test_training_on_one_batch_lowers_its_loss(void **state) {
    (void)state;
    bench b;
    error err;
    optimiser o;
    setup(&b);
    assert_true(optimiser_make(b.a, &b.m, 0.1F, &o, &err));
    double before = loss(&b);
    for (int i = 0; i < 100; i++) {
        (void)loss(&b);
        pass_backward(&b.p, &two, b.gradient);
        optimiser_step(&o, &b.m, b.gradient, 5e-3F);
    }
    assert_true(loss(&b) < before / 10);
    arena_free(b.a);
}

static void test_a_shape_that_does_not_fit_is_refused(void **state) {
    (void)state;
    error err;
    model m;
    arena *a = arena_new(1 << 20);
    model_shape wrong = tiny;
    wrong.key_heads = 3;
    assert_false(model_make(a, &wrong, &m, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_gradient_of_each_tensor_is_that_of_differences),
        cmocka_unit_test(test_the_gradient_leaves_out_what_was_dropped),
        cmocka_unit_test(test_what_comes_later_does_not_change_a_prediction),
        cmocka_unit_test(test_training_on_one_batch_lowers_its_loss),
        cmocka_unit_test(test_a_shape_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
