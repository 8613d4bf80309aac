#include "proto/proof.h"

#include "codec/envelope.h"

void proto_proof_bytes(const proto_proof_input *input, buffer *out) {
    envelope_begin(out, "cellule worker proof v1");
    envelope_add(out, slice_of(input->pool_id, sizeof input->pool_id));
    envelope_add(out, slice_of(input->worker_id, sizeof input->worker_id));
    envelope_add(out, slice_of(input->worker_nonce, sizeof input->worker_nonce));
    envelope_add(out, slice_of(input->pool_nonce, sizeof input->pool_nonce));
    envelope_add(out, slice_of(input->exporter, sizeof input->exporter));
}
