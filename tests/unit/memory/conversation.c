#include "memory/conversation.h"
#include "codec/json.h"
#include "crypto/start.h"

#include "unit.h"

#include <stdlib.h>

enum { LIMIT = 1 << 20, MEMORY = 64 << 20 };

static error err;
static arena *memory;
static const uint8_t key[RECORD_KEY_SIZE] = {1, 2, 3, [16] = 4, 5, 6};
static const uint8_t id[RECORD_ID_SIZE] = {0xa0, 0xa1, 0xa2, [15] = 0xaf};
static const uint64_t user = 7;

static const conversation_message asked[] = {
    {SLICE_LITERAL("system"), SLICE_LITERAL("Be brief.")},
    {SLICE_LITERAL("user"), SLICE_LITERAL("What is \"AES\"?\n\tAnd \\ \x7f \xC3\xA4 \xF0\x9F\x99\x82")},
};
static const conversation_turn whole = {.created_ms = 1800000000123,
                                        .model = SLICE_LITERAL("qwen2-0.5b"),
                                        .messages = asked,
                                        .message_count = 2,
                                        .answer = SLICE_LITERAL("A cipher.\r\n"),
                                        .end = CONVERSATION_LENGTH,
                                        .facts = SLICE_LITERAL("12,15")};

static int start(void **state) {
    (void)state;
    json_start(1);
    memory = arena_new(MEMORY);
    return memory != NULL && crypto_start(&err) ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    arena_free(memory);
    crypto_stop();
    return 0;
}

static void assert_text(slice found, const char *expected) {
    if (!slice_equal_text(found, expected)) {
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_FORMAT(found), expected);
    }
}

static void test_what_is_new_in_a_request_is_behind_its_last_answer(void **state) {
    (void)state;
    conversation_message m[6] = {{SLICE_LITERAL("system"), {0}},    {SLICE_LITERAL("user"), {0}},
                                 {SLICE_LITERAL("assistant"), {0}}, {SLICE_LITERAL("user"), {0}},
                                 {SLICE_LITERAL("assistant"), {0}}, {SLICE_LITERAL("tool"), {0}}};
    static const size_t expected[] = {0, 0, 0, 3, 3, 5, 5};
    for (size_t count = 0; count <= 6; count++) {
        assert_int_equal(conversation_first_new(m, count), expected[count]);
    }
}

static void assert_title(const char *said, const char *expected) {
    conversation_message m[] = {{SLICE_LITERAL("system"), SLICE_LITERAL("not this")},
                                {SLICE_LITERAL("user"), slice_of_text(said)},
                                {SLICE_LITERAL("user"), SLICE_LITERAL("nor this")}};
    conversation_turn turn = {.messages = m, .message_count = 3};
    slice title = conversation_first_title(&turn);
    assert_text(title, expected);
    assert_true(conversation_title_is_valid(title));
    assert_true(title.length <= 80);
}

#define TEN "123456789 "
#define UMLAUTS "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"

static void test_a_title_is_the_first_line_cut_at_a_words_end(void **state) {
    (void)state;
    assert_title("Hello there", "Hello there");
    assert_title("\n \t\r\n  Hello there  \nsecond line", "Hello there");
    assert_title("one\xE2\x80\xA8two", "one");
    assert_title("one\xC2\x85two", "one");
    assert_title("", "Untitled");
    assert_title(" \n\t ", "Untitled");
    assert_title("broken \xC3", "broken");
    assert_title(TEN TEN TEN TEN TEN TEN TEN "123456789", TEN TEN TEN TEN TEN TEN TEN "123456789");
    assert_title(TEN TEN TEN TEN TEN TEN TEN "1234567890", TEN TEN TEN TEN TEN TEN TEN "1234567890");
    assert_title(TEN TEN TEN TEN TEN TEN TEN "12345678901", TEN TEN TEN TEN TEN TEN "123456789");
    assert_title(TEN TEN TEN TEN TEN TEN TEN "1234567890 1", TEN TEN TEN TEN TEN TEN TEN "1234567890");
    /* Without a blank: whole characters. */
    assert_title("x" UMLAUTS UMLAUTS UMLAUTS UMLAUTS UMLAUTS UMLAUTS,
                 "x" UMLAUTS UMLAUTS UMLAUTS UMLAUTS
                 "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4");
    conversation_turn nobody = {.message_count = 0};
    assert_text(conversation_first_title(&nobody), "Untitled");
}

static void test_titles_are_lines_of_utf8(void **state) {
    (void)state;
    char longest[CONVERSATION_TITLE_MAX + 2];
    memset(longest, 'a', sizeof longest);
    assert_true(conversation_title_is_valid(slice_of(longest, CONVERSATION_TITLE_MAX)));
    assert_false(conversation_title_is_valid(slice_of(longest, CONVERSATION_TITLE_MAX + 1)));
    assert_true(conversation_title_is_valid(SLICE_LITERAL("\xC3\x84rger \xE2\x80\x93 \xF0\x9F\x99\x82")));
    const char *const wrong[] = {
        "", "a\nb", "a\tb", "\x7f", "\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9", "\xC3", "a\xFF", "\x1b[2J"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(conversation_title_is_valid(slice_of_text(wrong[i])));
    }
    assert_false(conversation_title_is_valid(slice_of("a\0b", 3)));
}

static void assert_same(const conversation_turn *a, const conversation_turn *b) {
    assert_true(a->created_ms == b->created_ms);
    assert_true(slice_equal(a->model, b->model));
    assert_int_equal(a->message_count, b->message_count);
    for (size_t i = 0; i < a->message_count; i++) {
        assert_true(slice_equal(a->messages[i].role, b->messages[i].role));
        assert_true(slice_equal(a->messages[i].content, b->messages[i].content));
    }
    assert_true(slice_equal(a->answer, b->answer));
    assert_int_equal(a->end, b->end);
    assert_true(slice_equal(a->facts, b->facts));
}

static void assert_round_trip(const conversation_turn *turn, const conversation_turn *expected) {
    conversation_turn opened;
    buffer sealed = buffer_make(2 * RECORD_CONTENT_MAX);
    assert_true(conversation_seal_turn(key, user, id, turn, &sealed, &err));
    assert_true(conversation_open_turn(key, user, id, buffer_slice(&sealed), memory, &opened, &err));
    assert_same(&opened, expected);
    buffer_free(&sealed);
    arena_wipe(memory);
}

static void test_a_turn_opens_as_it_was_sealed(void **state) {
    (void)state;
    conversation_turn turn = whole;
    assert_round_trip(&turn, &whole);
    for (int end = CONVERSATION_COMPLETE; end <= CONVERSATION_FAILED; end++) {
        turn.end = (conversation_end)end;
        assert_round_trip(&turn, &turn);
    }
    conversation_turn empty = {.end = CONVERSATION_CUT};
    assert_round_trip(&empty, &empty);
}

static void test_every_byte_that_is_text_comes_back(void **state) {
    (void)state;
    static char text[4 * 0x800];
    size_t length = 0;
    for (unsigned letter = 1; letter < 0x800; letter++) {
        if (letter >= 0x80) {
            text[length++] = (char)(0xC0 | letter >> 6);
        }
        text[length++] = (char)(letter >= 0x80 ? 0x80 | (letter & 0x3f) : letter);
    }
    conversation_message m = {SLICE_LITERAL("user"), slice_of(text, length)};
    conversation_turn turn = {.messages = &m, .message_count = 1, .answer = slice_of(text, length)};
    assert_round_trip(&turn, &turn);
}

static void test_what_is_no_text_comes_back_as_the_replacement_character(void **state) {
    (void)state;
    conversation_message m = {SLICE_LITERAL("user"), SLICE_LITERAL("a\0b\0\0c\0")};
    conversation_message read = {SLICE_LITERAL("user"), SLICE_LITERAL("a\xEF\xBF\xBD"
                                                                      "b\xEF\xBF\xBD\xEF\xBF\xBD"
                                                                      "c\xEF\xBF\xBD")};
    conversation_turn turn = {
        .messages = &m, .message_count = 1, .answer = SLICE_LITERAL("cut \xF0\x9F\x99")};
    conversation_turn expected = {.messages = &read,
                                  .message_count = 1,
                                  .answer = SLICE_LITERAL("cut \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD")};
    assert_round_trip(&turn, &expected);
    /* As long as it may be, all of it. */
    uint8_t bytes[CONVERSATION_MODEL_MAX];
    memset(bytes, 0xff, sizeof bytes);
    turn.model = slice_of(bytes, sizeof bytes);
    m.role = slice_of(bytes, 64);
    conversation_turn opened;
    buffer sealed = buffer_make(LIMIT);
    assert_true(conversation_seal_turn(key, user, id, &turn, &sealed, &err));
    assert_true(conversation_open_turn(key, user, id, buffer_slice(&sealed), memory, &opened, &err));
    assert_int_equal(opened.model.length, 3 * sizeof bytes);
    buffer_free(&sealed);
    arena_wipe(memory);
}

static void assert_too_much(const conversation_turn *turn) {
    buffer sealed = buffer_make(2 * RECORD_CONTENT_MAX);
    assert_false(conversation_seal_turn(key, user, id, turn, &sealed, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_int_equal(buffer_length(&sealed), 0);
    buffer_free(&sealed);
}

static void test_as_much_is_kept_as_is_said_and_no_more(void **state) {
    (void)state;
    enum { MORE = CONVERSATION_MESSAGES_MAX + 1 };
    static conversation_message many[MORE];
    for (size_t i = 0; i < MORE; i++) {
        many[i] = (conversation_message){SLICE_LITERAL("user"), SLICE_LITERAL("x")};
    }
    char *text = malloc(RECORD_CONTENT_MAX + 1);
    assert_non_null(text);
    memset(text, 'x', RECORD_CONTENT_MAX + 1);
    conversation_turn turn = {.messages = many, .message_count = MORE - 1};
    assert_round_trip(&turn, &turn);
    turn.message_count = MORE;
    assert_too_much(&turn);
    turn.message_count = 0;
    turn.answer = slice_of(text, RECORD_CONTENT_MAX - 200);
    assert_round_trip(&turn, &turn);
    for (size_t less = 0; less < 3; less++) {
        turn.answer.length = RECORD_CONTENT_MAX + 1 - less * 20;
        assert_too_much(&turn);
    }
    memset(text, 1, RECORD_CONTENT_MAX); /* six bytes each */
    turn.answer.length = RECORD_CONTENT_MAX / 5;
    assert_too_much(&turn);
    turn.answer = (slice){NULL, 0};
    turn.model = slice_of(text, CONVERSATION_MODEL_MAX + 1);
    assert_too_much(&turn);
    free(text);
}

static void test_a_head_opens_as_it_was_sealed(void **state) {
    (void)state;
    conversation_head head = {.title = SLICE_LITERAL("\xC3\x84rger mit \"AES\"")};
    conversation_head opened;
    buffer sealed = buffer_make(LIMIT);
    for (size_t i = 0; i < sizeof head.key; i++) {
        head.key[i] = (uint8_t)(0xff - i);
    }
    assert_true(conversation_seal_head(key, user, id, 1800000000123, &head, &sealed, &err));
    assert_true(conversation_open_head(key, user, id, buffer_slice(&sealed), memory, &opened, &err));
    assert_true(slice_equal(opened.title, head.title));
    assert_memory_equal(opened.key, head.key, sizeof head.key);
    conversation_turn turn;
    assert_false(conversation_open_turn(key, user, id, buffer_slice(&sealed), memory, &turn, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    assert_false(conversation_open_head(key, user + 1, id, buffer_slice(&sealed), memory, &opened, &err));
    assert_int_equal(err.code, ERROR_CORRUPT);
    buffer_free(&sealed);
    head.title = SLICE_LITERAL("two\nlines");
    assert_false(conversation_seal_head(key, user, id, 0, &head, &sealed, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    buffer_free(&sealed);
}

static void test_sealed_by_the_key_and_no_conversation_is_refused(void **state) {
    (void)state;
    const char *const contents[] = {
        "",
        "{",
        "[]",
        "{}",
        "null",
        "{\"title\":\"a\"}",
        "{\"title\":\"a\",\"key\":\"short\"}",
        "{\"title\":\"\",\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        "{\"created_ms\":1,\"model\":\"\",\"messages\":[],\"answer\":\"\"}",
        "{\"created_ms\":1,\"model\":\"\",\"messages\":[],\"answer\":\"\",\"end\":\"never\"}",
        "{\"created_ms\":-1,\"model\":\"\",\"messages\":[],\"answer\":\"\",\"end\":\"cut\"}",
        "{\"created_ms\":1,\"model\":\"\",\"messages\":{},\"answer\":\"\",\"end\":\"cut\"}",
        "{\"created_ms\":1,\"model\":\"\",\"messages\":[1],\"answer\":\"\",\"end\":\"cut\"}",
        "{\"created_ms\":1,\"model\":\"\",\"messages\":[{}],\"answer\":\"\",\"end\":\"cut\"}",
        "{\"created_ms\":1,\"model\":\"\",\"messages\":[],\"answer\":7,\"end\":\"cut\"}",
        "{\"created_ms\":1,\"model\":\"\",\"messages\":[],\"answer\":\"\",\"end\":\"cut\",\"facts\":1}",
        "{\"created_ms\":1,\"model\":\"\",\"messages\":[[[[]]]],\"answer\":\"\",\"end\":\"cut\"}"};
    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        conversation_head head = {.key = {1}};
        conversation_turn turn = {.message_count = 1};
        record_place place = {.kind = RECORD_CONVERSATION, .user_id = user};
        memcpy(place.id, id, sizeof id);
        buffer sealed = buffer_make(LIMIT);
        assert_true(record_seal(key, &place, 0, slice_of_text(contents[i]), &sealed, &err));
        assert_false(conversation_open_head(key, user, id, buffer_slice(&sealed), memory, &head, &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        assert_int_equal(head.key[0], 0);
        buffer_clear(&sealed);
        place.kind = RECORD_TURN;
        assert_true(record_seal(key, &place, 0, slice_of_text(contents[i]), &sealed, &err));
        assert_false(conversation_open_turn(key, user, id, buffer_slice(&sealed), memory, &turn, &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        assert_int_equal(turn.message_count, 0);
        buffer_free(&sealed);
    }
    arena_wipe(memory);
}

static void test_each_failing_allocation_is_an_error_and_leaves_nothing(void **state) {
    (void)state;
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        arena *a = arena_new(LIMIT);
        buffer sealed = buffer_make(LIMIT);
        conversation_turn opened;
        conversation_head head = {.title = SLICE_LITERAL("title")};
        assert_non_null(a);
        fault_fail_nth(nth);
        bool done = conversation_seal_head(key, user, id, 0, &head, &sealed, &err) &&
                    conversation_open_head(key, user, id, buffer_slice(&sealed), a, &head, &err);
        buffer_clear(&sealed);
        done = done && conversation_seal_turn(key, user, id, &whole, &sealed, &err) &&
               conversation_open_turn(key, user, id, buffer_slice(&sealed), a, &opened, &err);
        reached = fault_stop();
        assert_true(done || reached);
        if (done) {
            assert_same(&opened, &whole);
        } else {
            assert_int_equal(err.code, ERROR_MEMORY);
        }
        buffer_free(&sealed);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_new_in_a_request_is_behind_its_last_answer),
        cmocka_unit_test(test_a_title_is_the_first_line_cut_at_a_words_end),
        cmocka_unit_test(test_titles_are_lines_of_utf8),
        cmocka_unit_test(test_a_turn_opens_as_it_was_sealed),
        cmocka_unit_test(test_every_byte_that_is_text_comes_back),
        cmocka_unit_test(test_what_is_no_text_comes_back_as_the_replacement_character),
        cmocka_unit_test(test_as_much_is_kept_as_is_said_and_no_more),
        cmocka_unit_test(test_a_head_opens_as_it_was_sealed),
        cmocka_unit_test(test_sealed_by_the_key_and_no_conversation_is_refused),
        cmocka_unit_test(test_each_failing_allocation_is_an_error_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
