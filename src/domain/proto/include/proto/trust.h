#ifndef PROTO_TRUST_H
#define PROTO_TRUST_H

#include "proto/message.h"

/* What the pool signs in `trust`: the envelope (codec/envelope.h) "cellule site authority v1" with the pool
 * id and the certificate's PEM. So whoever holds the authority's key alone can't put another in its place. */
void proto_trust_bytes(const uint8_t pool_id[PROTO_POOL_ID_SIZE], slice ca, buffer *out);

/* Whether `key`, the pool's now, signed it: ERROR_DENIED otherwise. */
MUST_CHECK bool proto_trust_verify(const uint8_t pool_id[PROTO_POOL_ID_SIZE],
                                   const uint8_t key[PROTO_PUBLIC_KEY_SIZE], const proto_trust *told,
                                   error *err);

#endif
