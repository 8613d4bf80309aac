#ifndef STORE_DELETION_H
#define STORE_DELETION_H

#include "database.h"

/* How much one operation may still delete of what users keep: it goes in steps, so that others get their turn
 * and the write-ahead log stays small. */
typedef struct deletion {
    database *database;
    uint64_t user_id;
    uint64_t rows_left;
    uint64_t bytes_left; /* the row that crosses it is deleted too */
} deletion;

deletion deletion_of(database *d, uint64_t user_id);
bool deletion_is_spent(const deletion *step);

/* The oldest turns of the user's, of one conversation or (NULL) of all, as far as the step goes. Spent: there
 * may be more. */
MUST_CHECK bool deletion_of_turns(deletion *step, const uint8_t *conversation, error *err);
/* Likewise the user's first facts. */
MUST_CHECK bool deletion_of_facts(deletion *step, error *err);
/* So many facts of the user's have been deleted. */
MUST_CHECK bool facts_count_fewer(database *d, uint64_t user_id, uint64_t count, error *err);

#endif
