#include "conversation_internal.h"
#include "crypto/secret.h"
#include "letter.h"

/* A word of a query, folded, with the table of Knuth, Morris and Pratt, so that whoever chooses text and
 * query can't make the search slow. */
enum { WORD_MAX = CONVERSATION_QUERY_MAX * LETTER_MOST };
typedef struct word {
    uint32_t letters[WORD_MAX];
    uint16_t shorter[WORD_MAX]; /* the longest part that both begins and ends what is matched */
    size_t length;
} word;

/* The first character as its letters, returns how many: none for an accent. */
static size_t take_letters(slice *text, uint32_t letters[LETTER_MOST]) {
    uint32_t character = letter_next(text);
    return letter_kind_of(character) == LETTER_LEFT_OUT ? 0 : letter_fold(character, letters);
}

static bool is_blank(uint32_t letter) {
    return letter == ' ' || (letter >= '\t' && letter <= '\r') || letter == 0xA0 || letter == 0x3000;
}

/* The next word of the query; false at its end. All of the query has room in a word. */
static bool take_word(slice *query, word *w) {
    w->length = 0;
    while (query->length > 0) {
        size_t count = take_letters(query, &w->letters[w->length]);
        if (count == 0 || !is_blank(w->letters[w->length])) {
            w->length += count;
        } else if (w->length > 0) {
            break;
        }
    }
    return w->length > 0;
}

static size_t next_match(const word *w, size_t matched, uint32_t letter) {
    while (matched > 0 && w->letters[matched] != letter) {
        matched = w->shorter[matched - 1];
    }
    return matched + (w->letters[matched] == letter ? 1 : 0);
}

static void fill_table(word *w) {
    w->shorter[0] = 0;
    for (size_t i = 1; i < w->length; i++) {
        w->shorter[i] = (uint16_t)next_match(w, w->shorter[i - 1], w->letters[i]);
    }
}

static bool stands_in(slice text, const word *w) {
    uint32_t letters[LETTER_MOST];
    size_t matched = 0;
    while (text.length > 0 && matched < w->length) {
        size_t count = take_letters(&text, letters);
        for (size_t i = 0; i < count && matched < w->length; i++) {
            matched = next_match(w, matched, letters[i]);
        }
    }
    return matched == w->length;
}

bool conversation_query_is_valid(slice query) {
    if (query.length > CONVERSATION_QUERY_MAX) {
        return false;
    }
    word w;
    size_t words = 0;
    while (take_word(&query, &w)) {
        words++;
    }
    secret_wipe(&w, sizeof w);
    return words > 0 && words <= CONVERSATION_QUERY_WORDS_MAX;
}

bool conversation_matches(slice text, slice query) {
    if (!conversation_query_is_valid(query)) {
        return false;
    }
    word w;
    bool all = true;
    while (all && take_word(&query, &w)) {
        fill_table(&w);
        all = stands_in(text, &w);
    }
    secret_wipe(&w, sizeof w);
    return all;
}
