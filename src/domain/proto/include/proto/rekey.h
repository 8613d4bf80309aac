#ifndef PROTO_REKEY_H
#define PROTO_REKEY_H

#include "proto/proof.h"

/* What a worker signs in `new_key`, with the key that it has and with the one that is to follow: the envelope
 * (codec/envelope.h) "cellule worker rekey v1" with these fields in this order, `epoch` as 8 bytes
 * big-endian. The exporter is that of the session's own connection, as in `proof`. */
typedef struct proto_rekey_input {
    uint8_t pool_id[PROTO_POOL_ID_SIZE];
    uint8_t worker_id[PROTO_ID_SIZE]; /* of the key in use */
    uint64_t epoch;
    uint8_t nonce[PROTO_NONCE_SIZE];           /* of `rekey` */
    uint8_t exporter[PROTO_EXPORTER_SIZE];     /* see PROTO_EXPORTER_LABEL */
    uint8_t public_key[PROTO_PUBLIC_KEY_SIZE]; /* the new one */
} proto_rekey_input;

/* Appends; check buffer_failed. */
void proto_rekey_bytes(const proto_rekey_input *input, buffer *out);

#endif
