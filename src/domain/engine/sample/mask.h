#ifndef ENGINE_SAMPLE_MASK_H
#define ENGINE_SAMPLE_MASK_H

#include "sample/recogniser.h"
#include "sample/word_tree.h"

/* An answer that follows a grammar: which tokens may come next. A function of the accepted tokens alone. */
typedef struct constraint constraint;

/* The words must outlive it; takes the grammar, also on failure. */
MUST_CHECK constraint *constraint_new(const word_tree *v, grammar *g, error *err);
void constraint_free(constraint *c); /* NULL is allowed */

/* Goes on with what a token writes. False: the grammar doesn't allow it, and nothing has changed; or failure.
 */
bool constraint_accept(constraint *c, slice text);
bool constraint_can_end(const constraint *c);
/* One bit per token, lowest first; valid until the next call. */
MUST_CHECK const uint64_t *constraint_allowed(constraint *c, error *err);
/* NULL: none. Sticky. */
const error *constraint_failure(const constraint *c);

#endif
