#ifndef WORKER_RUNTIME_PIECES_H
#define WORKER_RUNTIME_PIECES_H

#include "base/slice.h"

/* A runtime tells text but no token ids. What it tells is cut into pieces that stand for tokens: never more
 * than were asked for, and none larger than a pool allows. Pure. */
enum { RUNTIME_PIECE_MAX = 1024 /* bytes */ };

typedef struct runtime_pieces {
    uint32_t count; /* given out */
    uint32_t most;
    size_t held; /* text for the last piece that is allowed: all that is left goes into it */
    uint8_t last[RUNTIME_PIECE_MAX];
} runtime_pieces;

typedef enum runtime_piece { RUNTIME_PIECE_GIVEN, RUNTIME_PIECE_NONE, RUNTIME_PIECE_TOO_MANY } runtime_piece;

/* Takes the next piece off the front of `text`, whole characters. NONE: `text` is used up, maybe held back
 * for the last piece. TOO_MANY: it is more than so many tokens can hold. */
runtime_piece runtime_pieces_take(runtime_pieces *p, slice *text, slice *piece);
/* One that has no text. False: there is no room for it. */
bool runtime_pieces_take_empty(runtime_pieces *p);
/* The end: what was held back (may be empty; else it is one piece more), and how many pieces without text
 * are missing so that they are as many as the `told` tokens of the runtime, if it may have that many. */
void runtime_pieces_end(runtime_pieces *p, uint32_t told, slice *piece, uint32_t *missing);

#endif
