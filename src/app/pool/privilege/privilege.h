#ifndef POOL_PRIVILEGE_H
#define POOL_PRIVILEGE_H

#include "privilege/keeper.h"
#include "privilege/session_keys.h"
#include "privilege/signer.h"

typedef struct pool pool;
typedef struct ev_watch ev_watch;

/* What the serving process can't do, so that whoever takes it over can't either: open files, start programs,
 * read the pool's private key, connect anywhere but where the settings say. The README says how, and what is
 * left. */
typedef struct privilege {
    helper *signer; /* NULL, with all the rest: the pool keeps its rights */
    helper *keeper;
    sign_key *key;             /* the signer's, until the site has it */
    session_keys session_keys; /* the signer's; its own where there is none */
    bool helpers_confined;
    ev_watch *signer_watch;
    ev_watch *keeper_watch;
} privilege;

/* Starts the helpers. Before the pool opens anything and before threads. */
MUST_CHECK bool privilege_start(pool *p, const char *site_folder, error *err);
/* Gives the seal of session keys out of the pool's hands. Before their first use, and before anybody is
 * listened to. */
MUST_CHECK bool privilege_hand_over(pool *p, error *err);
/* Gives up the rights and says so in the log, in one line, with what the kernel lacks. After all has been
 * opened, before threads. Nothing if the helpers weren't started. */
MUST_CHECK bool privilege_drop(pool *p, error *err);
/* Before the loop is freed: the end of the helpers is no longer watched. */
void privilege_unwatch(pool *p);
/* Ends them. Last. Harmless if nothing was started. */
void privilege_stop(pool *p);

#endif
