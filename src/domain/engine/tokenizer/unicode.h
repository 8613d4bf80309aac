#ifndef ENGINE_UNICODE_H
#define ENGINE_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What WordPiece's normalisation asks of a code point; the tables are generated (tools/unicode_tables). */
typedef struct unicode_range {
    uint32_t first;
    uint32_t last;
} unicode_range;

/* `first`, `first + step` and so on up to `last` become `target`, `target + step` and so on. */
typedef struct unicode_mapping {
    uint32_t first;
    uint32_t last;
    uint32_t step;
    uint32_t target;
} unicode_mapping;

enum { UNICODE_BASES_MAX = 3 };
typedef struct unicode_decomposition {
    uint32_t from;
    uint32_t to[UNICODE_BASES_MAX]; /* filled up with zeros */
} unicode_decomposition;

extern const unicode_range unicode_punctuation[];
extern const size_t unicode_punctuation_count;
extern const unicode_range unicode_marks[];
extern const size_t unicode_marks_count;
extern const unicode_range unicode_controls[];
extern const size_t unicode_controls_count;
extern const unicode_mapping unicode_lower[];
extern const size_t unicode_lower_count;
extern const unicode_decomposition unicode_bases[];
extern const size_t unicode_bases_count;

bool unicode_is_space(uint32_t character);       /* White_Space */
bool unicode_is_punctuation(uint32_t character); /* category P, and the symbols of ASCII */
bool unicode_is_control(uint32_t character);     /* categories Cc, Cf and Co */
bool unicode_is_ideograph(uint32_t character);   /* the CJK blocks that BERT takes character by character */
/* The simple lower case. */
uint32_t unicode_to_lower(uint32_t character);
/* Canonical decomposition without the nonspacing marks: writes 1 to 3 characters (none for a mark), returns
 * how many. */
size_t unicode_base(uint32_t character, uint32_t to[UNICODE_BASES_MAX]);

#endif
