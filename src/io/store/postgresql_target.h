#ifndef STORE_POSTGRESQL_TARGET_H
#define STORE_POSTGRESQL_TARGET_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdint.h>

/* What a URL says of the database, and how it is dialled: one host, whose address net/egress.h permits at
 * that moment; TLS whose certificate is checked, unless the host is this machine or the URL says otherwise.
 * What the first connection found by itself (user, password, certificates' files) is kept for those after it,
 * which may have no right to look. */
typedef struct postgresql_target postgresql_target;

MUST_CHECK postgresql_target *postgresql_target_parse(const char *url, error *err);
void postgresql_target_free(postgresql_target *t); /* NULL is allowed */
/* NULL: a Unix socket. */
const char *postgresql_target_host(const postgresql_target *t, uint16_t *port);
/* "host/database", without what is secret. */
const char *postgresql_target_name(const postgresql_target *t);
/* Files that each connection reads: up to `limit`. */
size_t postgresql_target_files(const postgresql_target *t, const char **files, size_t limit);
/* Begins to connect, as PQconnectStartParams. NULL: the address isn't found or isn't permitted. */
MUST_CHECK PGconn *postgresql_target_dial(postgresql_target *t, error *err);
/* `made` by a dial: what it found is kept. */
MUST_CHECK bool postgresql_target_keep(postgresql_target *t, PGconn *made, error *err);

#endif
