#ifndef ADMIN_AUDIT_EXPORT_H
#define ADMIN_AUDIT_EXPORT_H

#include "client/pool_keys.h"
#include "ledger/checkpoint.h"

/* What the pool shows of its log: the signed note, what it says, and the key that it says signs it. */
typedef struct audit_head {
    buffer note;
    char key_text[NOTE_KEY_TEXT_MAX + 1];
    checkpoint checkpoint;
} audit_head;

/* Fails if the note isn't signed by that key. While the pool exchanges its key that is waited for, for some
 * seconds. The caller frees `note`, also after a failure. */
MUST_CHECK bool audit_head_get(api *a, audit_head *head, error *err);

/* Calls `each` with the entries from `from` to before `end`, in order; false from it ends the call. */
typedef bool audit_each(void *context, uint64_t index, slice entry, error *err);
MUST_CHECK bool audit_get_range(api *a, uint64_t from, uint64_t end, audit_each *each, void *context,
                                error *err);

/* Gets `head` anew and writes its log to a folder, as C2SP tlog-tiles, checked against the checkpoint, which
 * is written last, beside the keys that the pool has had, of which the last signed it. */
MUST_CHECK bool audit_export(api *a, audit_head *head, const char *folder, error *err);

#endif
