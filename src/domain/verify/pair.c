#include "pair_internal.h"

#include "base/memory.h"

#include <assert.h>

const char *pair_state_name(pair_state state) {
    static const char *const names[] = {
#define X(name, text) [name] = (text),
        PAIR_STATES(X)
#undef X
    };
    return names[state];
}

const char *pair_aspect_name(pair_aspect aspect) {
    static const char *const names[] = {
#define X(name, text) [name] = (text),
        PAIR_ASPECTS(X)
#undef X
    };
    return names[aspect];
}

static void set_state(pair *p, pair_state state) {
    static const bool allowed[PAIR_STATE_COUNT][PAIR_STATE_COUNT] = {
        [PAIR_WAITING] = {[PAIR_RUNNING] = true},
        [PAIR_RUNNING] =
            {[PAIR_WAITING] = true, [PAIR_DIFFERENT] = true, [PAIR_AGREED] = true, [PAIR_FAILED] = true},
        [PAIR_DIFFERENT] = {[PAIR_JUDGING] = true},
        [PAIR_JUDGING] =
            {[PAIR_RUNNING] = true, [PAIR_WAITING] = true, [PAIR_DIFFERENT] = true, [PAIR_FAILED] = true},
    };
    assert(allowed[p->state][state]);
    p->state = state;
}

pair *pair_new(size_t tokens_limit, size_t text_limit, error *err) {
    pair *p = memory_allocate_zeroed(1, sizeof *p);
    if (p == NULL) {
        error_memory(err);
        return NULL;
    }
    p->tokens_limit = tokens_limit;
    p->text_limit = text_limit;
    p->released = buffer_make(text_limit);
    p->judge = NOBODY;
    p->members[0] = NOBODY;
    p->members[1] = NOBODY;
    return p;
}

static void side_clear(pair_side *s) {
    buffer_wipe(&s->text);
    buffer_wipe(&s->tokens);
    buffer_free(&s->marks);
    *s = (pair_side){0};
}

void pair_free(pair *p) {
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < PAIR_SIDES; i++) {
        side_clear(&p->sides[i]);
    }
    buffer_wipe(&p->released);
    memory_free(p);
}

size_t pair_wanted(const pair *p) {
    if (p->state == PAIR_DIFFERENT) {
        return 1;
    }
    return p->state == PAIR_WAITING ? (size_t)(p->members[0] == NOBODY) + (p->members[1] == NOBODY) : 0;
}

bool pair_join(pair *p, size_t *side, error *err) {
    size_t place = 0;
    while (place < PAIR_SIDES && p->sides[place].standing != PAIR_ABSENT) {
        place++;
    }
    if (pair_wanted(p) == 0 || place == PAIR_SIDES) {
        return error_set(err, ERROR_CONFLICT, "no further worker is wanted for this answer");
    }
    bool judge = p->state == PAIR_DIFFERENT;
    p->sides[place] = (pair_side){.standing = judge ? PAIR_JUDGE : PAIR_MEMBER,
                                  .text = buffer_make(p->text_limit),
                                  .tokens = buffer_make(p->tokens_limit * sizeof(uint32_t)),
                                  .marks = buffer_make((p->tokens_limit + 1) * sizeof(pair_mark))};
    *side = place;
    if (judge) {
        p->judge = place;
        set_state(p, PAIR_JUDGING);
        return true;
    }
    p->members[p->members[0] == NOBODY ? 0 : 1] = place;
    pair_settle(p);
    return true;
}

static pair_side *side_that_may_speak(pair *p, size_t side, error *err) {
    pair_side *s = side < PAIR_SIDES ? &p->sides[side] : NULL;
    if (s == NULL || s->standing == PAIR_ABSENT || s->standing == PAIR_LOST || s->ended || s->silent) {
        error_set(err, ERROR_CONFLICT, "nothing more is expected of this side");
        return NULL;
    }
    return s;
}

/* Where a piece of text ends, and which tokens came with it or before. */
static bool mark(pair_side *s, slice text, size_t tokens) {
    size_t count = buffer_length(&s->marks) / sizeof(pair_mark);
    pair_mark *last = (pair_mark *)(void *)(s->marks.bytes + s->marks.start);
    pair_mark next = {.tokens = tokens, .text = buffer_length(&s->text) + text.length};
    if (text.length == 0) {
        return true;
    }
    if (count > 0 && last[count - 1].tokens == tokens) {
        last[count - 1].text = next.text;
        return true;
    }
    return buffer_append(&s->marks, slice_of(&next, sizeof next));
}

bool pair_say(pair *p, size_t side, const uint32_t *tokens, size_t count, slice text, error *err) {
    pair_side *s = side_that_may_speak(p, side, err);
    if (s == NULL) {
        return false;
    }
    size_t said = side_token_count(s);
    if (count > p->tokens_limit - said || text.length > p->text_limit - buffer_length(&s->text)) {
        return error_set(err, ERROR_LIMIT, "the answer is longer than was asked for");
    }
    if ((count > 0 && buffer_reserve(&s->tokens, count * sizeof tokens[0]) == NULL) ||
        (text.length > 0 && buffer_reserve(&s->text, text.length) == NULL) || !mark(s, text, said + count)) {
        s->tokens.failed = false; /* nothing was written: it can be tried again */
        s->text.failed = false;
        s->marks.failed = false;
        return error_memory(err);
    }
    if (count > 0) {
        buffer_append(&s->tokens, slice_of(tokens, count * sizeof tokens[0]));
    }
    buffer_append(&s->text, text);
    pair_settle(p);
    return true;
}

bool pair_end(pair *p, size_t side, const pair_ending *ending, error *err) {
    pair_side *s = side_that_may_speak(p, side, err);
    if (s == NULL) {
        return false;
    }
    s->ended = true;
    s->ending = *ending;
    pair_settle(p);
    return true;
}

static void forget(pair *p, size_t side) {
    side_clear(&p->sides[side]);
    for (size_t i = 0; i < 2; i++) {
        if (p->members[i] == side) {
            p->members[i] = NOBODY;
        }
    }
    for (size_t i = 0; i < PAIR_SIDES; i++) {
        p->same[side][i] = (pair_mark){0};
        p->same[i][side] = (pair_mark){0};
    }
}

void pair_lose(pair *p, size_t side) {
    pair_side *s = side < PAIR_SIDES ? &p->sides[side] : NULL;
    if (s == NULL || s->standing == PAIR_ABSENT || s->ended || s->silent) {
        return;
    }
    if (s->standing == PAIR_CONTRADICTED) {
        s->silent = true;
    } else if (s->standing == PAIR_JUDGE) {
        p->judge = NOBODY;
        forget(p, side);
        if (p->state == PAIR_JUDGING) {
            set_state(p, PAIR_DIFFERENT);
        }
    } else if (p->state == PAIR_DIFFERENT || p->state == PAIR_JUDGING) {
        s->silent = true;
        s->standing = PAIR_LOST;
    } else {
        forget(p, side);
        if (p->state == PAIR_RUNNING) {
            set_state(p, PAIR_WAITING);
        }
    }
}

/* The judge takes the place of the member that it contradicts; the other stays, if it is still there. */
static void replace(pair *p, size_t wrong) {
    size_t judge = p->judge;
    size_t winner = p->members[0] == wrong ? p->members[1] : p->members[0];
    p->judge = NOBODY;
    p->judged++;
    p->sides[wrong].standing = PAIR_CONTRADICTED;
    p->sides[judge].standing = PAIR_MEMBER;
    p->members[0] = judge;
    p->members[1] = winner;
    if (p->sides[winner].standing == PAIR_LOST) {
        forget(p, winner);
        set_state(p, PAIR_WAITING);
    } else {
        set_state(p, PAIR_RUNNING);
    }
}

static void settle_judgement(pair *p) {
    pair_verdict first = pair_stands_with(p, p->judge, p->members[0]);
    pair_verdict second = pair_stands_with(p, p->judge, p->members[1]);
    if (first == PAIR_AGAINST && second == PAIR_AGAINST) {
        set_state(p, PAIR_FAILED);
    } else if (first == PAIR_AGAINST && second == PAIR_WITH) {
        replace(p, p->members[0]);
    } else if (second == PAIR_AGAINST && first == PAIR_WITH) {
        replace(p, p->members[1]);
    }
}

/* What was released can't be taken back: who says otherwise is right too late. */
static bool contradicts_released(pair *p, size_t side) {
    pair_side *s = &p->sides[side];
    size_t known = buffer_length(&p->released);
    size_t said = buffer_length(&s->text);
    size_t end = known < said ? known : said;
    if ((s->ended && said < known) ||
        !slice_equal(slice_part(buffer_slice(&s->text), s->held, end - s->held),
                     slice_part(buffer_slice(&p->released), s->held, end - s->held))) {
        return true;
    }
    s->held = end;
    return false;
}

static void settle_running(pair *p) {
    pair_side *a = &p->sides[p->members[0]];
    pair_side *b = &p->sides[p->members[1]];
    if (pair_compare(p, p->members[0], p->members[1], &p->difference)) {
        set_state(p, p->judged == PAIR_JUDGES_MAX ? PAIR_FAILED : PAIR_DIFFERENT);
    } else if (contradicts_released(p, p->members[0]) || contradicts_released(p, p->members[1])) {
        set_state(p, PAIR_FAILED);
    } else if (a->ended && b->ended) {
        set_state(p, PAIR_AGREED);
    }
}

void pair_settle(pair *p) {
    pair_state before;
    do {
        before = p->state;
        if (p->state == PAIR_WAITING && p->members[0] != NOBODY && p->members[1] != NOBODY) {
            set_state(p, PAIR_RUNNING);
        } else if (p->state == PAIR_RUNNING) {
            settle_running(p);
        } else if (p->state == PAIR_JUDGING) {
            settle_judgement(p);
        }
    } while (p->state != before);
}

/* Of a side, the text that came with tokens which both have said. */
static size_t covered(const pair_side *s, size_t tokens) {
    const pair_mark *marks = (const pair_mark *)(const void *)(s->marks.bytes + s->marks.start);
    size_t low = 0;
    size_t high = buffer_length(&s->marks) / sizeof(pair_mark);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (marks[middle].tokens <= tokens) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? 0 : marks[low - 1].text;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static bool is_inside_character(slice text, size_t position) {
    return position < text.length && (text.data[position] & 0xC0) == 0x80;
}

bool pair_release(pair *p, slice *text, error *err) {
    *text = (slice){0};
    if (p->members[0] == NOBODY || p->members[1] == NOBODY || p->state == PAIR_FAILED ||
        contradicts_released(p, p->members[0]) || contradicts_released(p, p->members[1])) {
        return true;
    }
    const pair_side *a = &p->sides[p->members[0]];
    const pair_side *b = &p->sides[p->members[1]];
    pair_mark same = p->same[p->members[0]][p->members[1]];
    size_t known = buffer_length(&p->released);
    size_t end = smaller(same.text, smaller(covered(a, same.tokens), covered(b, same.tokens)));
    while (end > known && is_inside_character(buffer_slice(&a->text), end)) {
        end--;
    }
    if (end <= known) {
        return true;
    }
    slice fresh = slice_part(buffer_slice(&a->text), known, end - known);
    if (buffer_reserve(&p->released, fresh.length) == NULL) {
        p->released.failed = false;
        return error_memory(err);
    }
    buffer_append(&p->released, fresh);
    *text = slice_after(buffer_slice(&p->released), known);
    return true;
}

size_t pair_agreed_tokens(const pair *p) {
    bool both = p->members[0] != NOBODY && p->members[1] != NOBODY;
    return both ? p->same[p->members[0]][p->members[1]].tokens : 0;
}

pair_state pair_state_of(const pair *p) {
    return p->state;
}

pair_difference pair_latest_difference(const pair *p) {
    return p->difference;
}

pair_standing pair_standing_of(const pair *p, size_t side) {
    return side < PAIR_SIDES ? p->sides[side].standing : PAIR_ABSENT;
}

slice pair_text(const pair *p, size_t side) {
    return buffer_slice(&p->sides[side].text);
}

const uint32_t *pair_tokens(const pair *p, size_t side, size_t *count) {
    *count = side_token_count(&p->sides[side]);
    return side_tokens(&p->sides[side]);
}

bool pair_has_ended(const pair *p, size_t side) {
    return side < PAIR_SIDES && p->sides[side].ended;
}
