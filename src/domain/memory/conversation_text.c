#include "conversation_internal.h"
#include "crypto/secret.h"

/* A word of a query, folded, with the table of Knuth, Morris and Pratt, so that whoever chooses text and
 * query can't make the search slow. */
typedef struct word {
    uint32_t letters[CONVERSATION_QUERY_MAX];
    uint16_t shorter[CONVERSATION_QUERY_MAX]; /* the longest part that both begins and ends what is matched */
    size_t length;
} word;

/* The first letter, folded. A byte that isn't UTF-8 is a letter of its own. */
static uint32_t take_letter(slice *text) {
    enum { BEYOND_UNICODE = 0x110000 };
    const uint8_t *bytes = text->data;
    size_t length = slice_utf8_length(*text);
    uint32_t letter = bytes[0];
    if (length == 0) {
        letter += BEYOND_UNICODE;
    } else if (length > 1) {
        letter = bytes[0] & (0xFFU >> (length + 1));
        for (size_t i = 1; i < length; i++) {
            letter = letter << 6 | (bytes[i] & 0x3FU);
        }
    }
    *text = slice_after(*text, length == 0 ? 1 : length);
    return conversation_fold(letter);
}

static bool is_blank(uint32_t letter) {
    return letter == ' ' || (letter >= '\t' && letter <= '\r') || letter == 0xA0 || letter == 0x3000;
}

/* The next word of the query; false at its end. The query has no more letters than a word has room. */
static bool take_word(slice *query, word *w) {
    w->length = 0;
    while (query->length > 0) {
        uint32_t letter = take_letter(query);
        if (!is_blank(letter)) {
            w->letters[w->length++] = letter;
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
    size_t matched = 0;
    while (text.length > 0 && matched < w->length) {
        matched = next_match(w, matched, take_letter(&text));
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
