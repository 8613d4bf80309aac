#include "proto/rekey.h"

#include "codec/envelope.h"

void proto_rekey_bytes(const proto_rekey_input *input, buffer *out) {
    envelope_begin(out, "cellule worker rekey v1");
    envelope_add(out, slice_of(input->pool_id, sizeof input->pool_id));
    envelope_add(out, slice_of(input->worker_id, sizeof input->worker_id));
    envelope_add_u64(out, input->epoch);
    envelope_add(out, slice_of(input->nonce, sizeof input->nonce));
    envelope_add(out, slice_of(input->exporter, sizeof input->exporter));
    envelope_add(out, slice_of(input->public_key, sizeof input->public_key));
}
