#ifndef MEMORY_RECALLED_H
#define MEMORY_RECALLED_H

#include "base/buffer.h"
#include "base/slice.h"

/* The form in which facts come before a model, and that in which a model tells new ones. Pure; any thread.
 *
 * What a model is given of facts is a system message:
 *
 *   Facts that the user wants to be remembered. Use what helps to answer, and leave the rest unmentioned:
 *   - first fact
 *   - second fact
 *
 * without a line break at its end; a line break in a fact is a space. If the user's messages begin with a
 * system message, its content follows behind an empty line, for models take one system message. */
size_t recalled_characters(slice text); /* code points of UTF-8 */
/* Appends the message's content. `system`: what the user's own says; empty: there is none. */
bool recalled_write(const slice *facts, size_t count, slice system, buffer *out);

enum {
    LEARNED_LINES_MAX = 20,
    LEARNED_LINE_MAX = 512 /* bytes */
};

/* Appends what a model is asked, in order that it lists what lasts of a conversation: one fact a line. */
bool learned_ask(slice conversation, buffer *out);
/* The next fact of an answer, without the marks of a list, from `*rest` on. False: there is none left. Lines
 * that are too long, aren't UTF-8, or say that there is nothing, are left out. */
bool learned_next(slice *rest, slice *line);

#endif
