#ifndef BENCH_MEMORY_BARE_H
#define BENCH_MEMORY_BARE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

/* The yardstick of turns kept: as many rows of the same bytes put into the table that a store has made, by
 * the database's own library alone, with the store's settings, `batch` to a transaction. The next transaction
 * begins when the one before it is committed. */
typedef struct bare_row {
    uint64_t user_id;
    const uint8_t *conversation; /* 16 bytes */
    uint8_t id[16];
} bare_row;

typedef struct bare_rows {
    const bare_row *rows;
    size_t count;
    size_t batch;
    slice sealed; /* of each */
} bare_rows;

/* Seconds; 0: it failed, and stderr says why. */
double bare_insert_sqlite(const char *path, const bare_rows *all);
double bare_insert_postgresql(const char *url, const bare_rows *all);

#endif
