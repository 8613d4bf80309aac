#ifndef ENGINE_SERVE_SCHEDULE_H
#define ENGINE_SERVE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a pass computes: the next token of every sequence that writes, then parts of what the others have to
 * read. */
typedef struct schedule_entry {
    uint32_t pending; /* tokens known and not computed yet, above 0 */
    bool writes;      /* waits for this one token to draw the next */
    bool whole;       /* all pending tokens in one pass or none (an encoder's text) */
    uint32_t count;   /* set: tokens in this pass */
} schedule_entry;

/* `entries`: oldest first. Writers come first, from the `turn`th on where the batch doesn't take all. Half of
 * the room that is left is shared equally among readers, so that a short prompt needn't wait for a long one,
 * the rest goes to the oldest. Whole ones go in order: none passes one that doesn't fit any more. */
void schedule_pass(schedule_entry *entries, size_t count, size_t turn, uint32_t batch);

#endif
