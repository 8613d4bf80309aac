#ifndef LEDGER_NOTE_INTERNAL_H
#define LEDGER_NOTE_INTERNAL_H

#include "ledger/note.h"

/* Printable ASCII without space and '+', NOTE_NAME_MAX at most: what we give and trust. */
MUST_CHECK bool note_name_is_good(slice name);
/* The text up to the next newline, which is dropped from `rest` with it; false if there is none. */
MUST_CHECK bool note_take_line(slice *rest, slice *line);

#endif
