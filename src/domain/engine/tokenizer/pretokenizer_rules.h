#ifndef ENGINE_PRETOKENIZER_RULES_H
#define ENGINE_PRETOKENIZER_RULES_H

#include "base/slice.h"

enum { PRETOKENIZER_STAGES_MAX = 6 };

/* Several stages cut one after the other: the second sees the pieces of the first, one at a time. */
typedef struct pretokenizer_rule {
    const char *name;
    const char *stages[PRETOKENIZER_STAGES_MAX]; /* PCRE2 expressions */
    bool ignores_merges;
    bool wants_first;
} pretokenizer_rule;

/* NULL for a name that isn't known. */
const pretokenizer_rule *pretokenizer_find_rule(slice name);

#endif
