#include "hold/frames.h"

#include "codec/json.h"
#include "unit.h"

#include <stdlib.h>

/* Frames as a client reads them: events end with an empty line, comments are passed over. */

static const char prefix_text[] = "{\"id\":\"chatcmpl-1\",\"model\":\"demo\"";

typedef struct reading {
    buffer unread; /* of an event not whole yet */
    buffer text;
    char others[4096]; /* what events without text say */
    size_t frames;
    bool split; /* an event with text went over two frames */
} reading;

static void read_event(reading *r, slice event) {
    error err;
    slice data = slice_after(event, strlen("data: "));
    if (event.data[0] == ':') {
        return;
    }
    assert_true(slice_starts_with(event, SLICE_LITERAL("data: ")));
    json_value *root = json_parse(data, (json_limits){.size = 65536, .depth = 8}, &err);
    const json_value *choice = json_at(json_find(root, "choices"), 0);
    slice content = json_text_of(json_find(json_find(choice, "delta"), "content"));
    if (content.length > 0) {
        assert_true(slice_is_utf8(content));
        buffer_append(&r->text, content);
    } else {
        strncat(r->others, (const char *)data.data, data.length);
    }
    json_free(root);
}

static void read_frame(reading *r, frames *f) {
    error err;
    buffer frame = buffer_make(65536);
    assert_true(frames_next(f, &frame, &err));
    assert_int_equal(buffer_length(&frame), f->size);
    bool begun = buffer_length(&r->unread) > 0;
    buffer_append(&r->unread, buffer_slice(&frame));
    r->frames++;
    size_t end;
    while ((end = slice_find_slice(buffer_slice(&r->unread), SLICE_LITERAL("\n\n"))) != SIZE_MAX) {
        size_t before = buffer_length(&r->text);
        if (end > 0) {
            read_event(r, slice_part(buffer_slice(&r->unread), 0, end));
        }
        r->split = r->split || (begun && buffer_length(&r->text) > before);
        begun = false;
        buffer_consume(&r->unread, end + 2);
    }
    buffer_free(&frame);
}

static void reading_free(reading *r) {
    buffer_free(&r->unread);
    buffer_free(&r->text);
}

static reading reading_make(void) {
    return (reading){.unread = buffer_make(1 << 20), .text = buffer_make(1 << 20)};
}

static void test_an_empty_frame_is_as_long_as_a_full_one(void **state) {
    (void)state;
    frames f;
    error err;
    reading r = reading_make();
    frames_init(&f, slice_of_text(prefix_text));
    assert_int_equal(f.size, FRAMES_SIZE);
    read_frame(&r, &f);
    assert_true(frames_add_text(&f, SLICE_LITERAL("hello"), &err));
    read_frame(&r, &f);
    read_frame(&r, &f);
    assert_true(slice_equal_text(buffer_slice(&r.text), "hello"));
    assert_int_equal(r.frames, 3);
    assert_int_equal(buffer_length(&r.unread), 0);
    assert_true(frames_are_empty(&f));
    frames_free(&f);
    reading_free(&r);
}

/* Pieces of every kind of character and of every length around a frame's: all of it comes, in order, in whole
 * events, and then the end. */
static void test_long_text_goes_over_frames_at_whole_characters(void **state) {
    (void)state;
    static const char *const pieces[] = {"a", "é", "白", "🙂", "\"", "\\", "\n", "\x01", " und "};
    for (size_t length = 1; length < 6000; length += 97) {
        frames f;
        error err;
        reading r = reading_make();
        buffer expected = buffer_make(1 << 20);
        for (size_t i = length; buffer_length(&expected) < length; i++) {
            buffer_append_text(&expected, pieces[i % (sizeof pieces / sizeof pieces[0])]);
        }
        frames_init(&f, slice_of_text(prefix_text));
        assert_true(frames_add_events(&f, SLICE_LITERAL("data: \"role\"\n\n"), true, &err));
        assert_true(frames_add_text(&f, buffer_slice(&expected), &err));
        assert_true(frames_add_events(&f, SLICE_LITERAL("data: \"stop\"\n\ndata: [DONE]\n\n"), false, &err));
        while (!frames_are_empty(&f)) {
            assert_true(r.frames < 100);
            read_frame(&r, &f);
        }
        assert_true(slice_equal(buffer_slice(&r.text), buffer_slice(&expected)));
        assert_string_equal(r.others, "\"role\"\"stop\"[DONE]");
        assert_false(r.split);
        buffer_free(&expected);
        frames_free(&f);
        reading_free(&r);
    }
}

/* Whatever is in the frame already: the comment that fills it may need a frame of its own, never a part. */
static void test_events_of_any_length_keep_the_size(void **state) {
    (void)state;
    for (size_t length = FRAMES_SIZE - 40; length < FRAMES_SIZE + 40; length++) {
        frames f;
        error err;
        reading r = reading_make();
        buffer event = buffer_make(65536);
        buffer_append_text(&event, "data: \"");
        for (size_t i = 0; i < length; i++) {
            buffer_append_byte(&event, 'x');
        }
        buffer_append_text(&event, "\"\n\n");
        frames_init(&f, slice_of_text(prefix_text));
        assert_true(frames_add_events(&f, buffer_slice(&event), false, &err));
        while (!frames_are_empty(&f)) {
            read_frame(&r, &f);
        }
        assert_int_equal(strlen(r.others), length + 2);
        assert_int_equal(buffer_length(&r.unread), 0);
        buffer_free(&event);
        frames_free(&f);
        reading_free(&r);
    }
}

static void test_a_long_model_name_makes_all_frames_longer(void **state) {
    (void)state;
    char name[900];
    memset(name, 'x', sizeof name);
    frames f;
    frames_init(&f, slice_of(name, sizeof name));
    assert_int_equal(f.size, 2 * FRAMES_SIZE);
    frames_free(&f);
}

static void test_a_whole_answer_is_a_multiple_long(void **state) {
    (void)state;
    buffer body = buffer_make(65536);
    buffer_append_text(&body, "{}");
    frames_pad_whole(&body);
    assert_int_equal(buffer_length(&body), FRAMES_WHOLE_SIZE);
    frames_pad_whole(&body);
    assert_int_equal(buffer_length(&body), FRAMES_WHOLE_SIZE);
    buffer_append_byte(&body, ' ');
    frames_pad_whole(&body);
    assert_int_equal(buffer_length(&body), 2 * FRAMES_WHOLE_SIZE);
    buffer_free(&body);
}

static void test_every_failed_allocation_is_told(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        frames f;
        error err = {0};
        buffer frame = buffer_make(65536);
        fault_fail_nth(nth);
        frames_init(&f, slice_of_text(prefix_text));
        bool done = frames_add_events(&f, SLICE_LITERAL("data: 1\n\n"), true, &err) &&
                    frames_add_text(&f, SLICE_LITERAL("text"), &err) &&
                    frames_add_events(&f, SLICE_LITERAL("data: 2\n\n"), false, &err) &&
                    frames_next(&f, &frame, &err);
        reached = fault_stop();
        assert_true(done != reached);
        assert_true(done || err.code == ERROR_MEMORY);
        buffer_free(&frame);
        frames_free(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_frame_is_as_long_as_a_full_one),
        cmocka_unit_test(test_long_text_goes_over_frames_at_whole_characters),
        cmocka_unit_test(test_events_of_any_length_keep_the_size),
        cmocka_unit_test(test_a_long_model_name_makes_all_frames_longer),
        cmocka_unit_test(test_a_whole_answer_is_a_multiple_long),
        cmocka_unit_test(test_every_failed_allocation_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
