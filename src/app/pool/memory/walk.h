#ifndef POOL_MEMORY_WALK_H
#define POOL_MEMORY_WALK_H

#include "memory/conversation.h"
#include "memory/keyring.h"
#include "store/conversations.h"

/* Goes through a user's conversations, the one that changed last first, each from its beginning, page by
 * page. What is decrypted and done with it is done beside the loop. It holds the vault. Loop thread, but for
 * `read`. */
typedef struct walk walk;

typedef struct walk_page {
    uint8_t id[STORE_CONVERSATION_ID_SIZE];
    slice title;
    uint64_t changed_ms;
    bool begins; /* with this page the conversation does */
    bool ends;
    const uint8_t (*turn_ids)[STORE_JOB_ID_SIZE];
    const conversation_turn *turns;
    size_t count;
} walk_page;

typedef enum walk_next {
    WALK_ON,
    WALK_LEAVE, /* the rest of this conversation isn't wanted */
    WALK_WAIT,  /* until walk_resume */
    WALK_END
} walk_next;

typedef struct walk_kind {
    /* In a thread: nothing of the loop's may be touched. What the page has is wiped afterwards. */
    bool (*read)(void *context, const walk_page *page, error *err);
    /* On the loop, after each page. */
    walk_next (*next)(void *context);
    /* On the loop, at the end: `failure` NULL where all was read or WALK_END was said. Not after walk_cancel.
     * The walk is gone then. */
    void (*done)(void *context, const error *failure);
} walk_kind;

/* `conversation` NULL: all of them. ERROR_NOT_FOUND comes by `done`. */
MUST_CHECK walk *walk_start(pool *p, open_vault *v, const uint8_t *conversation, const walk_kind *kind,
                            void *context, error *err);
void walk_resume(walk *w);
/* Nothing is called any more, once `read` has returned that is under way: `context` stays until `over`, which
 * may come at once. */
void walk_cancel(walk *w, void (*over)(void *context));

#endif
