#ifndef TRAIN_VARY_H
#define TRAIN_VARY_H

#include "base/slice.h"
#include "random.h"

enum { VARY_TEXT_MAX = 512 };

/* Writes the question as somebody in a hurry might have typed it; returns the length. A question that is
 * longer than VARY_TEXT_MAX / 4 is copied, cut to VARY_TEXT_MAX. */
size_t vary_question(slice question, random_source *random, char text[VARY_TEXT_MAX]);
/* One of a few system messages. */
slice vary_system(random_source *random);

#endif
