#ifndef LEDGER_CHECKPOINT_H
#define LEDGER_CHECKPOINT_H

#include "crypto/hash.h"
#include "ledger/note.h"

/* What a log says of itself, the text of a note that it signs (C2SP tlog-checkpoint). Two signed checkpoints
 * of one origin that aren't consistent prove that the log showed different people different things. */
typedef struct checkpoint {
    char origin[NOTE_NAME_MAX + 1]; /* which log */
    uint64_t size;                  /* entries */
    uint8_t root[HASH_SIZE];
} checkpoint;

/* Appends "origin\nsize\nroot\n". ERROR_INVALID if the origin can't be a name in a note. */
MUST_CHECK bool checkpoint_write(const checkpoint *c, buffer *text, error *err);
/* From the text of a note; further lines are passed over. */
MUST_CHECK bool checkpoint_parse(slice text, checkpoint *c, error *err);

#endif
