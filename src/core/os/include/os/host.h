#ifndef OS_HOST_H
#define OS_HOST_H

#include "base/error.h"
#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

/* What this machine is, as a worker tells the pool. */
typedef struct host_description {
    char os[65];           /* "Linux 6.1.0-18-amd64" */
    char architecture[65]; /* "x86_64", "aarch64" */
    char isa[128];  /* what the kernels may use, comma-separated: "avx2,fma,f16c,avx512"; may be empty */
    uint32_t cores; /* that this process may run on */
    uint64_t ram_bytes;
} host_description;

MUST_CHECK bool host_describe(host_description *host, error *err);

enum { HOST_NAME_LIMIT = 8, HOST_ADDRESS_LIMIT = 32 };

/* The names and addresses under which others may reach this machine, for its certificate: the host name, its
 * first label, what /etc/hosts adds; each IPv4 and IPv6 address that is up and neither loopback nor
 * link-local. Nothing is asked of the network. More than the limits: the rest is left out. */
typedef struct host_names {
    size_t name_count;
    char names[HOST_NAME_LIMIT][254];
    size_t address_count;
    char addresses[HOST_ADDRESS_LIMIT][46]; /* as inet_ntop(3) writes them */
} host_names;

/* A DNS name that a certificate may hold: labels of 1 to 63 letters, digits, hyphens inside (RFC 1123 §2.1)
 * and the underscore that real networks have; at most 253 characters, no closing dot. */
MUST_CHECK bool host_is_dns_name(slice name);

/* Not thread-safe (gethostent(3)): at start only. */
MUST_CHECK bool host_find_names(host_names *names, error *err);

#endif
