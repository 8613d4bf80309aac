#ifndef MEMORY_LETTER_H
#define MEMORY_LETTER_H

#include "base/slice.h"

/* What counts as a letter of a word, and as which: without case, accents and other forms of the same, so that
 * "ÉLÈVE", "élève" and "eleve" are one word. The tables are generated (tools/letter_tables). */
typedef struct letter_range {
    uint32_t first;
    uint32_t last;
} letter_range;

/* Every `step`th character from `first` to `last` becomes `target`, `target + step` and so on; of step 0 each
 * one becomes `target`. */
typedef struct letter_run {
    uint32_t first;
    uint32_t last;
    uint32_t step;
    uint32_t target;
} letter_run;

enum { LETTER_MOST = 3 };
typedef struct letter_several {
    uint32_t from;
    uint32_t to[LETTER_MOST]; /* filled up with zeros */
} letter_several;

extern const letter_range letter_words[]; /* letters, digits, and the marks that are part of them */
extern const size_t letter_words_count;
extern const letter_range letter_left_out[]; /* accents and points: within a word, but nothing of it */
extern const size_t letter_left_out_count;
extern const letter_run letter_runs[];
extern const size_t letter_runs_count;
extern const letter_several letter_several_rows[];
extern const size_t letter_several_rows_count;

typedef enum letter_kind {
    LETTER_BORDER,  /* between words */
    LETTER_OF_WORD, /* words of these are written with spaces between */
    LETTER_DENSE,   /* of a script without spaces, or with short words: each character says much */
    LETTER_LEFT_OUT
} letter_kind;

/* Takes the character in front off `text`, which isn't empty. A byte that isn't UTF-8 is U+FFFD. */
uint32_t letter_next(slice *text);
letter_kind letter_kind_of(uint32_t character);
/* Writes 1 to 3 characters for a letter of either kind, returns how many. */
size_t letter_fold(uint32_t character, uint32_t to[LETTER_MOST]);

#endif
