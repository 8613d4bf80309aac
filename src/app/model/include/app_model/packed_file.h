#ifndef APP_MODEL_PACKED_FILE_H
#define APP_MODEL_PACKED_FILE_H

#include "base/error.h"
#include "base/slice.h"

/* The file beside a model that keeps its packed weights: "MODEL.packed", mode 0600. It is opened before the
 * sandbox, and read, or written in place, within. Readers and the one writer keep out of each other's way by
 * flock(2). The header goes in last, so what a crash leaves is no image; the engine checks every byte before
 * it uses one. */
typedef struct packed_file {
    int descriptor; /* -1: none */
    bool may_write; /* nobody else has it open */
    slice content;  /* mapped; empty when there is nothing yet */
} packed_file;

/* ERROR_DENIED: it is another's, or open to others; ERROR_CONFLICT: somebody writes it just now; ERROR_IO. */
MUST_CHECK bool packed_file_open(packed_file *f, const char *model, error *err);
/* It is what is wanted: others may read it too. */
void packed_file_keep(packed_file *f);
/* Writes the pieces of an image in place of what is there, the first piece last, telling bytes done. A
 * failure leaves it empty. Only where may_write. */
MUST_CHECK bool packed_file_write(packed_file *f, const slice pieces[2],
                                  void (*progress)(void *context, uint64_t done, uint64_t total),
                                  void *context, error *err);
void packed_file_close(packed_file *f);

#endif
