#ifndef OPTIONS_TERMINAL_H
#define OPTIONS_TERMINAL_H

#include "base/slice.h"

#include <stdio.h>

/* Writes text that somebody else has made. On a terminal, control characters (but newline and tab) and what
 * isn't UTF-8 come out as U+FFFD, so that an answer can't move the cursor, forge what stands around it or set
 * the clipboard; into a file or a pipe every byte goes as it is. Where a sandbox hides what it is, it is
 * treated as a terminal. */
void terminal_write(FILE *out, slice text);

#endif
