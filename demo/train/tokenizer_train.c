#include "tokenizer.h"

#include "base/map.h"

/* Learning merges: the distinct words with their counts, and a table of how often each pair of tokens stands
 * side by side, kept up to date as words change. */
enum { WORD_MAX = 64 };

typedef struct word {
    uint16_t *tokens;
    size_t length;
    int64_t count;
} word;

typedef struct learner {
    word *words;
    size_t word_count;
    size_t word_capacity;
    uint32_t vocabulary;
    int64_t *pairs; /* [left * vocabulary + right] */
} learner;

static bool add_word(arena *a, learner *l, map *known, slice text) {
    word *w = map_get(known, text);
    if (w == NULL) {
        w = &l->words[l->word_count];
        *w = (word){.tokens = arena_allocate_array(a, text.length, sizeof *w->tokens), .length = text.length};
        if (w->tokens == NULL || !map_put(known, text, w)) {
            return false;
        }
        for (size_t i = 0; i < text.length; i++) {
            w->tokens[i] = text.data[i];
        }
        l->word_count++;
    }
    w->count++;
    return true;
}

static bool collect_words(arena *a, learner *l, const slice *texts, size_t count) {
    static const uint8_t seed[MAP_SEED_SIZE] = {0};
    map *known = map_new(seed);
    bool good = known != NULL;
    for (size_t i = 0; good && i < count; i++) {
        for (slice rest = texts[i]; good && rest.length > 0;) {
            size_t length = tokenizer_split(rest);
            /* A very long word teaches nothing worth a token. */
            good = length > WORD_MAX || add_word(a, l, known, slice_part(rest, 0, length));
            rest = slice_after(rest, length);
        }
    }
    map_free(known);
    return good;
}

static void count_pairs(learner *l, const word *w, int64_t sign) {
    for (size_t i = 0; i + 1 < w->length; i++) {
        l->pairs[(size_t)w->tokens[i] * l->vocabulary + w->tokens[i + 1]] += sign * w->count;
    }
}

/* The most frequent pair among the first `tokens` ids; false if none occurs twice. */
static bool choose_pair(const learner *l, uint32_t tokens, uint16_t pair[2]) {
    int64_t most = 1;
    for (uint32_t left = 0; left < tokens; left++) {
        const int64_t *row = l->pairs + (size_t)left * l->vocabulary;
        for (uint32_t right = 0; right < tokens; right++) {
            if (row[right] > most) {
                most = row[right];
                pair[0] = (uint16_t)left;
                pair[1] = (uint16_t)right;
            }
        }
    }
    return most > 1;
}

static bool holds_pair(const word *w, const uint16_t pair[2]) {
    for (size_t i = 0; i + 1 < w->length; i++) {
        if (w->tokens[i] == pair[0] && w->tokens[i + 1] == pair[1]) {
            return true;
        }
    }
    return false;
}

static void join_pair(learner *l, const uint16_t pair[2], uint16_t joined) {
    for (size_t n = 0; n < l->word_count; n++) {
        word *w = &l->words[n];
        if (!holds_pair(w, pair)) {
            continue;
        }
        count_pairs(l, w, -1);
        size_t kept = 0;
        for (size_t i = 0; i < w->length; i++) {
            bool joins = i + 1 < w->length && w->tokens[i] == pair[0] && w->tokens[i + 1] == pair[1];
            w->tokens[kept++] = joins ? joined : w->tokens[i];
            i += joins ? 1 : 0;
        }
        w->length = kept;
        count_pairs(l, w, 1);
    }
}

bool tokenizer_train(arena *a, const slice *texts, size_t count, uint32_t vocabulary, tokenizer *t,
                     error *err) {
    if (vocabulary < TOKENIZER_BYTES + TOKENIZER_CONTROLS || vocabulary > TOKENIZER_VOCABULARY_MAX) {
        return error_set(err, ERROR_INVALID, "a vocabulary has %d to %d tokens",
                         TOKENIZER_BYTES + TOKENIZER_CONTROLS, TOKENIZER_VOCABULARY_MAX);
    }
    uint32_t wanted = vocabulary - TOKENIZER_BYTES - TOKENIZER_CONTROLS;
    learner l = {.vocabulary = vocabulary};
    for (size_t i = 0; i < count; i++) {
        l.word_capacity += texts[i].length;
    }
    l.words = arena_allocate_array(a, l.word_capacity, sizeof *l.words);
    l.pairs = arena_allocate_array(a, (size_t)vocabulary * vocabulary, sizeof *l.pairs);
    uint16_t(*pairs)[2] = arena_allocate_array(a, wanted, sizeof *pairs);
    if (l.words == NULL || l.pairs == NULL || pairs == NULL || !collect_words(a, &l, texts, count)) {
        return error_memory(err);
    }
    for (size_t i = 0; i < l.word_count; i++) {
        count_pairs(&l, &l.words[i], 1);
    }
    uint32_t merges = 0;
    while (merges < wanted && choose_pair(&l, TOKENIZER_BYTES + merges, pairs[merges])) {
        join_pair(&l, pairs[merges], (uint16_t)(TOKENIZER_BYTES + merges));
        merges++;
    }
    return tokenizer_make(a, (const uint16_t(*)[2])pairs, merges, t, err);
}
