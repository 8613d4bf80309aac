#ifndef MEMORY_CONVERSATION_INTERNAL_H
#define MEMORY_CONVERSATION_INTERNAL_H

#include "memory/conversation.h"

/* What is sealed of a head and of a turn (conversation_json.c). Writing reserves what it may take before it
 * begins, so that nothing stays behind where the buffer grew. */
MUST_CHECK bool conversation_write_head(const conversation_head *head, buffer *content, error *err);
MUST_CHECK bool conversation_write_turn(const conversation_turn *turn, buffer *content, error *err);
/* ERROR_CORRUPT: not what it should be. `head` and `turn` are zeros then. */
MUST_CHECK bool conversation_read_head(slice content, arena *memory, conversation_head *head, error *err);
MUST_CHECK bool conversation_read_turn(slice content, arena *memory, conversation_turn *turn, error *err);

/* Bytes of the control character (or end of a line) that `text` begins with; 0: none, or not UTF-8. */
size_t conversation_control_length(slice text);

#endif
