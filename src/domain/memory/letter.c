#include "letter.h"

/* Thai, Lao, Myanmar, Khmer, kana, bopomofo, ideographs, Hangul syllables. */
static const letter_range dense[] = {
    {0xe00, 0xeff},   {0x1000, 0x109f}, {0x1780, 0x17ff},   {0x3005, 0x3007},  {0x3040, 0x312f},
    {0x31a0, 0x31bf}, {0x31f0, 0x31ff}, {0x3400, 0x4dbf},   {0x4e00, 0x9fff},  {0xac00, 0xd7a3},
    {0xf900, 0xfaff}, {0xff66, 0xff9f}, {0x1aff0, 0x1b16f}, {0x20000, 0x3ffff}};

static bool is_within(const letter_range *ranges, size_t count, uint32_t character) {
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

uint32_t letter_next(slice *text) {
    uint32_t character = 0xfffd;
    size_t length = slice_utf8_first(*text, &character);
    *text = slice_after(*text, length == 0 ? 1 : length);
    return character;
}

/* Most text is of these: no table is asked about them. */
static bool is_ascii(uint32_t character) {
    return character < 0x80;
}

static bool is_ascii_capital(uint32_t character) {
    return character >= 'A' && character <= 'Z';
}

letter_kind letter_kind_of(uint32_t character) {
    if (is_ascii(character)) {
        bool is_letter = (character | 0x20) >= 'a' && (character | 0x20) <= 'z';
        return is_letter || (character >= '0' && character <= '9') ? LETTER_OF_WORD : LETTER_BORDER;
    }
    if (is_within(letter_words, letter_words_count, character) && character != 0xfffd) {
        bool is_dense = is_within(dense, sizeof dense / sizeof dense[0], character);
        return is_dense ? LETTER_DENSE : LETTER_OF_WORD;
    }
    return is_within(letter_left_out, letter_left_out_count, character) ? LETTER_LEFT_OUT : LETTER_BORDER;
}

static bool fold_to_several(uint32_t character, uint32_t to[LETTER_MOST]) {
    size_t low = 0;
    size_t high = letter_several_rows_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (letter_several_rows[middle].from < character) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    bool found = low < letter_several_rows_count && letter_several_rows[low].from == character;
    if (found) {
        memcpy(to, letter_several_rows[low].to, sizeof letter_several_rows[low].to);
    }
    return found;
}

static uint32_t fold_to_one(uint32_t character) {
    size_t low = 0;
    size_t high = letter_runs_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (letter_runs[middle].last < character) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const letter_run *run = &letter_runs[low];
    if (low == letter_runs_count || character < run->first) {
        return character;
    }
    uint32_t behind = character - run->first;
    if (run->step == 0) {
        return run->target;
    }
    return behind % run->step == 0 ? run->target + behind : character;
}

size_t letter_fold(uint32_t character, uint32_t to[LETTER_MOST]) {
    if (is_ascii(character)) {
        to[0] = is_ascii_capital(character) ? character + ('a' - 'A') : character;
        return 1;
    }
    if (fold_to_several(character, to)) {
        return to[2] == 0 ? 2 : 3;
    }
    to[0] = fold_to_one(character);
    return 1;
}
