#ifndef POOL_RECOVERY_OFFICERS_H
#define POOL_RECOVERY_OFFICERS_H

#include "memory/recovery.h"
#include "state.h"

/* Who gives users' memory back, and how many of them it takes: the settings `recovery_officers` and
 * `recovery_needed`. */
typedef struct officer {
    char name[STORE_NAME_MAX + 1]; /* a user's */
    uint8_t public_key[BOX_KEY_SIZE];
} officer;

typedef struct officers {
    officer all[RECOVERY_OFFICERS_MAX];
    size_t count; /* 0: it is off */
    uint8_t needed;
} officers;

/* ERROR_INVALID names what is wrong. */
MUST_CHECK bool officers_parse(const pool_settings *settings, officers *all, error *err);
/* The same, and that nobody else can open what is sealed for their keys. */
MUST_CHECK bool officers_check(const pool_settings *settings, error *err);
/* As the settings are now. False: it is off. */
bool officers_present(const pool *p, officers *all);
/* NULL: nobody of that name. */
const officer *officers_find(const officers *all, slice name);

/* At the start, and after a change of the settings: enters in the audit log who they are, with their keys. At
 * the start that it is off isn't said. */
void officers_announce(pool *p, bool at_start);

#endif
