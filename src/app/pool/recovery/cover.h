#ifndef POOL_RECOVERY_COVER_H
#define POOL_RECOVERY_COVER_H

#include "memory/keyring.h"
#include "recovery/officers.h"
#include "store/recovery.h"

/* Whether these shares are for the present officers, all of them and no other. */
bool cover_is_present(const store_recovery *found, const officers *wanted);

/* A vault was opened, so that its data key is there: if it lacks shares for the present officers they are
 * made, in the place of all others; where recovery is off, there are none. Works on beside; what fails is in
 * the program's log, and is done at the next opening. Loop thread. */
void cover_vault(pool *p, open_vault *v);

#endif
