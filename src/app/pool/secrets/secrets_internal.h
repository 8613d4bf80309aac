#ifndef POOL_SECRETS_INTERNAL_H
#define POOL_SECRETS_INTERNAL_H

#include "proto/message.h"
#include "secrets/secrets.h"

/* Shared by secrets.c (certificates, and who has been told) and succeed.c (the pool's own key). */
struct secrets {
    pool *pool;
    bool busy;
    bool former; /* the authority before is still presented */
    uint64_t server_begins_ms;
    uint64_t server_expires_ms;
    bool is_signed; /* `signature` is of the site's authority */
    uint8_t signature[PROTO_SIGNATURE_SIZE];
    buffer keys;                   /* the site's, as JSON */
    struct succeeding *succeeding; /* an exchange of the key that waits for memory; NULL: none */
    ev_timer timer;                /* while connected workers are being told */
};

/* The pool stops before it had any. */
void secrets_end_succeeding(secrets *own);

#endif
