#ifndef NET_EGRESS_H
#define NET_EGRESS_H

#include "base/error.h"
#include "base/slice.h"

#include <stdint.h>

struct sockaddr;
struct sockaddr_storage;

/* Where this process may connect to: only where its configuration says so, nowhere before it has said
 * anything. One list per process; net_connect and http/client.h ask it for each socket. What counts is the
 * address that a name stands for at that moment, so a name that is made to point elsewhere leads nowhere.
 * Loop thread.
 *
 * A rule is HOST, ADDRESS or NETWORK, then maybe :PORT, then maybe =public: "idp.corp:443", "10.1.0.0/16",
 * "[2001:db8::1]:443=public". Without =public it is about private addresses alone (loopback, RFC 1918, 4193,
 * 6598), with it about public ones alone. Link-local ones count where a rule names them by number. What is
 * unspecified, multicast or reserved is never dialled. */
enum { NET_EGRESS_RULES_MAX = 64, NET_EGRESS_HOST_MAX = 255, NET_EGRESS_PORTS_MAX = 16 };

/* Empties the list. `how_to_allow` ends the text of a refusal: what the user has to do; a literal. */
void net_egress_begin(const char *how_to_allow);
/* Adds the rules of a list with commas; all or none. ERROR_INVALID names the wrong one. */
MUST_CHECK bool net_egress_allow(slice list, error *err);
/* Adds one host, maybe at public addresses too. Port 0: any. */
MUST_CHECK bool net_egress_allow_host(slice host, uint16_t port, bool is_public, error *err);
/* The same for the host and port of an http or https URL. */
MUST_CHECK bool net_egress_allow_url(const char *url, bool is_public, error *err);
/* Whether net_egress_allow would take it; changes nothing. */
MUST_CHECK bool net_egress_check_list(slice list, error *err);

/* No rule: nothing can be dialled. */
bool net_egress_is_empty(void);
/* The ports of all rules, each once; false if there are more, or a rule is for any port. */
bool net_egress_ports(uint16_t ports[NET_EGRESS_PORTS_MAX], size_t *count);

/* Refusals are logged; `told` hears of them too, from inside the connecting call. `address` is empty where
 * not even the name was looked up. */
typedef struct net_egress_refusal {
    const char *host;
    const char *address;
    uint16_t port;
    const char *reason;
} net_egress_refusal;
void net_egress_on_refused(void (*told)(void *context, const net_egress_refusal *refusal), void *context);

/* Whether the name may be looked up: some rule is about it, or about networks that it may lie in.
 * ERROR_DENIED, logged and told, if not. */
MUST_CHECK bool net_egress_may_look_up(const char *host, uint16_t port, error *err);
/* The one place that opens sockets for connections: a TCP socket to be connected to `address`, which `host`
 * stands for; non-blocking, closed on exec. -1: ERROR_DENIED, logged and told, or the system refused. */
MUST_CHECK int net_egress_socket(const char *host, const struct sockaddr *address, error *err);

/* For a library that opens its own connections, on another thread while the list doesn't change: whether it
 * may dial this address, which `host` stands for. Logged if not, but not told. */
MUST_CHECK bool net_egress_permits(const char *host, const struct sockaddr *address, error *err);
/* For the same: the host's addresses that it may dial, looked up at once, which blocks. 0: none, and why. */
MUST_CHECK size_t net_egress_look_up(const char *host, uint16_t port, struct sockaddr_storage *addresses,
                                     size_t limit, error *err);

#endif
