#ifndef APP_ENGINE_CONVERSATION_H
#define APP_ENGINE_CONVERSATION_H

#include "engine/engine.h"

/* What was said so far, with a system message before it that stays. Owns its texts. */
typedef struct conversation {
    engine_message messages[ENGINE_MESSAGES_MAX];
    size_t count;
    size_t first; /* 1 with a system message, else 0 */
} conversation;

/* `system` may be NULL, and must outlive the conversation. */
void conversation_start(conversation *c, const char *system);
/* Adds a copy. `role` is static text. ERROR_LIMIT: too many. */
MUST_CHECK bool conversation_add(conversation *c, const char *role, slice content, error *err);
/* Takes the last message back. */
void conversation_drop(conversation *c);
/* All but the system message. */
void conversation_clear(conversation *c);

#endif
