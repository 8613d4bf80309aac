#ifndef POOL_REPLY_H
#define POOL_REPLY_H

#include "base/buffer.h"
#include "codec/json_writer.h"
#include "http/server.h"
#include "state.h"

/* Answers in the shapes OpenAI's clients expect. Each ends the request. */

/* An answer being built: reply_json_begin, write with `w`, reply_json_end sends it (503 if memory was out).
 */
typedef struct reply_json {
    buffer body;
    json_writer w;
} reply_json;
void reply_json_begin(reply_json *answer);
void reply_json_end(reply_json *answer, http_request *request, unsigned status);

/* {"object":"list",NAME:[…],"has_more":…}: the items are written in between. */
void reply_list_begin(reply_json *answer, const char *name);
void reply_list_end(reply_json *answer, http_request *request, bool has_more);

/* {"done":true}, which needs no memory. */
void reply_done(http_request *request);

/* Of shutting somebody out, which works at once and is stored then (a database that fails must not keep a
 * door open): done, or why not, and whether he is out all the same. `request` may be NULL: the client has
 * left. */
void reply_shut_out(http_request *request, const error *failure, bool shut_out);

/* {"error":{"message","type","param","code"}}; `type` follows from the status; `param` and `code` may be
 * NULL. */
void reply_error(http_request *request, unsigned status, const char *param, const char *code,
                 const char *format, ...) PRINTF_LIKE(5, 6);
/* 503: nothing else could be done for want of memory. */
void reply_out_of_memory(http_request *request);
/* 405; `allow` is the field of that name: "GET, POST". */
void reply_not_allowed(http_request *request, const char *allow);
/* The status that fits the error's code, its text as the message. */
void reply_failure(http_request *request, const error *failure);
/* What the client sent can't be read: 400, also where it is larger or nested deeper than is read here, for
 * 429 would have it sent again; 503 when memory is out. `param` may be NULL. */
void reply_unreadable(http_request *request, const char *param, const error *failure);
/* The error object alone, for events and for errors that the server answers itself. */
void reply_write_error(buffer *out, unsigned status, const char *param, const char *code, slice message);
unsigned reply_status_of(error_code code);

/* A request whose answer waits for the store. The client may leave meanwhile: then `request` is NULL when the
 * store's callback comes. Freed by reply_later_take. NULL: memory is out and the request was answered with
 * 503. */
typedef struct reply_later {
    pool *pool;
    http_request *request;
    uint64_t user_id;
    uint64_t key_id;   /* that is being revoked */
    char secret[512];  /* a key or token to be shown once; wiped */
    uint8_t bytes[64]; /* the hash of the key, or the id, that is being stored */
    bool shut_out;     /* done in memory already, whatever the store says */
    char name[128];
    buffer room; /* for the answer, see reply_later_reserve */
} reply_later;
MUST_CHECK reply_later *reply_later_new(pool *p, http_request *request, uint64_t user_id);
/* The same for a list with ?after=ID in the query: what its last page ended with; 0: the first page. NULL
 * also where that is no number, or is there twice, which was answered: such a list must not begin anew. */
MUST_CHECK reply_later *reply_later_page(pool *p, http_request *request, uint64_t user_id, uint64_t *after);
/* Makes room for an answer of so many bytes before anything is stored: what was done can then also be said.
 */
MUST_CHECK bool reply_later_reserve(reply_later *later, size_t size, error *err);
/* Copies the state out, wipes and frees it. */
reply_later reply_later_take(void *context);
/* Takes and frees it, and answers with the error: the store didn't even accept the task. */
void reply_later_fail(reply_later *later, const error *failure);
/* Whether `taken` is still to be answered with a success. False: the client has left, or has just been told
 * of `failure` (NULL: none). */
MUST_CHECK bool reply_later_waits(reply_later *taken, const error *failure);
/* reply_json_begin, in the room that was reserved. */
void reply_json_begin_in(reply_json *answer, reply_later *taken);
/* Wipes what was taken, with the room if it wasn't used. */
void reply_later_end(reply_later *taken);

#endif
