#include "unit.h"

#include "crypto/start.h"
#include "sample/mask.h"

#include <stdio.h>

/* What a draw may cost is the same whether masks were kept from draws before it or not: else a text that one
 * worker follows would be refused by another. */
enum { LETTERS = 40 /* from '0' on */, PAIRS = LETTERS * LETTERS, VOCABULARY = PAIRS + 1 };

static slice text_of(const void *context, uint32_t token) {
    static uint8_t pairs[PAIRS][2];
    (void)context;
    if (token == PAIRS) {
        return SLICE_LITERAL("x");
    }
    pairs[token][0] = (uint8_t)('0' + token / LETTERS);
    pairs[token][1] = (uint8_t)('0' + token % LETTERS);
    return slice_of(pairs[token], 2);
}

/* Behind "x" there are two ways on in place of one, each of which branches into `count` rules. */
static grammar *branching(unsigned count) {
    static char text[16384];
    error err;
    size_t length = (size_t)snprintf(text, sizeof text,
                                     "root ::= a | \"x\" (a | b)\n"
                                     "a ::= [0-W] c\nb ::= [0-W] c\nc ::= r0");
    for (unsigned i = 1; i < count; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, " | r%u", i);
    }
    for (unsigned i = 0; i < count; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "\nr%u ::= [0-W] [0-W]", i);
    }
    grammar *g = grammar_from_gbnf(slice_of_text(text), &err);
    if (g == NULL) {
        fail_msg("%s", err.text);
    }
    return g;
}

static bool can_draw(const word_tree *words, unsigned count, bool drawn_before, bool twice) {
    error err;
    constraint *c = constraint_new(words, branching(count), &err);
    assert_non_null(c);
    bool good = !drawn_before || constraint_allowed(c, &err) != NULL;
    good = good && constraint_accept(c, SLICE_LITERAL("x"));
    good = good && constraint_allowed(c, &err) != NULL;
    good = good && (!twice || constraint_allowed(c, &err) != NULL);
    assert_true(good || err.code == ERROR_LIMIT);
    constraint_free(c);
    return good;
}

static void test_what_a_draw_may_cost_does_not_depend_on_the_draws_before_it(void **state) {
    (void)state;
    error err;
    word_tree words;
    size_t refused = 0;
    assert_true(word_tree_start(&words, VOCABULARY, text_of, NULL, &err));
    static const unsigned counts[] = {60, 80, 90, 100, 110, 120};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        bool good = can_draw(&words, counts[i], false, false);
        assert_int_equal(can_draw(&words, counts[i], true, false), good);
        assert_int_equal(can_draw(&words, counts[i], true, true), good);
        refused += good ? 0 : 1;
    }
    assert_in_range(refused, 1, sizeof counts / sizeof counts[0] - 1);
    word_tree_free(&words);
}

static int set_up(void **state) {
    (void)state;
    error err;
    return crypto_start(&err) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_draw_may_cost_does_not_depend_on_the_draws_before_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
