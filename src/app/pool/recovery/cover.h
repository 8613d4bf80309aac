#ifndef POOL_RECOVERY_COVER_H
#define POOL_RECOVERY_COVER_H

#include "memory/keyring.h"
#include "recovery/officers.h"
#include "store/recovery.h"

/* Whether these shares are for the present officers, all of them and no other, and were made by a pool with
 * this pool's verify.key. */
bool cover_is_present(const pool *p, const store_recovery *found, const officers *wanted);

/* Makes of a share's digest (recovery_seal) what is stored of it, which nobody does who has the database
 * alone: else he could have the officers give a user a data key that he has made, and read what is sealed
 * under it from then on. */
MUST_CHECK bool cover_vouch(const pool *p, uint8_t digest[HASH_SIZE], error *err);

/* A vault was opened, so that its data key is there: if it lacks shares for the present officers they are
 * made, in the place of all others; where recovery is off, there are none. Works on beside; what fails is in
 * the program's log, and is done at the next opening. Loop thread. */
void cover_vault(pool *p, open_vault *v);

#endif
