#include "codec/json.h"
#include "crypto/start.h"
#include "sample/mask.h"

#include <stdlib.h>

/* A grammar, or a schema when the first byte is odd, up to a zero byte; then each byte chooses a token. What
 * the mask says of a token must be what reading it says. The vocabulary is the 256 bytes and some pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SINGLES = 256, STEPS_MAX = 8 };
static const char *const pieces[] = {"{\"", "\": ",     "\", \"",   "\"}",   "true", "12",
                                     "-1",  "0.",       "e+",       "\\u00", "\n  ", "aa",
                                     "ab",  "\xc3\xa9", "\xf0\x9f", "[[",    "]]",   "(a"};
enum { VOCABULARY = SINGLES + sizeof pieces / sizeof pieces[0] };

static slice text_of(const void *context, uint32_t token) {
    static uint8_t singles[SINGLES];
    (void)context;
    if (token >= SINGLES) {
        return slice_of_text(pieces[token - SINGLES]);
    }
    singles[token] = (uint8_t)token;
    return slice_of(&singles[token], 1);
}

static void answer(constraint *c, slice choices) {
    error err;
    for (size_t i = 0; i < choices.length && i < STEPS_MAX; i++) {
        const uint64_t *allowed = constraint_allowed(c, &err);
        if (allowed == NULL) {
            return;
        }
        bool any = false;
        for (size_t j = 0; j < (VOCABULARY + 63) / 64; j++) {
            any = any || allowed[j] != 0;
        }
        if (!any && !constraint_can_end(c)) {
            abort(); /* what is left can't be completed, though every byte is a token */
        }
        uint32_t token = choices.data[i] % VOCABULARY;
        token = i % 2 == 1 ? SINGLES + token % (VOCABULARY - SINGLES) : token;
        for (uint32_t tries = 0; any && tries < VOCABULARY && (allowed[token / 64] >> token % 64 & 1) == 0;
             tries++) {
            bool accepted = tries < 2 && constraint_accept(c, text_of(NULL, token));
            if (constraint_failure(c) != NULL) {
                return;
            }
            if (accepted) {
                abort();
            }
            token = (token + 1) % VOCABULARY;
        }
        if (any && !constraint_accept(c, text_of(NULL, token)) && constraint_failure(c) == NULL) {
            abort();
        }
        if (!any || constraint_failure(c) != NULL) {
            return;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static word_tree words;
    error err;
    if (words.size == 0) {
        json_start(1);
        if (!crypto_start(&err) || !word_tree_start(&words, VOCABULARY, text_of, NULL, &err)) {
            abort();
        }
    }
    if (size == 0) {
        return 0;
    }
    slice rest = slice_of(data + 1, size - 1);
    size_t end = slice_find(rest, 0);
    slice text = slice_part(rest, 0, end);
    slice choices = end == SIZE_MAX ? (slice){NULL, 0} : slice_after(rest, end + 1);
    grammar *g = data[0] % 2 == 1 ? grammar_from_schema(text, &err) : grammar_from_gbnf(text, &err);
    constraint *c = g == NULL ? NULL : constraint_new(&words, g, &err);
    if (c != NULL) {
        answer(c, choices);
    }
    constraint_free(c);
    return 0;
}
