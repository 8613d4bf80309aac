#ifndef MEMORY_EMBEDDER_H
#define MEMORY_EMBEDDER_H

#include "base/error.h"
#include "base/slice.h"

/* The embedder that needs no model: words and character n-grams of 3 to 5, hashed into EMBEDDER_DIMENSIONS
 * numbers with signs (feature hashing: Weinberger et al., ICML 2009; subwords: Bojanowski et al., TACL 2017).
 * Texts that share words or parts of words come to lie near each other, in any language; it knows no
 * synonyms. The same text gives the same bits on every machine. Pure; any thread. */
enum { EMBEDDER_DIMENSIONS = 384, EMBEDDER_TEXT_MAX = 8192 };

/* What vectors that this makes are marked with: changes when they would differ. */
extern const char embedder_name[];

/* Of length 1, or all zeros when nothing in the text is a word. Only the first EMBEDDER_TEXT_MAX bytes count.
 */
void embedder_embed(slice text, float vector[EMBEDDER_DIMENSIONS]);

#endif
