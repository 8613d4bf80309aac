#include "verify/pair.h"

#include "base/memory.h"
#include "unit.h"

/* Answers are token i -> text "ti " (its own, unless it lies), so that a text can be read off the tokens. */
enum { TOKENS_LIMIT = 64, TEXT_LIMIT = 1024, LENGTH = 12 };

typedef struct answer {
    uint32_t tokens[TOKENS_LIMIT];
    size_t count;
    char text[TEXT_LIMIT];
    pair_ending ending;
} answer;

static const char *const words[] = {"der ", "é", "白", "a", "", "x\n", "🙂", "und ", "ß-", "\"", "", "end"};

static void write_text(answer *a) {
    a->text[0] = '\0';
    for (size_t i = 0; i < a->count; i++) {
        size_t used = strlen(a->text);
        if (a->tokens[i] < 1000) {
            snprintf(a->text + used, sizeof a->text - used, "%s", words[a->tokens[i] % LENGTH]);
        } else {
            snprintf(a->text + used, sizeof a->text - used, "<%u>", (unsigned)a->tokens[i]);
        }
    }
}

static answer honest(void) {
    answer a = {.count = LENGTH, .ending = {.finish = 1, .prompt_tokens = 9, .commitment = {7}}};
    for (size_t i = 0; i < LENGTH; i++) {
        a.tokens[i] = (uint32_t)i;
    }
    write_text(&a);
    return a;
}

/* Each of the lies there are; `who` makes two liars' lies different ones. */
enum {
    LIE_FIRST_TOKEN,
    LIE_MIDDLE_TOKEN,
    LIE_LAST_TOKEN,
    LIE_SHORT,
    LIE_EMPTY,
    LIE_LONG,
    LIE_TEXT,
    LIE_MORE_TEXT,
    LIE_FINISH,
    LIE_PROMPT,
    LIE_COMMITMENT,
    LIES
};

static answer lying(int lie, uint8_t who) {
    answer a = honest();
    switch (lie) {
    case LIE_FIRST_TOKEN:
        a.tokens[0] = 1000U + who;
        break;
    case LIE_MIDDLE_TOKEN:
        a.tokens[6] = 1000U + who;
        break;
    case LIE_LAST_TOKEN:
        a.tokens[LENGTH - 1] = 1000U + who;
        break;
    case LIE_SHORT:
        a.count = 8U - who;
        break;
    case LIE_EMPTY:
        a.count = 0;
        break;
    case LIE_LONG:
        a.count = LENGTH + 1U;
        a.tokens[LENGTH] = 1000U + who;
        break;
    default:
        break;
    }
    write_text(&a);
    switch (lie) {
    case LIE_TEXT:
        a.text[4] = (char)('0' + who);
        break;
    case LIE_MORE_TEXT:
        a.text[strlen(a.text) + 1] = '\0';
        a.text[strlen(a.text)] = (char)('0' + who);
        break;
    case LIE_FINISH:
        a.ending.finish += 1U + who;
        break;
    case LIE_PROMPT:
        a.ending.prompt_tokens += 1U + who;
        break;
    case LIE_COMMITMENT:
        a.ending.commitment[31] = (uint8_t)(1 + who);
        break;
    default:
        break;
    }
    return a;
}

static uint64_t random_state = 1;

static size_t random_below(size_t bound) {
    random_state = random_state * 6364136223846793005U + 1442695040888963407U;
    return (size_t)(random_state >> 33) % bound;
}

/* A worker on its way through its answer. */
typedef struct speaker {
    answer says;
    size_t side;
    size_t tokens;
    size_t text;
    bool ended;
    bool joined;
    bool liar;
} speaker;

static size_t text_of_tokens(const answer *a, size_t tokens) {
    answer cut = *a;
    cut.count = tokens;
    write_text(&cut);
    size_t length = strlen(cut.text);
    return length < strlen(a->text) ? length : strlen(a->text);
}

/* The next piece of random size, the text sometimes behind its tokens but always whole characters. */
static void speak(pair *p, speaker *s) {
    error err;
    size_t length = strlen(s->says.text);
    if (s->tokens == s->says.count && s->text == length) {
        assert_true(pair_end(p, s->side, &s->says.ending, &err));
        s->ended = true;
        return;
    }
    size_t tokens = random_below(s->says.count - s->tokens + 1);
    size_t end = s->tokens + tokens;
    size_t text = random_below(4) == 0 ? s->text : text_of_tokens(&s->says, end);
    text = end == s->says.count ? length : text;
    text = text < s->text ? s->text : text;
    assert_true(pair_say(p, s->side, s->says.tokens + s->tokens, tokens,
                         slice_of(s->says.text + s->text, text - s->text), &err));
    s->tokens = end;
    s->text = text;
}

typedef struct outcome {
    pair_state state;
    char released[TEXT_LIMIT];
    unsigned contradicted; /* bits of speakers */
    pair_difference difference;
} outcome;

static void take_released(pair *p, outcome *o) {
    slice text;
    error err;
    assert_true(pair_release(p, &text, &err));
    assert_true(slice_is_utf8(text));
    size_t used = strlen(o->released);
    assert_true(used + text.length < sizeof o->released);
    if (text.length > 0) {
        memcpy(o->released + used, text.data, text.length);
    }
    o->released[used + text.length] = '\0';
}

static void join_wanted(pair *p, speaker *speakers, size_t count, size_t *next) {
    error err;
    while (pair_wanted(p) > 0 && *next < count) {
        speaker *s = &speakers[(*next)++];
        assert_true(pair_join(p, &s->side, &err));
        s->joined = true;
    }
}

/* Lets the speakers in, in their order, as they are wanted, and has them say their answers in random pieces
 * and a random order. One in `losses` steps loses a speaker (0: none). */
static outcome play(speaker *speakers, size_t count, size_t losses) {
    error err;
    outcome o = {0};
    size_t next = 0;
    pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
    assert_non_null(p);
    join_wanted(p, speakers, count, &next);
    while (pair_state_of(p) != PAIR_AGREED && pair_state_of(p) != PAIR_FAILED) {
        size_t able[16];
        size_t able_count = 0;
        for (size_t i = 0; i < count; i++) {
            if (speakers[i].joined && !speakers[i].ended) {
                able[able_count++] = i;
            }
        }
        if (able_count == 0) {
            break;
        }
        speaker *s = &speakers[able[random_below(able_count)]];
        if (losses > 0 && random_below(losses) == 0) {
            pair_lose(p, s->side);
            s->ended = true;
            s->joined = pair_standing_of(p, s->side) != PAIR_ABSENT;
        } else {
            speak(p, s);
        }
        if (!pair_check(p, &err)) {
            fail_msg("%s", err.text);
        }
        take_released(p, &o);
        join_wanted(p, speakers, count, &next);
    }
    o.state = pair_state_of(p);
    o.difference = pair_latest_difference(p);
    for (size_t i = 0; i < count; i++) {
        if (speakers[i].joined && pair_standing_of(p, speakers[i].side) == PAIR_CONTRADICTED) {
            o.contradicted |= 1U << i;
        }
    }
    pair_free(p);
    return o;
}

static void test_two_that_agree_release_the_whole_answer(void **state) {
    (void)state;
    for (random_state = 1; random_state < 300; random_state += 2) {
        uint64_t seed = random_state;
        speaker two[2] = {{.says = honest()}, {.says = honest()}};
        outcome o = play(two, 2, 0);
        assert_int_equal(o.state, PAIR_AGREED);
        assert_string_equal(o.released, honest().text);
        random_state = seed;
    }
}

/* A liar in each place, with each lie, in many orders of arrival: the answer is the honest one, never a byte
 * of another, and the liar is named, nobody else. */
static void test_one_liar_is_found_whatever_it_lies_about(void **state) {
    (void)state;
    for (uint64_t round = 0; round < 60; round++) {
        for (int lie = 0; lie < LIES; lie++) {
            for (size_t place = 0; place < 2; place++) {
                random_state = round * 1000 + (uint64_t)lie * 10 + place;
                speaker three[3] = {{.says = honest()}, {.says = honest()}, {.says = honest()}};
                three[place].says = lying(lie, 0);
                outcome o = play(three, 3, 0);
                if (o.state != PAIR_AGREED || o.contradicted != 1U << place) {
                    fail_msg("round %zu, lie %d in place %zu: %s, contradicted %x", (size_t)round, lie, place,
                             pair_state_name(o.state), o.contradicted);
                }
                assert_string_equal(o.released, honest().text);
            }
        }
    }
}

static void test_the_place_of_a_difference_is_told(void **state) {
    (void)state;
    static const struct {
        int lie;
        pair_aspect aspect;
        size_t position;
    } rows[] = {
        {LIE_FIRST_TOKEN, PAIR_TOKEN, 0}, {LIE_MIDDLE_TOKEN, PAIR_TOKEN, 6},
        {LIE_LAST_TOKEN, PAIR_TOKEN, 11}, {LIE_SHORT, PAIR_LENGTH, 8},
        {LIE_LONG, PAIR_LENGTH, 12},      {LIE_FINISH, PAIR_ENDING, 12},
        {LIE_PROMPT, PAIR_ENDING, 12},    {LIE_COMMITMENT, PAIR_COMMITMENT, 12},
        {LIE_TEXT, PAIR_TEXT, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        error err;
        answer a = honest();
        answer b = lying(rows[i].lie, 0);
        size_t sides[2];
        pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
        assert_true(pair_join(p, &sides[0], &err) && pair_join(p, &sides[1], &err));
        assert_true(pair_say(p, sides[0], a.tokens, a.count, slice_of_text(a.text), &err));
        assert_true(pair_end(p, sides[0], &a.ending, &err));
        assert_true(pair_say(p, sides[1], b.tokens, b.count, slice_of_text(b.text), &err));
        assert_true(pair_end(p, sides[1], &b.ending, &err));
        assert_int_equal(pair_state_of(p), PAIR_DIFFERENT);
        assert_int_equal(pair_latest_difference(p).aspect, rows[i].aspect);
        assert_int_equal(pair_latest_difference(p).position, rows[i].position);
        assert_int_equal(pair_wanted(p), 1);
        pair_free(p);
    }
}

/* Two liars of three, each with a lie of its own at the same place: nobody can say who is right. */
static void test_a_judge_that_contradicts_both_leaves_no_answer(void **state) {
    (void)state;
    for (int lie = 0; lie < LIES; lie++) {
        if (lie == LIE_EMPTY || lie == LIE_SHORT) {
            continue; /* two ends can't both be at the same place and different */
        }
        for (random_state = 0; random_state < 50;) {
            uint64_t seed = random_state;
            speaker three[3] = {{.says = lying(lie, 0)}, {.says = lying(lie, 1)}, {.says = lying(lie, 2)}};
            outcome o = play(three, 3, 0);
            assert_int_equal(o.state, PAIR_FAILED);
            assert_int_equal(o.contradicted, 0);
            random_state = seed + 1;
        }
    }
}

/* A lying judge takes the side of nobody for long: it is contradicted in its turn. */
static void test_a_lying_judge_is_judged_itself(void **state) {
    (void)state;
    for (random_state = 0; random_state < 400;) {
        uint64_t seed = random_state;
        speaker four[4] = {{.says = lying(LIE_FIRST_TOKEN, 0)},
                           {.says = honest()},
                           {.says = lying(LIE_LAST_TOKEN, 1)},
                           {.says = honest()}};
        outcome o = play(four, 4, 0);
        assert_int_equal(o.state, PAIR_AGREED);
        assert_int_equal(o.contradicted, 1U | 4U);
        assert_string_equal(o.released, honest().text);
        random_state = seed + 1;
    }
}

static void test_after_three_judges_the_answer_fails(void **state) {
    (void)state;
    error err;
    speaker five[5] = {{.says = honest()}, {.says = honest()}, {.says = honest()}, {.says = honest()}};
    five[0].says.tokens[0] = 2000;
    five[2].says.tokens[1] = 2000;
    five[3].says.tokens[2] = 2000;
    five[4].says = honest();
    five[4].says.tokens[3] = 2000;
    size_t next = 0;
    pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
    while (pair_state_of(p) != PAIR_FAILED) {
        size_t before = next;
        join_wanted(p, five, 5, &next);
        assert_true(next > before);
        for (size_t i = before; i < next; i++) {
            assert_true(pair_say(p, five[i].side, five[i].says.tokens, five[i].says.count, (slice){0}, &err));
        }
        assert_true(pair_check(p, &err));
    }
    assert_int_equal(next, 5);
    pair_free(p);
}

/* Whoever is lost is replaced; with honest workers enough the answer is always the honest one. */
static void test_losses_change_nothing_but_who_answers(void **state) {
    (void)state;
    for (uint64_t round = 0; round < 3000; round++) {
        random_state = round;
        speaker many[16];
        for (size_t i = 0; i < 16; i++) {
            many[i] = (speaker){.says = honest()};
        }
        size_t liar = random_below(3);
        many[liar].says = lying((int)random_below(LIES), 0);
        outcome o = play(many, 16, 12);
        if (o.state == PAIR_FAILED || (o.contradicted & ~(1U << liar)) != 0) {
            fail_msg("round %zu: %s, contradicted %x, liar %zu", (size_t)round, pair_state_name(o.state),
                     o.contradicted, liar);
        }
        assert_memory_equal(o.released, honest().text, strlen(o.released));
        if (o.state == PAIR_AGREED) {
            assert_string_equal(o.released, honest().text);
        }
    }
}

static void test_text_waits_for_all_tokens_that_it_came_with(void **state) {
    (void)state;
    error err;
    slice text;
    size_t a = 0;
    size_t b = 0;
    const uint32_t tokens[] = {1, 2, 3};
    pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
    assert_true(pair_join(p, &a, &err) && pair_join(p, &b, &err));
    assert_true(pair_say(p, a, tokens, 3, SLICE_LITERAL("abc"), &err));
    assert_true(pair_release(p, &text, &err) && text.length == 0);
    assert_true(pair_say(p, b, tokens, 2, SLICE_LITERAL("ab"), &err));
    assert_true(pair_release(p, &text, &err) && text.length == 0);
    assert_int_equal(pair_agreed_tokens(p), 2);
    assert_true(pair_say(p, b, tokens + 2, 1, SLICE_LITERAL("c"), &err));
    assert_true(pair_release(p, &text, &err));
    assert_true(slice_equal_text(text, "abc"));
    pair_free(p);
}

/* Both of the two that released text are gone or wrong, and those who are left say otherwise. */
static void test_text_that_is_out_is_never_contradicted(void **state) {
    (void)state;
    error err;
    slice text;
    size_t sides[4];
    answer lie = lying(LIE_FIRST_TOKEN, 0);
    answer truth = honest();
    pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
    assert_true(pair_join(p, &sides[0], &err) && pair_join(p, &sides[1], &err));
    for (size_t i = 0; i < 2; i++) {
        assert_true(pair_say(p, sides[i], lie.tokens, 4, SLICE_LITERAL("<1000>..."), &err));
    }
    assert_true(pair_release(p, &text, &err) && text.length > 0);
    pair_lose(p, sides[0]);
    assert_int_equal(pair_state_of(p), PAIR_WAITING);
    assert_true(pair_join(p, &sides[2], &err));
    assert_true(pair_say(p, sides[2], truth.tokens, truth.count, slice_of_text(truth.text), &err));
    assert_int_equal(pair_state_of(p), PAIR_DIFFERENT);
    assert_true(pair_join(p, &sides[3], &err));
    assert_true(pair_say(p, sides[3], truth.tokens, truth.count, slice_of_text(truth.text), &err));
    assert_int_equal(pair_standing_of(p, sides[1]), PAIR_CONTRADICTED);
    assert_int_equal(pair_state_of(p), PAIR_FAILED);
    assert_true(pair_release(p, &text, &err) && text.length == 0);
    assert_true(pair_check(p, &err));
    pair_free(p);
}

static size_t joined(pair *p) {
    error err;
    size_t side = 0;
    assert_true(pair_join(p, &side, &err));
    return side;
}

static void say(pair *p, size_t side, uint32_t token, const char *text) {
    error err;
    assert_true(pair_say(p, side, &token, 1, slice_of_text(text), &err));
    assert_true(pair_check(p, &err));
}

static void test_half_a_character_is_never_released(void **state) {
    (void)state;
    error err;
    slice text;
    pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
    assert_non_null(p);
    size_t a = joined(p);
    size_t b = joined(p);
    say(p, a, 1, "a\xc3\xa9"); /* these differ in the second byte of their last character */
    say(p, b, 1, "a\xc3\xa8");
    assert_int_equal(pair_state_of(p), PAIR_DIFFERENT);
    assert_true(pair_release(p, &text, &err));
    assert_true(slice_equal_text(text, "a"));
    pair_free(p);
}

/* Both who said the beginning are gone; those who came for them agree that the answer is shorter than that.
 */
static void test_an_answer_shorter_than_what_is_out_fails(void **state) {
    (void)state;
    error err;
    slice text;
    const pair_ending ending = {.finish = 1};
    pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
    assert_non_null(p);
    size_t sides[2] = {joined(p), joined(p)};
    for (size_t i = 0; i < 2; i++) {
        say(p, sides[i], 1, "one ");
        say(p, sides[i], 2, "two");
    }
    assert_true(pair_release(p, &text, &err));
    assert_true(slice_equal_text(text, "one two"));
    for (size_t i = 0; i < 2; i++) {
        pair_lose(p, sides[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        sides[i] = joined(p);
    }
    for (size_t i = 0; i < 2; i++) {
        say(p, sides[i], 1, "one ");
        assert_true(pair_end(p, sides[i], &ending, &err));
    }
    assert_int_equal(pair_state_of(p), PAIR_FAILED);
    pair_free(p);
}

/* Nobody knows what of it is right, not even what two said alike. */
static void test_nothing_of_an_answer_that_failed_goes_out_any_more(void **state) {
    (void)state;
    error err;
    slice text;
    const char *const seconds[] = {"two", "tew", "too"};
    pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
    assert_non_null(p);
    size_t sides[3] = {joined(p), joined(p)};
    for (uint32_t i = 0; i < 3; i++) {
        sides[i] = i == 2 ? joined(p) : sides[i];
        say(p, sides[i], 1, "one ");
        say(p, sides[i], 2 + i, seconds[i]);
    }
    assert_int_equal(pair_state_of(p), PAIR_FAILED);
    assert_true(pair_release(p, &text, &err));
    assert_int_equal(text.length, 0);
    pair_free(p);
}

/* Why it ended is in question: whoever the judge confirms there stays, and their commitments are compared
 * next. */
static void test_a_judge_takes_one_difference_after_the_other(void **state) {
    (void)state;
    error err;
    const pair_ending endings[] = {
        {.finish = 1, .commitment = {1}}, {.finish = 2, .commitment = {1}}, {.finish = 1, .commitment = {2}}};
    pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
    assert_non_null(p);
    size_t sides[3] = {joined(p), joined(p)};
    for (size_t i = 0; i < 3; i++) {
        sides[i] = i == 2 ? joined(p) : sides[i];
        say(p, sides[i], 1, "one");
        assert_true(pair_end(p, sides[i], &endings[i], &err));
    }
    assert_int_equal(pair_standing_of(p, sides[0]), PAIR_MEMBER);
    assert_int_equal(pair_standing_of(p, sides[1]), PAIR_CONTRADICTED);
    assert_int_equal(pair_state_of(p), PAIR_DIFFERENT);
    assert_int_equal(pair_latest_difference(p).aspect, PAIR_COMMITMENT);
    pair_free(p);
}

static void test_a_side_says_no_more_than_was_asked_for_and_nothing_after_its_end(void **state) {
    (void)state;
    error err;
    size_t a = 0;
    size_t b = 0;
    uint32_t tokens[TOKENS_LIMIT + 1] = {0};
    char text[TEXT_LIMIT + 1] = {0};
    pair_ending ending = {0};
    pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
    assert_false(pair_say(p, 0, tokens, 1, (slice){0}, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    assert_true(pair_join(p, &a, &err) && pair_join(p, &b, &err));
    assert_false(pair_join(p, &b, &err));
    assert_int_equal(err.code, ERROR_CONFLICT);
    assert_false(pair_say(p, a, tokens, TOKENS_LIMIT + 1, (slice){0}, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_false(pair_say(p, a, tokens, 1, slice_of(text, TEXT_LIMIT + 1), &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_true(pair_say(p, a, tokens, TOKENS_LIMIT, slice_of(text, TEXT_LIMIT), &err));
    assert_true(pair_end(p, a, &ending, &err));
    assert_false(pair_end(p, a, &ending, &err));
    assert_false(pair_say(p, a, tokens, 0, (slice){0}, &err));
    assert_false(pair_say(p, PAIR_SIDES, tokens, 0, (slice){0}, &err));
    pair_lose(p, a);
    assert_int_equal(pair_standing_of(p, a), PAIR_MEMBER);
    pair_free(p);
}

static void test_every_failed_allocation_leaves_a_pair_that_can_go_on(void **state) {
    (void)state;
    answer a = honest();
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err;
        size_t sides[2];
        slice text = {0};
        fault_fail_nth(nth);
        pair *p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
        if (p == NULL) {
            p = pair_new(TOKENS_LIMIT, TEXT_LIMIT, &err);
        }
        assert_true(pair_join(p, &sides[0], &err) && pair_join(p, &sides[1], &err));
        for (size_t i = 0; i < 2; i++) {
            if (!pair_say(p, sides[i], a.tokens, a.count, slice_of_text(a.text), &err)) {
                assert_int_equal(err.code, ERROR_MEMORY);
                assert_true(pair_check(p, &err));
                assert_true(pair_say(p, sides[i], a.tokens, a.count, slice_of_text(a.text), &err));
            }
            assert_true(pair_end(p, sides[i], &a.ending, &err));
        }
        assert_int_equal(pair_state_of(p), PAIR_AGREED);
        if (!pair_release(p, &text, &err)) {
            assert_int_equal(err.code, ERROR_MEMORY);
            assert_true(pair_release(p, &text, &err));
        }
        assert_true(slice_equal_text(text, a.text));
        reached = fault_stop();
        pair_free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_that_agree_release_the_whole_answer),
        cmocka_unit_test(test_one_liar_is_found_whatever_it_lies_about),
        cmocka_unit_test(test_the_place_of_a_difference_is_told),
        cmocka_unit_test(test_a_judge_that_contradicts_both_leaves_no_answer),
        cmocka_unit_test(test_a_lying_judge_is_judged_itself),
        cmocka_unit_test(test_after_three_judges_the_answer_fails),
        cmocka_unit_test(test_losses_change_nothing_but_who_answers),
        cmocka_unit_test(test_text_waits_for_all_tokens_that_it_came_with),
        cmocka_unit_test(test_text_that_is_out_is_never_contradicted),
        cmocka_unit_test(test_half_a_character_is_never_released),
        cmocka_unit_test(test_an_answer_shorter_than_what_is_out_fails),
        cmocka_unit_test(test_nothing_of_an_answer_that_failed_goes_out_any_more),
        cmocka_unit_test(test_a_judge_takes_one_difference_after_the_other),
        cmocka_unit_test(test_a_side_says_no_more_than_was_asked_for_and_nothing_after_its_end),
        cmocka_unit_test(test_every_failed_allocation_leaves_a_pair_that_can_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
