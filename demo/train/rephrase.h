#ifndef TRAIN_REPHRASE_H
#define TRAIN_REPHRASE_H

#include "base/slice.h"
#include "random.h"

/* Other words for the same question, so that the model learns more phrasings than were written. Both leave
 * what they don't know unchanged; none of it is grammar. */

/* "How do I …" may become "How can I …". Returns the new opening's text and in *kept how much of the question
 * it stands for, or the empty slice. */
slice rephrase_opening(slice question, random_source *random, size_t *kept);
/* "machine" may become "computer". `word` has no spaces; marks behind it are not part of it. */
slice rephrase_word(slice word, random_source *random);

#endif
