#include "proto/certificate.h"

#include "codec/envelope.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "crypto/hash.h"

void proto_certificate_bytes(const proto_certificate *request, const uint8_t pool_id[PROTO_POOL_ID_SIZE],
                             buffer *out) {
    envelope_begin(out, "cellule certificate v1");
    envelope_add(out, slice_of(pool_id, PROTO_POOL_ID_SIZE));
    envelope_add(out, slice_of(request->worker_id, sizeof request->worker_id));
    envelope_add(out, slice_of(request->tls_key, sizeof request->tls_key));
}

bool proto_certificate_decode(slice json, proto_certificate *out, error *err) {
    slice worker_id;
    *out = (proto_certificate){.worker_id = {0}};
    json_value *root = json_parse(json, (json_limits){.size = PROTO_CERTIFICATE_MAX, .depth = 2}, err);
    bool read = root != NULL && json_get_text(root, "worker_id", &worker_id, err) &&
                json_get_bytes(root, "tls_key", out->tls_key, sizeof out->tls_key, err) &&
                json_get_bytes(root, "signature", out->signature, sizeof out->signature, err);
    if (read && !hex_decode(worker_id, out->worker_id, sizeof out->worker_id)) {
        read = error_set(err, ERROR_INVALID, "worker_id: must be %d hex digits", 2 * PROTO_ID_SIZE);
    }
    json_free(root);
    return read;
}

bool proto_certificate_encode(const proto_certificate *request, buffer *out, error *err) {
    char worker_id[2 * PROTO_ID_SIZE + 1];
    json_writer w = json_writer_make(out);
    hex_encode(slice_of(request->worker_id, sizeof request->worker_id), worker_id);
    json_write_object_begin(&w);
    json_add_text(&w, "worker_id", slice_of_text(worker_id));
    json_add_bytes(&w, "tls_key", slice_of(request->tls_key, sizeof request->tls_key));
    json_add_bytes(&w, "signature", slice_of(request->signature, sizeof request->signature));
    json_write_object_end(&w);
    return !buffer_failed(out) || error_memory(err);
}
