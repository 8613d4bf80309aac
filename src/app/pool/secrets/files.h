#ifndef POOL_SECRETS_FILES_H
#define POOL_SECRETS_FILES_H

#include "site.h"

/* The site's certificates and their keys on disk, exchanged all or none: each new file is written beside the
 * one that it replaces, server.pem last; from then on the exchange counts, and a crash while they are put in
 * place is made up for by secrets_settle. All of this blocks. */
typedef struct secrets_issued {
    certificate_pair server; /* the chain and its key, as a listener takes them */
    buffer ca_pem;           /* the site's authority */
} secrets_issued;

secrets_issued secrets_issued_make(void);
void secrets_issued_free(secrets_issued *issued);

/* Before any of these files is read. */
MUST_CHECK bool secrets_settle(const char *folder, error *err);

/* Another server certificate with the same names. ERROR_CONFLICT: the one that is there isn't from the site's
 * own authority; ERROR_NOT_FOUND: ca.key isn't kept here. */
MUST_CHECK bool secrets_issue_server(const char *folder, uint64_t now_unix_ms, secrets_issued *issued,
                                     error *err);
/* Another authority, and a server certificate by it, presented with what lets those verify it who trust the
 * authority before (for CERTIFICATE_SERVER_DAYS). ERROR_CONFLICT too while one before is still presented. */
MUST_CHECK bool secrets_issue_authority(const char *folder, uint64_t now_unix_ms, secrets_issued *issued,
                                        error *err);
/* The authority before is not presented any more: who trusts only that one can't verify the pool now.
 * ERROR_CONFLICT: there is none. */
MUST_CHECK bool secrets_drop_former(const char *folder, secrets_issued *issued, error *err);

typedef enum secrets_act { SECRETS_SERVER, SECRETS_AUTHORITY, SECRETS_DROP_FORMER } secrets_act;
/* Any of these, by its name, now. */
MUST_CHECK bool secrets_make(const char *folder, secrets_act act, secrets_issued *issued, error *err);

/* Whether the chain presents an authority before this one. */
bool secrets_has_former(slice chain_pem, slice ca_pem);

#endif
