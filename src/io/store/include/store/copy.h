#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/store.h"

/* All of a site's database into another one, a file or a server's: both are held alone meanwhile, so no pool
 * may serve them. Nothing is changed in `from`. `to` must hold nothing; what is copied comes to be there in
 * one transaction, counted before it is committed, so a copy that is cut off leaves it empty. Blocks. */
typedef struct store_copy_progress {
    const char *table;
    uint64_t rows; /* of the table, so far */
    uint64_t of;
    uint64_t all_rows; /* of all tables, so far */
} store_copy_progress;
/* Called every so many rows. */
typedef void store_copying(void *context, const store_copy_progress *progress);

/* ERROR_CONFLICT: one of them is in use, or `to` isn't empty. ERROR_UNSUPPORTED: `from` isn't of this
 * program's version; start its pool once with this program. */
MUST_CHECK bool store_copy(const char *from, const char *to, store_copying *copying, void *context,
                           uint64_t *rows, error *err);

#endif
