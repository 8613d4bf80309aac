#ifndef FAULTS_HONEST_WORKER_H
#define FAULTS_HONEST_WORKER_H

#include "site.h"

#include "http/websocket.h"
#include "proto/message.h"
#include "proto/session.h"

/* A worker without a model: it answers every question with WORKER_ANSWER, truthfully signed, checks the
 * answers of others, embeds every text as 1, and comes back when its connection ends. It keeps account of how
 * the pool treats it: a pool in trouble must not blame an honest worker. */
#define WORKER_MODEL "test"
#define WORKER_ANSWER "One two three four five six."
enum { WORKER_WORDS = 6 };
extern const uint32_t worker_tokens[WORKER_WORDS];
extern const char worker_profile[8];
extern const char worker_runtime_profile[13]; /* of one that has no bits to check */
extern const uint8_t worker_digest[PROTO_DIGEST_SIZE];

typedef struct honest_worker {
    site *site;
    sign_key *key;
    const char *profile;
    double refuses; /* jobs at this temperature, if it isn't below 0 */
    uint8_t id[PROTO_ID_SIZE];
    uint8_t nonce[PROTO_NONCE_SIZE];
    uint8_t pool_id[PROTO_POOL_ID_SIZE];
    websocket *socket;
    arena *memory;
    ev_timer back;
    bool away;    /* doesn't connect */
    bool serving; /* welcomed */
    bool hold;    /* sends the beginning of each answer only */
    bool *vanish; /* whoever gets the next job ends its session in mid-answer, and sets this to false */
    uint8_t held[PROTO_ID_SIZE]; /* the job it holds up */
    bool holds;
    unsigned jobs, ends, cancels, closes;
    unsigned checks; /* score jobs that it answered */
    unsigned blamed; /* told that it broke the protocol, or to stay away */
    char blame[256];
} honest_worker;

/* Draws a key; not connected. */
void honest_worker_make(honest_worker *w, site *s, bool *vanish);
void honest_worker_free(honest_worker *w);
/* The body of an enrolment with this token. */
void honest_worker_write_enrolment(const honest_worker *w, const char *token, char *body, size_t size);
/* Starts to connect, and goes on trying. */
void honest_worker_go(honest_worker *w);
/* Ends the connection and stays away. */
void honest_worker_leave(honest_worker *w);

/* What it signs (signing.c). */
void honest_worker_sign_done(const honest_worker *w, const proto_job *job, proto_done *done);
void honest_worker_sign_scored(const honest_worker *w, const proto_job *job, proto_scored *scored);

#endif
