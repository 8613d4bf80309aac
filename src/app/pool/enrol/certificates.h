#ifndef POOL_ENROL_CERTIFICATES_H
#define POOL_ENROL_CERTIFICATES_H

#include "state.h"

/* Workers' TLS certificates (mutual TLS), where the setting worker_certificate_minutes asks for them: for an
 * hour or so, each for a key that never leaves its worker's memory. Their authority lives as long as this
 * process, in its memory alone: after a restart every worker gets another. */

/* Makes the authority and has the server ask for its certificates. Nothing where the setting asks for none.
 */
MUST_CHECK bool certificates_start(pool *p, error *err);
void certificates_stop(pool *p);
bool certificates_are_asked(const pool *p);

/* Whether this connection has shown a certificate of this very worker that isn't over; true where none is
 * asked for. Notes how long it holds. */
MUST_CHECK bool certificates_admit(const pool *p, const websocket *socket, fleet_worker *worker);

/* POST /v1/worker/certificate {worker_id, tls_key, signature}: public, the signature is the right. */
void certificate_request(pool *p, http_request *request);

#endif
