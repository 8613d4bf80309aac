#include "memory/vectors.h"

#include "unit.h"

#include "half.h"
#include "vectors_internal.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static error err;
static uint64_t random_state = 3;

static float draw(void) {
    random_state = random_state * 6364136223846793005U + 1442695040888963407U;
    return (float)(int32_t)(random_state >> 32) * 0x1p-31f;
}

static void draw_vector(float *vector, size_t dimensions) {
    for (size_t i = 0; i < dimensions; i++) {
        vector[i] = draw();
    }
}

static vectors *new_vectors(size_t dimensions) {
    vectors *v = vectors_new(dimensions, &err);
    assert_non_null(v);
    return v;
}

/* Of two numbers in a plane, at so many thousandths of a right angle's way from (1, 0) to (0, 1). */
static void put_at(vectors *v, uint64_t id, float way) {
    const float vector[2] = {1000 - way, way};
    assert_true(vectors_put(v, id, vector, &err));
}

static double cosine(const float *a, const float *b, size_t dimensions) {
    double both = 0;
    double of_a = 0;
    double of_b = 0;
    for (size_t i = 0; i < dimensions; i++) {
        both += (double)a[i] * b[i];
        of_a += (double)a[i] * a[i];
        of_b += (double)b[i] * b[i];
    }
    return both / sqrt(of_a * of_b);
}

/* Ids are 1000 and up; each found is the best of those that are left. */
static void check_found(const float *all, size_t count, size_t dimensions, const float *query,
                        const vectors_found *found, size_t found_count) {
    bool *seen = calloc(count, 1);
    assert_non_null(seen);
    for (size_t i = 0; i < found_count; i++) {
        size_t at = (size_t)(found[i].id - 1000);
        assert_true(at < count && !seen[at]);
        seen[at] = true;
        assert_true(fabs(cosine(all + at * dimensions, query, dimensions) - found[i].score) < 1e-3);
        assert_true(i == 0 || found[i].score <= found[i - 1].score);
    }
    for (size_t at = 0; at < count; at++) {
        double score = cosine(all + at * dimensions, query, dimensions);
        assert_true(seen[at] || score < found[found_count - 1].score + 1e-3);
    }
    free(seen);
}

static void test_the_nearest_are_found_in_any_dimension(void **state) {
    (void)state;
    static const size_t all_dimensions[] = {1, 2, 15, 16, 17, 384, 1024, 4096};
    for (size_t d = 0; d < sizeof all_dimensions / sizeof all_dimensions[0]; d++) {
        size_t dimensions = all_dimensions[d];
        enum { COUNT = 150, MOST = 20 };
        vectors *v = new_vectors(dimensions);
        float *all = malloc((COUNT + 1) * dimensions * sizeof *all);
        assert_non_null(all);
        draw_vector(all, (COUNT + 1) * dimensions);
        for (size_t i = 0; i < COUNT; i++) {
            assert_true(vectors_put(v, 1000 + i, all + i * dimensions, &err));
        }
        vectors_found found[MOST];
        const float *query = all + COUNT * dimensions;
        assert_int_equal(vectors_search(v, query, found, MOST), MOST);
        check_found(all, COUNT, dimensions, query, found, MOST);
        free(all);
        vectors_free(v);
    }
}

/* What each form finds, to the bit. */
static void test_every_form_finds_the_same_with_the_same_scores(void **state) {
    (void)state;
    static const size_t all_dimensions[] = {1, 15, 17, 384, 1023};
    const dots_form *forms[DOTS_FORMS_MAX];
    size_t form_count = dots_forms(forms);
    for (size_t d = 0; d < sizeof all_dimensions / sizeof all_dimensions[0]; d++) {
        enum { COUNT = 333 };
        float vector[1023];
        vectors *v = new_vectors(all_dimensions[d]);
        for (uint64_t id = 0; id < COUNT; id++) {
            draw_vector(vector, all_dimensions[d]);
            assert_true(vectors_put(v, id, vector, &err));
        }
        draw_vector(vector, all_dimensions[d]);
        vectors_found expected[COUNT];
        assert_int_equal(vectors_search(v, vector, expected, COUNT), COUNT);
        for (size_t f = 0; f < form_count; f++) {
            vectors_found found[COUNT];
            v->form = forms[f];
            assert_int_equal(vectors_search(v, vector, found, COUNT), COUNT);
            for (size_t i = 0; i < COUNT; i++) {
                assert_int_equal(found[i].id, expected[i].id);
                assert_int_equal(bits_of_float(found[i].score), bits_of_float(expected[i].score));
            }
        }
        vectors_free(v);
    }
}

static void test_equal_scores_stand_by_the_lesser_id_whatever_the_order_they_came_in(void **state) {
    (void)state;
    static const uint64_t ids[] = {70, 7, UINT64_MAX, 0, 12, 5, 900, 6};
    vectors *v = new_vectors(2);
    const float query[2] = {1, 1};
    vectors_found found[5];
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        put_at(v, ids[i], 500);
    }
    put_at(v, 13, 499);
    assert_int_equal(vectors_search(v, query, found, 5), 5);
    static const uint64_t expected[] = {0, 5, 6, 7, 12};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(found[i].id, expected[i]);
        assert_true(found[i].score == found[0].score);
    }
    vectors_free(v);
}

static void test_a_score_is_a_cosine_whatever_the_lengths(void **state) {
    (void)state;
    vectors *v = new_vectors(3);
    const float same[3] = {3e37f, -1e37f, 2e37f};
    const float opposite[3] = {-3e-40f, 1e-40f, -2e-40f};
    const float across[3] = {1, 3, 0};
    const float query[3] = {0.3f, -0.1f, 0.2f};
    assert_true(vectors_put(v, 1, same, &err));
    assert_true(vectors_put(v, 2, opposite, &err));
    assert_true(vectors_put(v, 3, across, &err));
    vectors_found found[4];
    assert_int_equal(vectors_search(v, query, found, 4), 3);
    assert_int_equal(found[0].id, 1);
    assert_true(found[0].score > 0.9999f && found[0].score <= 1);
    assert_int_equal(found[1].id, 3);
    assert_true(fabsf(found[1].score) < 1e-3f);
    assert_int_equal(found[2].id, 2);
    assert_true(found[2].score < -0.9999f && found[2].score >= -1);
    vectors_free(v);
}

static void test_what_has_no_direction_is_refused_and_changes_nothing(void **state) {
    (void)state;
    static const float bad[][2] = {{0, 0}, {1, NAN}, {INFINITY, 1}, {0, -INFINITY}, {-0.0f, 0}};
    vectors *v = new_vectors(2);
    vectors_found found[2];
    put_at(v, 1, 250);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(vectors_put(v, 1, bad[i], &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_false(vectors_put(v, 2, bad[i], &err));
        assert_int_equal(err.code, ERROR_INVALID);
        assert_int_equal(vectors_search(v, bad[i], found, 2), 0);
    }
    const float query[2] = {3, 1};
    assert_int_equal(vectors_count(v), 1);
    assert_int_equal(vectors_search(v, query, found, 2), 1);
    assert_true(found[0].score > 0.9999f);
    assert_int_equal(vectors_search(v, query, found, 0), 0);
    vectors_free(v);
    assert_null(vectors_new(0, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_null(vectors_new(VECTORS_DIMENSIONS_MAX + 1, &err));
    assert_int_equal(err.code, ERROR_INVALID);
}

static void test_a_put_under_the_same_id_replaces(void **state) {
    (void)state;
    vectors *v = new_vectors(2);
    vectors_found found[2];
    const float query[2] = {0, 1};
    put_at(v, 5, 0);
    put_at(v, 5, 1000);
    assert_int_equal(vectors_count(v), 1);
    assert_int_equal(vectors_search(v, query, found, 2), 1);
    assert_true(found[0].score > 0.9999f);
    vectors_free(v);
}

/* Ids come and go as in a set that is kept beside; what is left is found, and nothing else. */
static void test_what_is_removed_is_never_found_and_the_rest_always(void **state) {
    (void)state;
    enum { IDS = 700, ROUNDS = 12000 };
    static bool there[IDS];
    static float all[IDS][5];
    static vectors_found found[IDS];
    vectors *v = new_vectors(5);
    size_t count = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t id = (size_t)((draw() + 1) / 2 * IDS) % IDS;
        if (draw() < (round / 2000 % 2 == 0 ? 0.5f : -0.5f)) {
            draw_vector(all[id], 5);
            assert_true(vectors_put(v, id, all[id], &err));
            count += there[id] ? 0 : 1;
            there[id] = true;
        } else {
            assert_int_equal(vectors_remove(v, id), there[id]);
            count -= there[id] ? 1 : 0;
            there[id] = false;
        }
        assert_int_equal(vectors_count(v), count);
        if (round % 500 != 0) {
            continue;
        }
        const float query[5] = {1, 2, 3, 4, 5};
        assert_int_equal(vectors_search(v, query, found, IDS), count);
        for (size_t i = 0; i < count; i++) {
            assert_true(there[found[i].id]);
            assert_true(fabs(cosine(all[found[i].id], query, 5) - found[i].score) < 1e-3);
        }
    }
    size_t full = vectors_size(v);
    for (uint64_t id = 0; id < IDS; id++) {
        (void)vectors_remove(v, id);
    }
    assert_int_equal(vectors_count(v), 0);
    assert_true(vectors_size(v) < full);
    vectors_free(v);
}

/* How often the half stands in memory that may have been given back, which none of our own loads may look at.
 * 0 too where it was unmapped. */
static size_t count_in_memory(const void *from, size_t size, uint16_t half) {
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    assert_true(memory >= 0);
    uint16_t *copy = malloc(size);
    assert_non_null(copy);
    ssize_t got = pread(memory, copy, size, (off_t)(uintptr_t)from);
    size_t count = 0;
    for (ssize_t i = 0; i < got / (ssize_t)sizeof *copy; i++) {
        count += copy[i] == half ? 1 : 0;
    }
    free(copy);
    close(memory);
    return count;
}

static void test_what_is_removed_or_freed_is_wiped(void **state) {
    (void)state;
    enum { DIMENSIONS = 100, COUNT = 40 /* two blocks */, MARK = 0x7555 /* between 2^14 and 2^15 */ };
    float vector[DIMENSIONS];
    for (size_t i = 0; i < DIMENSIONS; i++) {
        vector[i] = float_of_half(MARK);
    }
    vectors *v = new_vectors(DIMENSIONS);
    for (uint64_t id = 0; id < COUNT; id++) {
        assert_true(vectors_put(v, id, vector, &err));
    }
    assert_int_equal(v->block_count, 2);
    vectors_block blocks[2] = {v->blocks[0], v->blocks[1]};
    const vectors_block *first = &blocks[0];
    assert_int_equal(count_in_memory(first->memory, first->size, MARK), first->places * DIMENSIONS);
    size_t second = (COUNT - first->places) * DIMENSIONS;
    assert_int_equal(count_in_memory(blocks[1].memory, blocks[1].size, MARK), second);
    assert_true(vectors_remove(v, 0));
    assert_true(vectors_remove(v, COUNT - 2));
    second -= 2 * DIMENSIONS;
    assert_int_equal(count_in_memory(blocks[1].memory, blocks[1].size, MARK), second);
    for (uint64_t id = 0; id < COUNT; id += 2) {
        (void)vectors_remove(v, id);
    }
    assert_int_equal(vectors_count(v), COUNT / 2);
    assert_int_equal(count_in_memory(first->memory, first->size, MARK), COUNT / 2 * DIMENSIONS);
    assert_int_equal(count_in_memory(blocks[1].memory, blocks[1].size, MARK), 0);
    vectors_free(v);
    assert_int_equal(count_in_memory(first->memory, first->size, MARK), 0);
}

static void test_each_failed_allocation_is_told_and_changes_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        fault_fail_nth(nth);
        vectors *v = vectors_new(2, &err);
        reached = fault_stop();
        assert_int_equal(v == NULL, reached);
        vectors_free(v);
    }
    /* With a block's places full, the next takes a block, an entry of the map, and room for both. */
    reached = true;
    for (int nth = 0; reached; nth++) {
        vectors *v = new_vectors(2);
        vectors_found found[300];
        const float vector[2] = {1, 2};
        size_t count = 0;
        fault_fail_nth(nth);
        for (uint64_t id = 0; id < 300; id++) {
            bool put = vectors_put(v, id, vector, &err);
            assert_true(put || err.code == ERROR_MEMORY);
            count += put ? 1 : 0;
        }
        reached = fault_stop();
        assert_int_equal(count, reached ? 299 : 300);
        assert_int_equal(vectors_count(v), count);
        assert_int_equal(vectors_search(v, vector, found, 300), count);
        for (uint64_t id = 0; id < 300; id++) {
            (void)vectors_remove(v, id);
        }
        assert_int_equal(vectors_count(v), 0);
        vectors_free(v);
    }
}

static void test_removing_takes_no_memory(void **state) {
    (void)state;
    vectors *v = new_vectors(2);
    for (uint64_t id = 0; id < 100; id++) {
        put_at(v, id, (float)id);
    }
    fault_fail_nth(0);
    for (uint64_t id = 0; id < 100; id++) {
        assert_true(vectors_remove(v, id));
    }
    assert_false(fault_stop());
    vectors_free(v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nearest_are_found_in_any_dimension),
        cmocka_unit_test(test_every_form_finds_the_same_with_the_same_scores),
        cmocka_unit_test(test_equal_scores_stand_by_the_lesser_id_whatever_the_order_they_came_in),
        cmocka_unit_test(test_a_score_is_a_cosine_whatever_the_lengths),
        cmocka_unit_test(test_what_has_no_direction_is_refused_and_changes_nothing),
        cmocka_unit_test(test_a_put_under_the_same_id_replaces),
        cmocka_unit_test(test_what_is_removed_is_never_found_and_the_rest_always),
        cmocka_unit_test(test_what_is_removed_or_freed_is_wiped),
        cmocka_unit_test(test_each_failed_allocation_is_told_and_changes_nothing),
        cmocka_unit_test(test_removing_takes_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
