#ifndef NET_EGRESS_INTERNAL_H
#define NET_EGRESS_INTERNAL_H

#include "net/egress.h"

#include <netinet/in.h>

/* Rules and what they are about, without the process's list (egress.c): pure. */

/* Every address as IPv6; IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). */
typedef struct egress_address {
    uint8_t bytes[16];
} egress_address;

typedef enum egress_class {
    EGRESS_LOOPBACK,
    EGRESS_PRIVATE,
    EGRESS_BY_NUMBER, /* link-local, or by way of a translator to an address inside */
    EGRESS_PUBLIC,
    EGRESS_NEVER
} egress_class;

typedef struct egress_rule {
    char host[NET_EGRESS_HOST_MAX + 1]; /* empty: a network */
    egress_address network;
    unsigned bits; /* of the 128 */
    uint16_t port; /* 0: any */
    bool is_public;
} egress_rule;

/* False: neither IPv4 nor IPv6. */
bool egress_address_of(const struct sockaddr *from, egress_address *address, uint16_t *port);
bool egress_address_parse(slice text, egress_address *address);
egress_class egress_classify(const egress_address *address);

MUST_CHECK bool egress_rule_parse(slice text, egress_rule *rule, error *err);
/* A host's name or number, without port. */
MUST_CHECK bool egress_rule_of_host(slice host, uint16_t port, bool is_public, egress_rule *rule, error *err);
bool egress_rule_allows(const egress_rule *rule, slice host, const egress_address *address, uint16_t port);
/* Is about this name, or about a network. */
bool egress_rule_may_concern(const egress_rule *rule, slice host, uint16_t port);

/* net_egress_may_look_up that neither logs nor tells. */
bool net_egress_names(const char *host, uint16_t port);

#endif
