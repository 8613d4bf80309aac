#ifndef MCP_INPUT_H
#define MCP_INPUT_H

#include "base/buffer.h"
#include "base/error.h"

/* Messages, one a line, from a descriptor. What has come already can be looked through before its turn. */
enum { INPUT_LINE_MAX = 1024 * 1024, INPUT_AHEAD_MAX = 2 * INPUT_LINE_MAX };

typedef struct input {
    int descriptor;
    buffer ahead;
    size_t taken;  /* bytes at the front that the caller has, until its next call */
    bool dropping; /* the rest of a line that was too long */
    bool ended;
} input;

typedef enum input_kind { INPUT_LINE, INPUT_TOO_LONG, INPUT_END } input_kind;

input input_make(int descriptor);
void input_free(input *in);
/* Waits for the next line, which lives until the next call. A last one without its end is one, too. */
input_kind input_next(input *in, slice *line);
/* for (size_t i = 0; input_peek(in, &i, &line);) — the lines behind it that have come already. */
bool input_peek(input *in, size_t *position, slice *line);

#endif
