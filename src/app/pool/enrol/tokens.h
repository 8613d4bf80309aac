#ifndef POOL_ENROL_TOKENS_H
#define POOL_ENROL_TOKENS_H

#include "enrol/wish.h"
#include "reply.h"

/* Join tokens: drawn here, shown once, used by a machine once and soon. */

/* The approved request that a token is made of, which it uses up; NULL: none. */
typedef struct token_approval {
    uint64_t id;
    slice request; /* its exact bytes */
} token_approval;

/* Draws a token, stores it and answers `later` with its text. Takes `later` over. */
void join_token_make(reply_later *later, const machine_wish *wish, const token_approval *approval);

/* POST /v1/admin/join-tokens: an admin's own, where the site asks for nobody else. */
void admin_join_token_add(pool *p, http_request *request, const account *who, slice segment);

/* POST /v1/worker/enrol {token_id, token_secret, public_key, signature, name, class}: public, the token is
 * the right. The signature proves that the machine holds the key (proto/enrolment.h). */
void admin_enrol(pool *p, http_request *request);

#endif
