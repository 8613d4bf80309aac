#ifndef POOL_STRANGERS_H
#define POOL_STRANGERS_H

#include "state.h"

/* Who brings keys, refresh tokens and SCIM tokens that nobody has. What is counted is the connection's own
 * address (of IPv6 its first 64 bits), which can't be made up, and never what a request says of where it
 * comes from. Whoever has a good key is served all the same, also from such an address: nobody shuts others
 * out. Logins that anybody may begin are counted likewise, each kind by itself. Loop thread. */
typedef struct strangers strangers;

enum {
    STRANGERS_MAX = 10000,   /* addresses known of a kind; the one that did so longest ago gives way */
    STRANGER_FAILURES = 300, /* at once */
    STRANGER_PER_SECOND = 5, /* on end */
    STRANGERS_ALARM_MINUTE =
        10000 /* failures of all together in a minute that are entered in the audit log */
};

typedef enum strangers_kind {
    STRANGERS_FAILED,
    STRANGERS_BROWSER, /* begins a login by browser: 300 at once, ten a second on end */
    STRANGERS_DEVICE,  /* begins one by device: 100 at once, one in three seconds on end */
    STRANGERS_KINDS
} strangers_kind;

MUST_CHECK bool strangers_start(pool *p, error *err);
void strangers_free(strangers *all); /* NULL is allowed */

/* Notes a failure of that address. True: it fails too often, and is to be told so instead of why. */
bool strangers_failed(pool *p, const char *peer);
/* Notes that a login of that kind is begun from there. True: it is one too many. One address can have begun
 * no more at a time than leaves room for the others' (BROWSERS_MAX, DEVICES_MAX). */
bool strangers_begin(pool *p, const char *peer, strangers_kind kind);
/* Addresses that have failed. */
size_t strangers_count(const strangers *all);

#endif
