#ifndef PROTO_CERTIFICATE_H
#define PROTO_CERTIFICATE_H

#include "proto/message.h"

/* How a worker gets the TLS certificate that a pool may ask of it: POST /v1/worker/certificate, one JSON
 * object. The signature, by the worker's own key, is over proto_certificate_bytes: who sends a request again
 * gets a certificate for a key that only the worker holds. */
#define PROTO_CERTIFICATE_PATH "/v1/worker/certificate"

enum {
    PROTO_TLS_KEY_SIZE = 91,     /* SubjectPublicKeyInfo of a P-256 key, DER, RFC 5480 */
    PROTO_CERTIFICATE_MAX = 1024 /* bytes of JSON */
};

typedef struct proto_certificate {
    uint8_t worker_id[PROTO_ID_SIZE];
    uint8_t tls_key[PROTO_TLS_KEY_SIZE]; /* base64url in JSON, as the signature */
    uint8_t signature[PROTO_SIGNATURE_SIZE];
} proto_certificate;

/* The envelope "cellule certificate v1" over pool id, worker id and TLS key. Appends; check buffer_failed. */
void proto_certificate_bytes(const proto_certificate *request, const uint8_t pool_id[PROTO_POOL_ID_SIZE],
                             buffer *out);

MUST_CHECK bool proto_certificate_decode(slice json, proto_certificate *out, error *err);
MUST_CHECK bool proto_certificate_encode(const proto_certificate *request, buffer *out, error *err);

#endif
