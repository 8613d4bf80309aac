#ifndef PROTO_ENROLMENT_H
#define PROTO_ENROLMENT_H

#include "proto/message.h"

/* What a machine sends once, with a join token, to become a worker: POST /v1/worker/enrol, one JSON object.
 * The signature, by the key that it will work under, is over proto_enrolment_bytes, so nobody can enrol a key
 * that he doesn't hold. */
#define PROTO_ENROLMENT_PATH "/v1/worker/enrol"

enum {
    PROTO_TOKEN_ID_SIZE = 8,
    PROTO_TOKEN_SECRET_SIZE = 32,
    PROTO_ENROLMENT_MAX = 4096, /* bytes of JSON */
    PROTO_MACHINE_NAME_MAX = 64
};

typedef struct proto_enrolment {
    uint8_t token_id[PROTO_TOKEN_ID_SIZE]; /* this and the following: base64url in JSON */
    uint8_t token_secret[PROTO_TOKEN_SECRET_SIZE];
    uint8_t public_key[PROTO_PUBLIC_KEY_SIZE];
    uint8_t signature[PROTO_SIGNATURE_SIZE];
    slice name;       /* of the machine */
    slice class_name; /* "cpu", "gpu" or "npu" */
} proto_enrolment;

/* The envelope "cellule enrolment v1" over token id, token secret, public key, name and class. Appends; check
 * buffer_failed. */
void proto_enrolment_bytes(const proto_enrolment *enrolment, buffer *out);

/* As proto_decode and proto_encode. */
MUST_CHECK bool proto_enrolment_decode(slice json, arena *a, proto_enrolment *out, error *err);
MUST_CHECK bool proto_enrolment_encode(const proto_enrolment *enrolment, buffer *out, error *err);

#endif
