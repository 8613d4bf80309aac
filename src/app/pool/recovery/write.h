#ifndef POOL_RECOVERY_WRITE_H
#define POOL_RECOVERY_WRITE_H

#include "recovery/requests.h"
#include "reply.h"

/* A request as the API shows it. The code is for its user alone, who reads it to the officers: their programs
 * work it out themselves. */
void recovery_write(json_writer *w, const recovery *r, bool with_code);
void recovery_reply(http_request *request, const recovery *r, bool with_code, unsigned status);

#endif
