#ifndef WORKER_REKEY_H
#define WORKER_REKEY_H

#include "agent.h"

/* The exchange of this machine's key, as the pool asks. The new key is on the disk before the pool hears of
 * it, and takes the old one's place when the pool says that it counts; in between, and when that word was
 * lost, the worker says hello with either until it knows. Jobs that came before are signed with the key of
 * their time. */
void rekey_start(agent *a, const proto_rekey *wanted);
void rekey_finish(agent *a, const proto_rekeyed *told);

/* Who it is in the session that is beginning. */
const sign_key *rekey_key(const agent *a);
const uint8_t *rekey_worker_id(const agent *a);
/* The pool took it, or (true: dial again, with the other key) doesn't know it. */
void rekey_welcomed(agent *a);
MUST_CHECK bool rekey_refused(agent *a, slice code);
/* Keys of former sessions. */
void rekey_free(agent *a);

#endif
