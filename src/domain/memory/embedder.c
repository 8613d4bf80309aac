#include "memory/embedder.h"

#include "crypto/secret.h"
#include "letter.h"

#include <math.h>

const char embedder_name[] = "cellule-ngrams-1";

/* Each word adds to the vector itself and its n-grams, which together count as much as the word. Short words
 * count less: most of them are grammar. The nth time a word comes it adds sqrt(n) - sqrt(n - 1). README.md
 * has it all. */
enum {
    WORD_MAX = 64, /* characters; a longer one is taken for several */
    GRAM_LEAST = 3,
    GRAM_MOST = 5,
    FULL_LENGTH = 6, /* words of so many characters count in full */
    SEEN_PLACES = 4096,
    SEEN_MOST = SEEN_PLACES / 4 * 3,
    TIMES_MOST = 255,
    BORDER_BEGIN = '<',
    BORDER_END = '>'
};

/* What a feature's hash begins with, so that those of different kinds differ. */
typedef enum feature_kind { FEATURE_WORD = 1, FEATURE_GRAM = 2, FEATURE_DENSE = 3 } feature_kind;

typedef struct embedding {
    float *vector;
    uint32_t word[WORD_MAX + 2]; /* between its borders */
    size_t length;               /* characters of it so far, without borders */
    uint32_t previous;           /* the dense character just before, or 0 */
    uint32_t seen[SEEN_PLACES];  /* of each word 24 bits of its hash, and how often it came; 0: free */
    size_t seen_count;
} embedding;

/* FNV-1a of 64 bits (Fowler, Noll and Vo; draft-eastlake-fnv) over a character's four bytes, the lowest
 * first. */
static uint64_t hash_character(uint64_t hash, uint32_t character) {
    for (unsigned shift = 0; shift < 32; shift += 8) {
        hash = (hash ^ (character >> shift & 0xffU)) * 0x100000001b3U;
    }
    return hash;
}

static uint64_t hash_begin(feature_kind kind) {
    return hash_character(0xcbf29ce484222325U, kind);
}

/* The finaliser of MurmurHash3 (Appleby): FNV alone leaves the upper bits alike. */
static uint64_t hash_end(uint64_t hash) {
    hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdU;
    hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53U;
    return hash ^ hash >> 33;
}

static void add_feature(embedding *e, uint64_t hash, float weight) {
    uint64_t mixed = hash_end(hash);
    size_t at = (size_t)((mixed >> 32) * EMBEDDER_DIMENSIONS >> 32);
    e->vector[at] += (mixed & 1) == 0 ? weight : -weight;
}

/* What one more of this word weighs. Words beyond SEEN_MOST different ones count in full each time. */
static float weight_of_next(embedding *e, uint64_t hash) {
    uint64_t mixed = hash_end(hash);
    uint32_t mark = (uint32_t)(mixed >> 40) << 8;
    size_t at = (size_t)mixed % SEEN_PLACES;
    while (e->seen[at] != 0 && (e->seen[at] & 0xffffff00U) != mark) {
        at = (at + 1) % SEEN_PLACES;
    }
    uint32_t times = e->seen[at] & 0xffU;
    if (times == TIMES_MOST || (times == 0 && e->seen_count == SEEN_MOST)) {
        return times == 0 ? 1 : 0;
    }
    e->seen_count += times == 0 ? 1 : 0;
    e->seen[at] = mark | (times + 1);
    return sqrtf((float)times + 1) - sqrtf((float)times);
}

static size_t gram_count(size_t length) {
    size_t count = 0;
    for (size_t n = GRAM_LEAST; n <= GRAM_MOST && n <= length; n++) {
        count += length - n + 1;
    }
    return count;
}

static void end_word(embedding *e) {
    size_t length = e->length;
    if (length == 0) {
        return;
    }
    e->length = 0;
    e->word[0] = BORDER_BEGIN;
    e->word[length + 1] = BORDER_END;
    uint64_t whole = hash_begin(FEATURE_WORD);
    for (size_t i = 1; i <= length; i++) {
        whole = hash_character(whole, e->word[i]);
    }
    float share = (float)(length < FULL_LENGTH ? length : FULL_LENGTH) / FULL_LENGTH;
    float weight = weight_of_next(e, whole) * share;
    add_feature(e, whole, weight / 2);
    float gram_weight = weight / sqrtf((float)gram_count(length + 2));
    for (size_t from = 0; from < length + 2; from++) {
        uint64_t hash = hash_begin(FEATURE_GRAM);
        for (size_t n = 1; n <= GRAM_MOST && from + n <= length + 2; n++) {
            hash = hash_character(hash, e->word[from + n - 1]);
            if (n >= GRAM_LEAST) {
                add_feature(e, hash, gram_weight);
            }
        }
    }
}

/* The character, and the pair that it makes with the one before. */
static void add_dense(embedding *e, uint32_t character) {
    uint64_t hash = hash_character(hash_begin(FEATURE_DENSE), character);
    add_feature(e, hash, weight_of_next(e, hash) / 2);
    if (e->previous != 0) {
        hash = hash_character(hash_character(hash_begin(FEATURE_DENSE), e->previous), character);
        add_feature(e, hash, weight_of_next(e, hash));
    }
    e->previous = character;
}

static void add_character(embedding *e, uint32_t character) {
    letter_kind kind = letter_kind_of(character);
    if (kind == LETTER_LEFT_OUT) {
        return;
    }
    if (kind != LETTER_OF_WORD) {
        end_word(e);
    }
    if (kind != LETTER_DENSE) {
        e->previous = 0;
    }
    if (kind == LETTER_BORDER) {
        return;
    }
    uint32_t to[LETTER_MOST];
    size_t count = letter_fold(character, to);
    for (size_t i = 0; i < count; i++) {
        if (kind == LETTER_DENSE) {
            add_dense(e, to[i]);
            continue;
        }
        if (e->length == WORD_MAX) {
            end_word(e);
        }
        e->word[++e->length] = to[i];
    }
}

/* To length 1; what is all zeros stays so. */
static void normalise(float vector[EMBEDDER_DIMENSIONS]) {
    double sum = 0;
    for (size_t i = 0; i < EMBEDDER_DIMENSIONS; i++) {
        double number = vector[i];
        sum += number * number;
    }
    double length = sqrt(sum);
    for (size_t i = 0; i < EMBEDDER_DIMENSIONS && length > 0; i++) {
        vector[i] = (float)(vector[i] / length);
    }
}

void embedder_embed(slice text, float vector[EMBEDDER_DIMENSIONS]) {
    embedding e = {.vector = vector};
    memset(vector, 0, EMBEDDER_DIMENSIONS * sizeof *vector);
    slice rest = slice_part(text, 0, EMBEDDER_TEXT_MAX);
    while (rest.length > 0) {
        add_character(&e, letter_next(&rest));
    }
    end_word(&e);
    normalise(vector);
    secret_wipe(&e, sizeof e);
}
