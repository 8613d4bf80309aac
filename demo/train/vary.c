#include "vary.h"

#include "rephrase.h"

#include <stdbool.h>

enum { WORD_MAX = 40 };

static const char *const courtesies[] = {"please tell me, ",
                                         "hi, ",
                                         "hello, ",
                                         "quick question: ",
                                         "hey, ",
                                         "ok, ",
                                         "and ",
                                         "so ",
                                         "can you tell me: ",
                                         "I would like to know: ",
                                         "help: "};
static const char *const endings[] = {" please", " thanks",  " in Cellule", " with Cellule",
                                      " here",   " exactly", " in cellule"};
static const char *const fillers[] = {
    "the", "a",   "an", "is",  "do",   "does", "i",     "my", "to",  "of",   "it", "in", "on",   "are",
    "can", "you", "me", "for", "this", "that", "there", "be", "and", "with", "at", "by", "your", "our"};
static const char *const systems[] = {"You are a helpful assistant.", "You are Cellule's demo assistant.",
                                      "Answer briefly.",
                                      "You are a helpful, concise assistant for the staff of this company."};

static slice choose(const char *const *list, size_t count, random_source *random) {
    return slice_of_text(list[random_below(random, (uint32_t)count)]);
}

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t put(char *text, size_t length, slice part) {
    size_t room = VARY_TEXT_MAX - length;
    size_t taken = part.length < room ? part.length : room;
    if (taken > 0) {
        memcpy(text + length, part.data, taken);
    }
    return length + taken;
}

static bool is_filler(slice word) {
    for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
        if (slice_equal_ignore_case(word, slice_of_text(fillers[i]))) {
            return true;
        }
    }
    return false;
}

/* One letter lost, doubled or swapped with the next. Only plain words: a command stays what it is. */
static size_t mistype(slice word, random_source *random, char text[WORD_MAX + 1]) {
    size_t at = 1 + random_below(random, (uint32_t)word.length - 2);
    uint32_t kind = random_below(random, 3);
    size_t length = 0;
    for (size_t i = 0; i < word.length; i++) {
        char c = (char)word.data[i];
        if (i != at) {
            text[length++] = c;
        } else if (kind == 1) {
            text[length++] = c;
            text[length++] = c;
        } else if (kind == 2 && i + 1 < word.length) {
            text[length++] = (char)word.data[i + 1];
            text[length++] = c;
            i++;
        }
    }
    return length;
}

/* What shall be done to the words of a question. */
typedef struct habits {
    bool loses;     /* some words */
    bool errs;      /* in one word */
    bool rephrases; /* some words */
    bool hurries;   /* leaves every filler out */
} habits;

/* The word, or another for it; marks at its end stay. */
static size_t put_word(char *text, size_t length, slice word, habits *h, random_source *random) {
    size_t marks = 0;
    while (marks < word.length &&
           (word.data[word.length - 1 - marks] == '?' || word.data[word.length - 1 - marks] == ',')) {
        marks++;
    }
    slice bare = slice_part(word, 0, word.length - marks);
    if (h->errs && bare.length >= 4 && bare.length <= WORD_MAX - 1 && random_percent(random, 20)) {
        char wrong[WORD_MAX + 1];
        h->errs = false;
        length = put(text, length, slice_of(wrong, mistype(bare, random, wrong)));
    } else if (h->rephrases && random_percent(random, 40)) {
        length = put(text, length, rephrase_word(bare, random));
    } else {
        length = put(text, length, bare);
    }
    return put(text, length, slice_after(word, bare.length));
}

/* Copies the words as the habits say. */
static size_t put_words(char *text, size_t length, slice rest, habits h, random_source *random) {
    bool first = true;
    while (rest.length > 0) {
        size_t end = slice_find(rest, ' ');
        slice word = slice_part(rest, 0, end);
        rest = end == SIZE_MAX ? slice_of(NULL, 0) : slice_after(rest, end + 1);
        if ((h.hurries && is_filler(word)) ||
            (h.loses && random_percent(random, is_filler(word) ? 40 : 10))) {
            continue;
        }
        if (!first) {
            length = put(text, length, SLICE_LITERAL(" "));
        }
        first = false;
        length = put_word(text, length, word, &h, random);
    }
    return length;
}

/* What stood behind some word comes first. */
static void turn_words(char *text, size_t length, random_source *random) {
    char turned[VARY_TEXT_MAX];
    size_t at = random_below(random, (uint32_t)length);
    while (at < length && text[at] != ' ') {
        at++;
    }
    if (at + 1 >= length) {
        return;
    }
    size_t written = put(turned, 0, slice_of(text + at + 1, length - at - 1));
    written = put(turned, written, SLICE_LITERAL(" "));
    written = put(turned, written, slice_of(text, at));
    memcpy(text, turned, written);
}

static void make_lower(char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        text[i] = lower(text[i]);
    }
}

/* Perhaps without its mark, perhaps with another end. */
static size_t put_ending(char *text, size_t length, random_source *random) {
    char mark = text[length - 1];
    bool ends = random_percent(random, 10) != 0;
    if ((mark == '?' || mark == '.' || mark == '!') && (ends || random_percent(random, 40))) {
        length--;
    }
    return ends ? put(text, length, choose(endings, sizeof endings / sizeof endings[0], random)) : length;
}

size_t vary_question(slice question, random_source *random, char text[VARY_TEXT_MAX]) {
    size_t length = 0;
    if (question.length > VARY_TEXT_MAX / 4) {
        return put(text, 0, question);
    }
    if (random_percent(random, 15)) {
        length = put(text, length, choose(courtesies, sizeof courtesies / sizeof courtesies[0], random));
    }
    size_t body = length;
    slice rest = question;
    if (random_percent(random, 40)) {
        size_t replaced = 0;
        length = put(text, length, rephrase_opening(question, random, &replaced));
        rest = slice_after(question, replaced);
    }
    habits h = {.loses = random_percent(random, 45) != 0,
                .errs = random_percent(random, 12) != 0,
                .rephrases = random_percent(random, 60) != 0,
                .hurries = random_percent(random, 20) != 0};
    length = put_words(text, length, rest, h, random);
    if (length == body) {
        length = put(text, length, question);
    }
    if (random_percent(random, 8)) {
        turn_words(text + body, length - body, random);
    }
    length = put_ending(text, length, random);
    if (random_percent(random, 30)) {
        make_lower(text, length);
    } else if (body > 0) {
        make_lower(text + body, 1);
    }
    return length;
}

slice vary_system(random_source *random) {
    return choose(systems, sizeof systems / sizeof systems[0], random);
}
