#include "proto/trust.h"

#include "codec/envelope.h"
#include "crypto/sign.h"

enum { BYTES_MAX = PROTO_CA_MAX + 256 };

void proto_trust_bytes(const uint8_t pool_id[PROTO_POOL_ID_SIZE], slice ca, buffer *out) {
    envelope_begin(out, "cellule site authority v1");
    envelope_add(out, slice_of(pool_id, PROTO_POOL_ID_SIZE));
    envelope_add(out, ca);
}

bool proto_trust_verify(const uint8_t pool_id[PROTO_POOL_ID_SIZE], const uint8_t key[PROTO_PUBLIC_KEY_SIZE],
                        const proto_trust *told, error *err) {
    buffer bytes = buffer_make(BYTES_MAX);
    proto_trust_bytes(pool_id, told->ca, &bytes);
    bool good = (!buffer_failed(&bytes) || error_memory(err)) &&
                (sign_verify(key, buffer_slice(&bytes), told->signature) ||
                 error_set(err, ERROR_DENIED, "the pool's own key hasn't signed this authority"));
    buffer_free(&bytes);
    return good;
}
