#ifndef POOL_MEMORY_KEEP_H
#define POOL_MEMORY_KEEP_H

#include "chat_request.h"
#include "memory/conversation.h"
#include "state.h"
#include "verify/policy.h"

/* A question whose user wants it kept, with the answer: `"store": true`, or the field X-Cellule-Conversation,
 * "new" or the id of one of his. What the reader saw of the answer is sealed when it ends, however it ends.
 * Lives in the request's arena. Loop thread. */
typedef struct keepsake keepsake;
typedef struct job job;

enum { KEEP_ID_HEX_SIZE = 2 * RECORD_ID_SIZE + 1 };

/* Starts the job of a chat request (job_start), after what is to be kept has its place; or answers with an
 * error. */
void keep_start(pool *p, http_request *request, const account *who, const chat_request *chat,
                verify_mode mode);

/* Of the conversation; lives as long as it. */
slice keep_conversation(const keepsake *k);
/* More that has gone out, of an answer whose `text` doesn't hold it. */
void keep_saw(keepsake *k, slice text);
/* The answer is complete: seals it and hands it to the store, before the receipt. */
MUST_CHECK bool keep_answer(keepsake *k, const job *j, slice text, bool at_limit, error *err);
/* Once what the store was given after that is answered: whether it is kept. */
MUST_CHECK bool keep_is_kept(const keepsake *k, error *err);
/* The job ends. What has gone out of an answer that isn't complete is kept as far as it came. */
void keep_end(keepsake *k, const job *j);
/* There was no job. */
void keep_drop(keepsake *k);

#endif
