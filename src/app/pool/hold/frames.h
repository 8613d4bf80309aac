#ifndef POOL_FRAMES_H
#define POOL_FRAMES_H

#include "base/buffer.h"

/* A stream of events cut into frames of one size, so that neither how long a token is nor when it came can be
 * read from the wire (Weiss et al., "What Was Your Prompt?", 2024; McDonald and Bar Or, "Whisper Leak",
 * 2025). Every frame is as long as the others, whatever is in it: what is missing is a comment, which clients
 * pass over. Pure; release.h sends one on each tick of a clock.
 *
 * What can still be read from the wire: when the answer began and ended, and so about how long it is, in
 * units of a frame or of a tick; that a client is slow, for then ticks are left out; that an answer failed.
 */
enum {
    FRAMES_SIZE = 1024,      /* its multiples, as long as the model's name needs them */
    FRAMES_WHOLE_SIZE = 4096 /* answers that aren't streamed are a multiple of this long */
};

typedef struct frames {
    slice prefix; /* what each chunk begins with (answer_chunk_prefix); the caller's */
    size_t size;
    buffer text; /* of the answer, not yet in an event */
    buffer tail; /* events that come after all text */
    buffer out;  /* events on their way */
} frames;

void frames_init(frames *f, slice prefix);
/* Wipes what has not gone out. */
void frames_free(frames *f);
/* Text that may go out from now on: whole UTF-8 characters. */
MUST_CHECK bool frames_add_text(frames *f, slice text, error *err);
/* Whole events, for before (`early`) or after all the text there will be. */
MUST_CHECK bool frames_add_events(frames *f, slice events, bool early, error *err);
/* Nothing waits to go out. */
bool frames_are_empty(const frames *f);
/* Bytes of text that wait. */
size_t frames_backlog(const frames *f);
/* Appends one frame, of `size` bytes, to `frame`. Each event that carries text is whole in its frame. */
MUST_CHECK bool frames_next(frames *f, buffer *frame, error *err);

/* Makes the length a multiple of `size` with a comment (at least 3 bytes), or with spaces. */
void frames_pad_events(buffer *events, size_t size);
void frames_pad_whole(buffer *body);

#endif
