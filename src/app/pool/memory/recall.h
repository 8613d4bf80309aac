#ifndef POOL_MEMORY_RECALL_H
#define POOL_MEMORY_RECALL_H

#include "chat_request.h"
#include "memory/gate.h"
#include "verify/policy.h"

/* X-Cellule-Memory: use. The facts that are nearest to the last thing that the user said are given to the
 * model, in a system message before all others (docs/memory.md has its form); the answer says which. Loop
 * thread. */
enum {
    RECALL_FACTS_MAX = 5,
    RECALL_CHARACTERS_MAX = 1600, /* of the facts' texts together */
};

/* Goes on with keep_start, after the facts are found where they are wanted; or answers with an error. */
void recall_start(pool *p, http_request *request, const account *who, chat_request *chat, verify_mode mode);

#endif
