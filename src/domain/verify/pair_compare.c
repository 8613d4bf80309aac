#include "pair_internal.h"

/* Equal beginnings, each found once however often it is asked for. */

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static pair_mark advance(pair *p, size_t first, size_t second) {
    const pair_side *a = &p->sides[first];
    const pair_side *b = &p->sides[second];
    pair_mark same = p->same[first][second];
    size_t tokens = smaller(side_token_count(a), side_token_count(b));
    while (same.tokens < tokens && side_tokens(a)[same.tokens] == side_tokens(b)[same.tokens]) {
        same.tokens++;
    }
    slice x = buffer_slice(&a->text);
    slice y = buffer_slice(&b->text);
    size_t length = smaller(x.length, y.length);
    while (same.text < length && x.data[same.text] == y.data[same.text]) {
        same.text++;
    }
    p->same[first][second] = same;
    p->same[second][first] = same;
    return same;
}

static bool ends_differ(const pair_ending *a, const pair_ending *b) {
    return a->finish != b->finish || a->prompt_tokens != b->prompt_tokens;
}

static bool commitments_differ(const pair_ending *a, const pair_ending *b) {
    return memcmp(a->commitment, b->commitment, sizeof a->commitment) != 0;
}

bool pair_compare(pair *p, size_t first, size_t second, pair_difference *difference) {
    const pair_side *a = &p->sides[first];
    const pair_side *b = &p->sides[second];
    pair_mark same = advance(p, first, second);
    bool a_goes_on = same.tokens < side_token_count(a);
    bool b_goes_on = same.tokens < side_token_count(b);
    bool a_has_more = same.text < buffer_length(&a->text);
    bool b_has_more = same.text < buffer_length(&b->text);
    if (a_goes_on && b_goes_on) {
        *difference = (pair_difference){PAIR_TOKEN, same.tokens};
    } else if ((a_goes_on && b->ended) || (b_goes_on && a->ended)) {
        *difference = (pair_difference){PAIR_LENGTH, same.tokens};
    } else if ((a_has_more && b_has_more) || (a_has_more && b->ended) || (b_has_more && a->ended)) {
        *difference = (pair_difference){PAIR_TEXT, same.text};
    } else if (a->ended && b->ended && ends_differ(&a->ending, &b->ending)) {
        *difference = (pair_difference){PAIR_ENDING, same.tokens};
    } else if (a->ended && b->ended && commitments_differ(&a->ending, &b->ending)) {
        *difference = (pair_difference){PAIR_COMMITMENT, same.tokens};
    } else {
        return false;
    }
    return true;
}

/* Two sequences of which the first `wanted` elements count: `same` of them are equal. */
static pair_verdict stands(size_t same, size_t judge, bool judge_ended, size_t member, size_t wanted) {
    size_t judge_has = smaller(judge, wanted);
    size_t member_has = smaller(member, wanted);
    if (same < smaller(judge_has, member_has)) {
        return PAIR_AGAINST;
    }
    if (judge_has == wanted || judge_ended) {
        return judge_has == member_has ? PAIR_WITH : PAIR_AGAINST;
    }
    return PAIR_OPEN;
}

pair_verdict pair_stands_with(pair *p, size_t judge, size_t member) {
    const pair_side *j = &p->sides[judge];
    const pair_side *m = &p->sides[member];
    pair_mark same = advance(p, judge, member);
    size_t wanted = p->difference.position + 1;
    pair_difference any;
    switch (p->difference.aspect) {
    case PAIR_TOKEN:
    case PAIR_LENGTH:
        return stands(same.tokens, side_token_count(j), j->ended, side_token_count(m), wanted);
    case PAIR_TEXT:
        return stands(same.text, buffer_length(&j->text), j->ended, buffer_length(&m->text), wanted);
    case PAIR_ENDING:
    case PAIR_COMMITMENT:
        break;
    }
    /* Both of the two have ended. */
    if (pair_compare(p, judge, member, &any)) {
        bool whole = any.aspect != PAIR_COMMITMENT || p->difference.aspect == PAIR_COMMITMENT;
        return whole ? PAIR_AGAINST : PAIR_WITH;
    }
    return j->ended ? PAIR_WITH : PAIR_OPEN;
}
