#ifndef PROTO_PROOF_H
#define PROTO_PROOF_H

#include "proto/message.h"

/* What a worker signs (Ed25519) in `proof`: it holds the key of `worker_id`, now (the pool's nonce), for this
 * pool, over this very TLS connection (RFC 5705 exporter; label below, no context), so nobody in between can
 * pass the proof on. On plain connections (loopback only) the exporter is zeros. */
#define PROTO_EXPORTER_LABEL "EXPORTER-cellule-worker-v1"
enum { PROTO_EXPORTER_SIZE = 32 };

typedef struct proto_proof_input {
    uint8_t pool_id[PROTO_POOL_ID_SIZE];
    uint8_t worker_id[PROTO_ID_SIZE];
    uint8_t worker_nonce[PROTO_NONCE_SIZE];
    uint8_t pool_nonce[PROTO_NONCE_SIZE];
    uint8_t exporter[PROTO_EXPORTER_SIZE];
} proto_proof_input;

/* The envelope (codec/envelope.h) "cellule worker proof v1" with the five fields in that order. Appends;
 * check buffer_failed. */
void proto_proof_bytes(const proto_proof_input *input, buffer *out);

#endif
