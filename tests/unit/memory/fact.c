#include "memory/fact.h"

#include "unit.h"

#include "base/memory.h"
#include "crypto/start.h"
#include "memory/embedder.h"
#include "memory/vectors.h"

#include <math.h>
#include <stdlib.h>

static error err;
static const uint8_t key[RECORD_KEY_SIZE] = {1, 2, 3};
static const uint8_t id[RECORD_ID_SIZE] = {9, 8, 7};
static const uint8_t conversation[RECORD_ID_SIZE] = {4, 0, 4};
enum { USER = 77 };

static fact some_fact(const float *vector) {
    return (fact){.created_ms = 1790000000123,
                  .text = SLICE_LITERAL("Ma fille s'appelle Amélie"),
                  .source = slice_of(conversation, sizeof conversation),
                  .embedder = slice_of_text(embedder_name),
                  .vector = vector,
                  .dimensions = vector == NULL ? 0 : EMBEDDER_DIMENSIONS};
}

static buffer sealed_of(const fact *f) {
    buffer sealed = buffer_make(FACT_SEALED_MAX);
    assert_true(fact_seal(key, USER, id, f, &sealed, &err));
    return sealed;
}

static void test_what_is_sealed_opens_as_it_was(void **state) {
    (void)state;
    float vector[EMBEDDER_DIMENSIONS];
    fact f = some_fact(vector);
    fact opened;
    embedder_embed(f.text, vector);
    arena *memory = arena_new(1 << 20);
    assert_non_null(memory);
    buffer sealed = sealed_of(&f);
    assert_true(fact_open(key, USER, id, buffer_slice(&sealed), memory, &opened, &err));
    assert_true(opened.created_ms == f.created_ms);
    assert_true(slice_equal(opened.text, f.text));
    assert_true(slice_equal(opened.source, f.source));
    assert_true(slice_equal(opened.embedder, f.embedder));
    assert_int_equal(opened.dimensions, EMBEDDER_DIMENSIONS);
    /* A search doesn't see whether the vector was sealed in between. */
    vectors *v = vectors_new(EMBEDDER_DIMENSIONS, &err);
    vectors_found found[2];
    float query[EMBEDDER_DIMENSIONS];
    embedder_embed(SLICE_LITERAL("Comment s'appelle ma fille ?"), query);
    assert_non_null(v);
    assert_true(vectors_put(v, 1, vector, &err));
    assert_true(vectors_put(v, 2, opened.vector, &err));
    assert_int_equal(vectors_search(v, query, found, 2), 2);
    assert_true(found[0].score == found[1].score && found[0].score > 0.4f);
    vectors_free(v);
    buffer_free(&sealed);
    arena_free(memory);
}

static void test_a_fact_may_be_without_vector_and_source(void **state) {
    (void)state;
    fact f = {.text = SLICE_LITERAL("x")};
    fact opened;
    arena *memory = arena_new(1 << 20);
    assert_non_null(memory);
    buffer sealed = sealed_of(&f);
    assert_true(fact_open(key, USER, id, buffer_slice(&sealed), memory, &opened, &err));
    assert_true(slice_equal(opened.text, f.text));
    assert_int_equal(opened.source.length, 0);
    assert_int_equal(opened.embedder.length, 0);
    assert_int_equal(opened.dimensions, 0);
    assert_null(opened.vector);
    buffer_free(&sealed);
    arena_free(memory);
}

static void test_the_longest_fact_fits(void **state) {
    (void)state;
    static char text[FACT_TEXT_MAX];
    static char name[FACT_EMBEDDER_MAX];
    static float vector[FACT_DIMENSIONS_MAX];
    memset(text, 't', sizeof text);
    memset(name, 'n', sizeof name);
    vector[FACT_DIMENSIONS_MAX - 1] = 1;
    fact f = {.text = slice_of(text, sizeof text),
              .source = slice_of(conversation, sizeof conversation),
              .embedder = slice_of(name, sizeof name),
              .vector = vector,
              .dimensions = FACT_DIMENSIONS_MAX};
    fact opened;
    arena *memory = arena_new(1 << 20);
    assert_non_null(memory);
    buffer sealed = sealed_of(&f);
    assert_true(buffer_length(&sealed) <= FACT_SEALED_MAX);
    assert_true(fact_open(key, USER, id, buffer_slice(&sealed), memory, &opened, &err));
    assert_true(slice_equal(opened.text, f.text));
    assert_true(opened.vector[0] == 0 && opened.vector[FACT_DIMENSIONS_MAX - 1] > 0);
    buffer_free(&sealed);
    arena_free(memory);
}

static void refuse(const fact *f) {
    buffer sealed = buffer_make(1 << 20);
    assert_false(fact_seal(key, USER, id, f, &sealed, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_int_equal(buffer_length(&sealed), 0);
    buffer_free(&sealed);
}

static void test_a_fact_that_is_not_one_is_refused(void **state) {
    (void)state;
    static char text[FACT_TEXT_MAX + 1];
    float vector[EMBEDDER_DIMENSIONS] = {1};
    memset(text, 't', sizeof text);
    const fact good = some_fact(vector);
    const slice texts[] = {
        {NULL, 0}, SLICE_LITERAL("a\0b"), SLICE_LITERAL("\xc3"), slice_of(text, sizeof text)};
    fact f = good;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        f.text = texts[i];
        assert_false(fact_text_is_valid(f.text));
        refuse(&f);
    }
    f = good;
    f.source = SLICE_LITERAL("not an id");
    refuse(&f);
    f = good;
    f.embedder = slice_of(text, FACT_EMBEDDER_MAX + 1);
    refuse(&f);
    f.embedder = SLICE_LITERAL("");
    refuse(&f);
    f = good;
    f.dimensions = 0;
    refuse(&f);
    f.dimensions = FACT_DIMENSIONS_MAX + 1;
    refuse(&f);
    f = good;
    vector[0] = 0;
    refuse(&f);
    vector[0] = NAN;
    refuse(&f);
}

static void expect_corrupt(const uint8_t *with, uint64_t user, const uint8_t *of, slice sealed) {
    fact opened;
    arena *memory = arena_new(1 << 20);
    assert_non_null(memory);
    assert_false(fact_open(with, user, of, sealed, memory, &opened, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_int_equal(opened.text.length, 0);
    assert_null(opened.vector);
    arena_free(memory);
}

static void test_it_opens_in_its_own_place_alone(void **state) {
    (void)state;
    static const uint8_t other[RECORD_KEY_SIZE] = {5};
    float vector[EMBEDDER_DIMENSIONS] = {1};
    fact f = some_fact(vector);
    buffer sealed = sealed_of(&f);
    slice bytes = buffer_slice(&sealed);
    expect_corrupt(other, USER, id, bytes);
    expect_corrupt(key, USER + 1, id, bytes);
    expect_corrupt(key, USER, other, bytes);
    expect_corrupt(key, USER, id, slice_part(bytes, 0, bytes.length - 1));
    expect_corrupt(key, USER, id, slice_of(NULL, 0));
    static uint8_t long_one[FACT_SEALED_MAX + 1];
    expect_corrupt(key, USER, id, slice_of(long_one, sizeof long_one));
    buffer_free(&sealed);
}

/* Records that are sealed as they should be, with contents that aren't. */
static void test_a_content_that_is_not_a_fact_is_refused(void **state) {
    (void)state;
    static const uint8_t good[] = {1,   0,   0,   0,    0, 0, 0, 0, 5, 0, 1, 0, 0, 0, 2, 0, 2, /* 2 numbers */
                                   't', 'e', 'm', 0x3c, 0, 0, 0};
    record_place place = {.kind = RECORD_FACT, .user_id = USER};
    memcpy(place.id, id, sizeof id);
    for (size_t i = 0; i <= sizeof good; i++) {
        uint8_t content[sizeof good + 1] = {0};
        size_t length = i < 10 ? sizeof good : sizeof good - 1 - (i - 10) % sizeof good;
        memcpy(content, good, sizeof good);
        switch (i) {
        case 0:
            content[0] = 2; /* version */
            break;
        case 1:
            content[9] = 1; /* a text of 257 bytes */
            break;
        case 2:
            content[10] = 0; /* no text */
            break;
        case 3:
            content[12] = 1; /* a source of one byte */
            break;
        case 4:
            content[14] = 0; /* no embedder */
            break;
        case 5:
            content[17] = 0xff; /* a text that isn't UTF-8 */
            break;
        case 6:
            content[20] = 0x7c; /* an infinity */
            break;
        case 7:
            content[20] = 0; /* a vector of length 0 */
            break;
        case 8:
            length = sizeof content; /* a byte too many */
            break;
        case 9:
            content[16] = 3; /* a number that isn't there */
            break;
        default: /* cut */
            break;
        }
        buffer sealed = buffer_make(1 << 20);
        assert_true(record_seal(key, &place, 5, slice_of(content, length), &sealed, &err));
        expect_corrupt(key, USER, id, buffer_slice(&sealed));
        buffer_free(&sealed);
    }
    buffer sealed = buffer_make(1 << 20);
    fact opened;
    arena *memory = arena_new(1 << 20);
    assert_non_null(memory);
    assert_true(record_seal(key, &place, 5, slice_of(good, sizeof good), &sealed, &err));
    assert_true(fact_open(key, USER, id, buffer_slice(&sealed), memory, &opened, &err));
    assert_true(opened.created_ms == 5 && opened.vector[0] == 1 && opened.vector[1] == 0);
    buffer_free(&sealed);
    arena_free(memory);
}

static void test_each_failed_allocation_is_told_and_appends_nothing(void **state) {
    (void)state;
    float vector[EMBEDDER_DIMENSIONS] = {1};
    fact f = some_fact(vector);
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        buffer sealed = buffer_make(FACT_SEALED_MAX);
        fault_fail_nth(nth);
        bool good = fact_seal(key, USER, id, &f, &sealed, &err);
        reached = fault_stop();
        assert_true(good || reached); /* libcrypto can do without some of its own */
        assert_true(good || (err.code == ERROR_MEMORY && buffer_length(&sealed) == 0));
        buffer_free(&sealed);
    }
    buffer sealed = sealed_of(&f);
    reached = true;
    for (int nth = 0; reached; nth++) {
        fact opened;
        arena *memory = arena_new(1 << 20);
        assert_non_null(memory);
        fault_fail_nth(nth);
        bool good = fact_open(key, USER, id, buffer_slice(&sealed), memory, &opened, &err);
        reached = fault_stop();
        assert_true(good || reached);
        assert_true(good || (err.code == ERROR_MEMORY && opened.text.length == 0));
        arena_free(memory);
    }
    buffer_free(&sealed);
}

static int start(void **state) {
    (void)state;
    return crypto_start(&err) ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_sealed_opens_as_it_was),
        cmocka_unit_test(test_a_fact_may_be_without_vector_and_source),
        cmocka_unit_test(test_the_longest_fact_fits),
        cmocka_unit_test(test_a_fact_that_is_not_one_is_refused),
        cmocka_unit_test(test_it_opens_in_its_own_place_alone),
        cmocka_unit_test(test_a_content_that_is_not_a_fact_is_refused),
        cmocka_unit_test(test_each_failed_allocation_is_told_and_appends_nothing),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
