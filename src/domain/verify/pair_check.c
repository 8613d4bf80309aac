#include "pair_internal.h"

#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            return error_set(err, ERROR_INTERNAL, "pair invariant broken at line %d: %s", __LINE__,          \
                             #condition);                                                                    \
        }                                                                                                    \
    } while (0)

static bool is_member(const pair *p, size_t side) {
    return p->members[0] == side || p->members[1] == side;
}

static bool check_side(const pair *p, size_t side, error *err) {
    const pair_side *s = &p->sides[side];
    bool disputed = p->state == PAIR_DIFFERENT || p->state == PAIR_JUDGING || p->state == PAIR_FAILED;
    REQUIRE(side_token_count(s) <= p->tokens_limit && buffer_length(&s->text) <= p->text_limit);
    REQUIRE(!s->ended || !s->silent);
    switch (s->standing) {
    case PAIR_ABSENT:
        REQUIRE(s->text.bytes == NULL && s->tokens.bytes == NULL && s->marks.bytes == NULL);
        REQUIRE(!is_member(p, side) && p->judge != side && !s->ended);
        break;
    case PAIR_MEMBER:
        REQUIRE(is_member(p, side) && !s->silent);
        break;
    case PAIR_JUDGE:
        REQUIRE(p->judge == side && !is_member(p, side) && !s->silent);
        break;
    case PAIR_LOST:
        REQUIRE(is_member(p, side) && s->silent && disputed);
        break;
    case PAIR_CONTRADICTED:
        REQUIRE(!is_member(p, side) && p->judge != side);
        break;
    }
    return true;
}

static bool check_state(const pair *p, error *err) {
    bool both = p->members[0] != NOBODY && p->members[1] != NOBODY;
    switch (p->state) {
    case PAIR_WAITING:
        REQUIRE(!both && p->judge == NOBODY);
        break;
    case PAIR_RUNNING:
    case PAIR_DIFFERENT:
    case PAIR_AGREED:
        REQUIRE(both && p->judge == NOBODY);
        break;
    case PAIR_JUDGING:
        REQUIRE(both && p->judge != NOBODY);
        break;
    case PAIR_FAILED:
        REQUIRE(both);
        break;
    }
    REQUIRE(!both || p->members[0] != p->members[1]);
    return true;
}

static bool begins_with(slice text, slice beginning) {
    size_t known = text.length < beginning.length ? text.length : beginning.length;
    return slice_equal(slice_part(text, 0, known), slice_part(beginning, 0, known));
}

/* What two sides have in common, counted anew. */
static bool check_same(const pair *p, size_t a, size_t b, error *err) {
    const pair_side *x = &p->sides[a];
    const pair_side *y = &p->sides[b];
    pair_mark same = p->same[a][b];
    REQUIRE(same.tokens == p->same[b][a].tokens && same.text == p->same[b][a].text);
    REQUIRE(same.tokens <= side_token_count(x) && same.tokens <= side_token_count(y));
    REQUIRE(same.text <= buffer_length(&x->text) && same.text <= buffer_length(&y->text));
    REQUIRE(same.tokens == 0 || memcmp(side_tokens(x), side_tokens(y), same.tokens * sizeof(uint32_t)) == 0);
    REQUIRE(slice_equal(slice_part(buffer_slice(&x->text), 0, same.text),
                        slice_part(buffer_slice(&y->text), 0, same.text)));
    return true;
}

static bool check_members(const pair *p, error *err) {
    const pair_side *a = &p->sides[p->members[0]];
    const pair_side *b = &p->sides[p->members[1]];
    slice released = buffer_slice(&p->released);
    if (p->state == PAIR_RUNNING || p->state == PAIR_AGREED) {
        REQUIRE(begins_with(buffer_slice(&a->text), released));
        REQUIRE(begins_with(buffer_slice(&b->text), released));
        REQUIRE(begins_with(buffer_slice(&a->text), buffer_slice(&b->text)));
    }
    if (p->state == PAIR_AGREED) {
        REQUIRE(a->ended && b->ended && slice_equal(buffer_slice(&a->text), buffer_slice(&b->text)));
        REQUIRE(slice_equal(buffer_slice(&a->tokens), buffer_slice(&b->tokens)));
        REQUIRE(memcmp(&a->ending, &b->ending, sizeof a->ending) == 0);
    }
    return true;
}

bool pair_check(const pair *p, error *err) {
    unsigned contradicted = 0;
    for (size_t i = 0; i < PAIR_SIDES; i++) {
        contradicted += p->sides[i].standing == PAIR_CONTRADICTED ? 1 : 0;
        for (size_t j = 0; j < i; j++) {
            if (!check_same(p, i, j, err)) {
                return false;
            }
        }
        if (!check_side(p, i, err)) {
            return false;
        }
    }
    REQUIRE(contradicted == p->judged && p->judged <= PAIR_JUDGES_MAX);
    REQUIRE(buffer_length(&p->released) <= p->text_limit);
    if (!check_state(p, err)) {
        return false;
    }
    return p->members[0] == NOBODY || p->members[1] == NOBODY || check_members(p, err);
}
