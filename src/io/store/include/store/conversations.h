#ifndef STORE_CONVERSATIONS_H
#define STORE_CONVERSATIONS_H

#include "base/arena.h"
#include "store/receipts.h"

/* Conversations that users keep, sealed by the caller. A turn survives the death of the process when it is
 * answered, as a receipt does; all else is synced. Deleting a conversation wipes its head as wraps are wiped
 * (vaults.h), and with it the key that its turns are sealed under. Everything is found by user and id:
 * another user's is not there (ERROR_NOT_FOUND). */
enum {
    STORE_CONVERSATION_ID_SIZE = 16,
    STORE_HEAD_MAX = 4096,
    STORE_TURN_MAX = 8 * 1024 * 1024,
    STORE_TURNS_BYTES = 1024 * 1024 /* of a page of turns, from which on no more are added */
};

typedef struct store_new_turn {
    uint64_t user_id;
    uint8_t conversation[STORE_CONVERSATION_ID_SIZE];
    uint8_t id[STORE_JOB_ID_SIZE];
    uint64_t created_ms;
    slice sealed;
    slice head; /* of a conversation that begins with this turn; else empty */
} store_new_turn;

/* ERROR_NOT_FOUND: there is no such conversation, or no vault. ERROR_CONFLICT: there is one already. Turns
 * are numbered in the order in which they come; the number of one that was the last of all and is deleted may
 * come again. */
MUST_CHECK bool store_turn_add(store *s, const store_new_turn *turn, store_done *done, void *context,
                               error *err);

typedef struct store_conversation {
    uint8_t id[STORE_CONVERSATION_ID_SIZE];
    uint64_t latest; /* number of its last turn */
    uint64_t turns;
    uint64_t bytes;
    uint64_t changed_ms;
    slice head;
} store_conversation;

/* `conversation` is NULL on failure. */
typedef void store_conversation_found(void *context, const store_conversation *conversation,
                                      const error *failure);
MUST_CHECK bool store_conversation_get(store *s, uint64_t user_id,
                                       const uint8_t id[STORE_CONVERSATION_ID_SIZE],
                                       store_conversation_found *done, void *context, error *err);

/* Of a user, by their last turn, newest first, those whose `latest` is below `before` (0: from the newest);
 * at most `limit` (1..STORE_LIST_MAX). */
typedef void store_conversations_listed(void *context, const store_conversation *conversations, size_t count,
                                        const error *failure);
MUST_CHECK bool store_conversation_list(store *s, uint64_t user_id, uint64_t before, size_t limit,
                                        store_conversations_listed *done, void *context, error *err);

/* Another head, as when it is renamed. */
MUST_CHECK bool store_conversation_set_head(store *s, uint64_t user_id,
                                            const uint8_t id[STORE_CONVERSATION_ID_SIZE], slice head,
                                            store_done *done, void *context, error *err);
/* The head at once, and of the turns up to STORE_LIST_MAX or about 8 MiB. What is left is noise
 * that nothing lists; store_conversations_expire takes it away. */
MUST_CHECK bool store_conversation_delete(store *s, uint64_t user_id,
                                          const uint8_t id[STORE_CONVERSATION_ID_SIZE], store_done *done,
                                          void *context, error *err);

typedef struct store_turn {
    uint64_t number;
    uint8_t conversation[STORE_CONVERSATION_ID_SIZE];
    uint8_t id[STORE_JOB_ID_SIZE];
    slice sealed;
} store_turn;

/* Of one conversation (NULL: of all of the user's), oldest first, those after the number `after`; at most
 * `limit` (1..STORE_LIST_MAX) and about STORE_TURNS_BYTES. ERROR_NOT_FOUND: no such conversation. */
typedef void store_turns_listed(void *context, const store_turn *turns, size_t count, const error *failure);
MUST_CHECK bool store_turn_list(store *s, uint64_t user_id, const uint8_t *conversation, uint64_t after,
                                size_t limit, store_turns_listed *done, void *context, error *err);

/* For later than the callback. NULL: memory is out. */
MUST_CHECK store_turn *store_turns_copy(arena *memory, const store_turn *turns, size_t count);

/* Deletes those that haven't changed since, at most `limit`, after what store_conversation_delete left behind
 * (`before_ms` 1: that alone). Gives of how many it has deleted something, at most as much as a
 * store_conversation_delete does: call again until it gives 0. */
typedef void store_conversations_expired(void *context, size_t count, const error *failure);
MUST_CHECK bool store_conversations_expire(store *s, uint64_t before_ms, size_t limit,
                                           store_conversations_expired *done, void *context, error *err);

#endif
