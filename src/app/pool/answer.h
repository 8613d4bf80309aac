#ifndef POOL_ANSWER_H
#define POOL_ANSWER_H

#include "job.h"

/* The answer as OpenAI's API reference shapes it: a chat.completion, or chat.completion.chunk events. Writers
 * append to `out`, whose failure is sticky. */

/* Made once per job, in its arena: what every chunk begins with. Empty if memory is out. */
slice answer_chunk_prefix(job *j);
/* The first event, which gives the role. */
void answer_write_role(slice prefix, buffer *out);
void answer_write_text(slice prefix, slice text, buffer *out);
/* The last events: finish reason, usage if it was asked for, [DONE]. */
void answer_write_end(const job *j, slice prefix, const receipt *fields, buffer *out);
/* A failure after the head went out; never followed by [DONE]. */
void answer_write_failure(unsigned status, const char *code, const char *message, buffer *out);
/* The whole answer. */
void answer_write_whole(const job *j, const receipt *fields, buffer *out);

#endif
