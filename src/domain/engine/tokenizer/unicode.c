#include "unicode.h"

/* Hangul syllables are composed by arithmetic (The Unicode Standard, section 3.12). */
enum {
    HANGUL_FIRST = 0xac00,
    HANGUL_LAST = 0xd7a3,
    HANGUL_LEADING = 0x1100,
    HANGUL_VOWEL = 0x1161,
    HANGUL_TRAILING = 0x11a7,
    HANGUL_VOWELS = 21,
    HANGUL_TRAILINGS = 28
};

static bool is_within(const unicode_range *ranges, size_t count, uint32_t character) {
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle].last < character) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && ranges[low].first <= character;
}

bool unicode_is_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0d) || c == ' ' || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

bool unicode_is_punctuation(uint32_t c) {
    bool symbol =
        c == '$' || c == '+' || (c >= '<' && c <= '>') || c == '^' || c == '`' || c == '|' || c == '~';
    return symbol || is_within(unicode_punctuation, unicode_punctuation_count, c);
}

static bool is_mark(uint32_t c) {
    return is_within(unicode_marks, unicode_marks_count, c);
}

bool unicode_is_control(uint32_t c) {
    return is_within(unicode_controls, unicode_controls_count, c);
}

bool unicode_is_ideograph(uint32_t c) {
    /* U+2B920 is a slip in the reference implementation (for U+2B820) that models were trained with. */
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) ||
           (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

uint32_t unicode_to_lower(uint32_t c) {
    size_t low = 0;
    size_t high = unicode_lower_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (unicode_lower[middle].last < c) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const unicode_mapping *m = &unicode_lower[low];
    bool mapped = low < unicode_lower_count && c >= m->first && (c - m->first) % m->step == 0;
    return mapped ? m->target + (c - m->first) : c;
}

static size_t hangul_base(uint32_t c, uint32_t to[UNICODE_BASES_MAX]) {
    uint32_t index = c - HANGUL_FIRST;
    uint32_t trailing = index % HANGUL_TRAILINGS;
    to[0] = HANGUL_LEADING + index / (HANGUL_VOWELS * HANGUL_TRAILINGS);
    to[1] = HANGUL_VOWEL + index / HANGUL_TRAILINGS % HANGUL_VOWELS;
    to[2] = HANGUL_TRAILING + trailing;
    return trailing == 0 ? 2 : 3;
}

size_t unicode_base(uint32_t c, uint32_t to[UNICODE_BASES_MAX]) {
    if (c >= HANGUL_FIRST && c <= HANGUL_LAST) {
        return hangul_base(c, to);
    }
    size_t low = 0;
    size_t high = unicode_bases_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (unicode_bases[middle].from < c) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == unicode_bases_count || unicode_bases[low].from != c) {
        to[0] = c;
        return is_mark(c) ? 0 : 1;
    }
    size_t count = 0;
    while (count < UNICODE_BASES_MAX && unicode_bases[low].to[count] != 0) {
        to[count] = unicode_bases[low].to[count];
        count++;
    }
    return count;
}
