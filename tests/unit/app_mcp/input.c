#include "input.h"

#include "unit.h"

#include "base/memory.h"

#include <pthread.h>
#include <unistd.h>

typedef struct pipe_ends {
    int reading;
    int writing;
} pipe_ends;

static pipe_ends make_pipe(void) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    return (pipe_ends){ends[0], ends[1]};
}

static void put(const pipe_ends *p, const char *text) {
    assert_int_equal(write(p->writing, text, strlen(text)), (ssize_t)strlen(text));
}

static void assert_line(input *in, const char *expected) {
    slice line;
    assert_int_equal(input_next(in, &line), INPUT_LINE);
    assert_true(slice_equal_text(line, expected));
}

static void test_lines_come_one_by_one_and_the_last_may_lack_its_end(void **state) {
    (void)state;
    pipe_ends p = make_pipe();
    input in = input_make(p.reading);
    slice line;
    put(&p, "one\n\ntwo\nthr");
    assert_line(&in, "one");
    assert_line(&in, "");
    assert_line(&in, "two");
    put(&p, "ee\nfour");
    assert_line(&in, "three");
    close(p.writing);
    assert_line(&in, "four");
    assert_int_equal(input_next(&in, &line), INPUT_END);
    assert_int_equal(input_next(&in, &line), INPUT_END);
    input_free(&in);
    close(p.reading);
}

static void test_what_has_come_can_be_looked_through_before_its_turn(void **state) {
    (void)state;
    pipe_ends p = make_pipe();
    input in = input_make(p.reading);
    slice line;
    size_t i = 0;
    put(&p, "one\ntwo\nthree\nfo");
    assert_line(&in, "one");
    assert_true(input_peek(&in, &i, &line) && slice_equal_text(line, "two"));
    assert_true(input_peek(&in, &i, &line) && slice_equal_text(line, "three"));
    assert_false(input_peek(&in, &i, &line));
    put(&p, "ur\n");
    i = 0;
    for (int lines = 0; lines < 3; lines++) {
        assert_true(input_peek(&in, &i, &line));
    }
    assert_true(slice_equal_text(line, "four"));
    assert_line(&in, "two");
    assert_line(&in, "three");
    assert_line(&in, "four");
    i = 0;
    assert_false(input_peek(&in, &i, &line));
    close(p.writing);
    input_free(&in);
    close(p.reading);
}

typedef struct long_line {
    const pipe_ends *pipe;
    size_t length;
} long_line;

static void *write_long(void *argument) {
    const long_line *l = argument;
    size_t length = l->length;
    char block[4096];
    memset(block, 'x', sizeof block);
    while (length > 0) {
        ssize_t count = write(l->pipe->writing, block, length < sizeof block ? length : sizeof block);
        if (count <= 0) {
            return NULL;
        }
        length -= (size_t)count;
    }
    (void)!write(l->pipe->writing, "\nnext\n", 6);
    close(l->pipe->writing);
    return NULL;
}

static void check_long(size_t length, input_kind expected) {
    pthread_t writer;
    pipe_ends p = make_pipe();
    long_line l = {&p, length};
    input in = input_make(p.reading);
    slice line;
    assert_int_equal(pthread_create(&writer, NULL, write_long, &l), 0);
    assert_int_equal(input_next(&in, &line), expected);
    assert_true(expected != INPUT_LINE || line.length == length);
    assert_line(&in, "next");
    assert_int_equal(input_next(&in, &line), INPUT_END);
    assert_int_equal(pthread_join(writer, NULL), 0);
    input_free(&in);
    close(p.reading);
}

static void test_a_line_that_is_too_long_is_dropped_and_the_next_is_read(void **state) {
    (void)state;
    check_long(INPUT_LINE_MAX, INPUT_LINE);
    check_long(INPUT_LINE_MAX + 1, INPUT_TOO_LONG);
    check_long(5 * (size_t)INPUT_LINE_MAX + 17, INPUT_TOO_LONG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_come_one_by_one_and_the_last_may_lack_its_end),
        cmocka_unit_test(test_what_has_come_can_be_looked_through_before_its_turn),
        cmocka_unit_test(test_a_line_that_is_too_long_is_dropped_and_the_next_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
