#include "dots.h"

#include "unit.h"

#include "base/map.h"
#include "half.h"

#include <sys/mman.h>
#include <unistd.h>

/* Products of halves: the forms have the bits of the plain one, and all those of other machines. */

static const dots_form *forms[DOTS_FORMS_MAX];
static size_t form_count;
static uint64_t random_state = 11;

static int find_forms(void **state) {
    (void)state;
    form_count = dots_forms(forms);
    return form_count > 0 ? 0 : -1;
}

static uint32_t draw(void) {
    random_state = random_state * 6364136223846793005U + 1442695040888963407U;
    return (uint32_t)(random_state >> 32);
}

/* The forms are compiled without sanitizers, so each array ends at a page that can't be touched. */
typedef struct guarded {
    uint8_t *pages;
    size_t size; /* of all pages */
    void *array;
} guarded;

static guarded guarded_new(size_t size) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t whole = (size + page - 1) / page * page;
    uint8_t *pages = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + whole, page, PROT_NONE), 0);
    return (guarded){pages, whole + page, pages + whole - size};
}

static void guarded_free(guarded g) {
    munmap(g.pages, g.size);
}

/* Any half that is finite, subnormal ones among them. */
static uint16_t draw_half(void) {
    uint16_t half = (uint16_t)draw();
    return (half & 0x7c00U) == 0x7c00U ? half & 0xbfffU : half;
}

static float draw_float(void) {
    return (float)(int32_t)draw() * 0x1p-31f;
}

/* Of so many rows, by each form; `digest` takes in those of the plain one. */
static void check_rows(size_t count, size_t width, uint64_t *digest) {
    guarded rows = guarded_new(count * width * sizeof(uint16_t));
    guarded vector = guarded_new(width * sizeof(float));
    guarded products = guarded_new(count * sizeof(float));
    float expected[64];
    for (size_t i = 0; i < count * width; i++) {
        ((uint16_t *)rows.array)[i] = draw_half();
    }
    for (size_t i = 0; i < width; i++) {
        ((float *)vector.array)[i] = draw_float();
    }
    size_t size = count * sizeof(float);
    dots_plain()->dots(products.array, rows.array, count, width, vector.array);
    memcpy(expected, products.array, size);
    for (size_t f = 0; f < form_count; f++) {
        memset(products.array, 0xff, size);
        forms[f]->dots(products.array, rows.array, count, width, vector.array);
        assert_memory_equal(products.array, expected, size);
    }
    uint8_t seed[MAP_SEED_SIZE] = {0};
    memcpy(seed, digest, sizeof *digest);
    *digest = map_hash(seed, slice_of(expected, size));
    guarded_free(rows);
    guarded_free(vector);
    guarded_free(products);
}

static void test_all_forms_give_the_bits_of_the_plain_one_and_of_every_machine(void **state) {
    (void)state;
    static const size_t widths[] = {16, 32, 48, 384, 1024, 4096};
    static const size_t counts[] = {1, 2, 3, 4, 5, 7, 8, 64};
    uint64_t digest = 0;
    for (size_t w = 0; w < sizeof widths / sizeof widths[0]; w++) {
        for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
            check_rows(counts[c], widths[w], &digest);
        }
    }
    assert_int_equal(digest, 0x418b3ba4626c49be);
}

static void test_a_product_is_that_of_the_textbook(void **state) {
    (void)state;
    uint16_t row[48];
    float vector[48];
    double expected = 0;
    for (size_t i = 0; i < 48; i++) {
        row[i] = (uint16_t)(0x3800 + draw() % 0x800); /* 0.5 to 2 */
        vector[i] = draw_float();
        expected += (double)float_of_half(row[i]) * vector[i];
    }
    for (size_t f = 0; f < form_count; f++) {
        float product = 0;
        forms[f]->dots(&product, row, 1, 48, vector);
        assert_true(product - expected < 1e-4 && expected - product < 1e-4);
    }
}

/* With 2^14 beside it a number is rounded as it is. */
static uint16_t rounded(float value) {
    const float numbers[2] = {0x1p14f, value};
    uint16_t halves[2];
    assert_true(halves_of_floats(halves, numbers, 2));
    assert_int_equal(halves[0], 0x7400);
    return halves[1];
}

static void test_every_half_stays_and_the_middle_of_two_goes_to_the_even_one(void **state) {
    (void)state;
    for (uint16_t half = 0; half < 0x73ff; half++) {
        float value = float_of_half(half);
        float middle = (value + float_of_half((uint16_t)(half + 1))) / 2;
        assert_int_equal(rounded(value), half);
        assert_int_equal(rounded(-value), half | 0x8000U);
        assert_int_equal(rounded(middle), half + (half & 1));
        assert_int_equal(rounded(middle * (1 + 0x1p-20f)), half + 1);
        assert_int_equal(rounded(middle * (1 - 0x1p-20f)), half);
    }
}

static void test_a_vector_of_any_size_keeps_its_direction(void **state) {
    (void)state;
    static const float sizes[] = {0x1p-149f, 0x1p-126f, 0x1p-60f, 1, 0x1p60f, 0x1p125f};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const float numbers[3] = {3 * sizes[i], -4 * sizes[i], 0};
        uint16_t halves[3];
        assert_true(halves_of_floats(halves, numbers, 3));
        assert_true(float_of_half(halves[1]) == -0x1p14f);
        assert_true(float_of_half(halves[0]) == 0x1.8p13f);
        assert_int_equal(halves[2], 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_forms_give_the_bits_of_the_plain_one_and_of_every_machine),
        cmocka_unit_test(test_a_product_is_that_of_the_textbook),
        cmocka_unit_test(test_every_half_stays_and_the_middle_of_two_goes_to_the_even_one),
        cmocka_unit_test(test_a_vector_of_any_size_keeps_its_direction),
    };
    return cmocka_run_group_tests(tests, find_forms, NULL);
}
