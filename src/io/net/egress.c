#include "net/egress.h"

#include "base/log.h"
#include "egress_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

static const char unnamed[] = "its configuration doesn't name it";
static const char is_public[] = "a public address, which its configuration doesn't name as one";
static const char never[] = "no address that one connects to";

static struct {
    const char *how_to_allow;
    size_t count;
    egress_rule rules[NET_EGRESS_RULES_MAX];
    void (*told)(void *context, const net_egress_refusal *refusal);
    void *context;
} guard = {.how_to_allow = ""};

void net_egress_begin(const char *how_to_allow) {
    guard.count = 0;
    guard.how_to_allow = how_to_allow;
}

static bool add(const egress_rule *rule, error *err) {
    if (guard.count == NET_EGRESS_RULES_MAX) {
        return error_set(err, ERROR_LIMIT, "more than %d hosts and networks to connect to; name networks",
                         NET_EGRESS_RULES_MAX);
    }
    guard.rules[guard.count++] = *rule;
    return true;
}

bool net_egress_allow(slice list, error *err) {
    size_t before = guard.count;
    egress_rule rule;
    for (slice rest = slice_trim(list); rest.length > 0;) {
        size_t comma = slice_find(rest, ',');
        if (!egress_rule_parse(slice_part(rest, 0, comma), &rule, err) || !add(&rule, err)) {
            guard.count = before;
            return false;
        }
        rest = comma == SIZE_MAX ? (slice){NULL, 0} : slice_after(rest, comma + 1);
    }
    return true;
}

bool net_egress_check_list(slice list, error *err) {
    size_t before = guard.count;
    bool good = net_egress_allow(list, err);
    guard.count = before;
    return good;
}

bool net_egress_allow_host(slice host, uint16_t port, bool public_too, error *err) {
    egress_rule rule;
    if (!egress_rule_of_host(host, port, false, &rule, err) || !add(&rule, err)) {
        return false;
    }
    rule.is_public = true;
    return !public_too || add(&rule, err);
}

bool net_egress_allow_url(const char *url, bool public_too, error *err) {
    slice rest = slice_of_text(url);
    bool https = slice_starts_with(rest, SLICE_LITERAL("https://"));
    if (!https && !slice_starts_with(rest, SLICE_LITERAL("http://"))) {
        return error_set(err, ERROR_INVALID, "\"%s\" is no http or https URL", url);
    }
    rest = slice_after(rest, https ? 8 : 7);
    size_t end = 0;
    while (end < rest.length && strchr("/?#", rest.data[end]) == NULL) {
        end++;
    }
    egress_rule rule;
    slice authority = slice_part(rest, 0, end);
    if (slice_find(authority, '@') != SIZE_MAX || slice_find(authority, '=') != SIZE_MAX ||
        !egress_rule_parse(authority, &rule, err) || (rule.host[0] == '\0' && rule.bits != 128)) {
        return error_set(err, ERROR_INVALID, "the host of \"%s\" is neither a name nor an address", url);
    }
    rule.port = rule.port != 0 ? rule.port : https ? 443 : 80;
    if (!add(&rule, err)) {
        return false;
    }
    rule.is_public = true;
    return !public_too || add(&rule, err);
}

bool net_egress_is_empty(void) {
    return guard.count == 0;
}

bool net_egress_ports(uint16_t ports[NET_EGRESS_PORTS_MAX], size_t *count) {
    *count = 0;
    for (size_t i = 0; i < guard.count; i++) {
        uint16_t port = guard.rules[i].port;
        bool known = false;
        for (size_t j = 0; j < *count; j++) {
            known = known || ports[j] == port;
        }
        if (port == 0 || (!known && *count == NET_EGRESS_PORTS_MAX)) {
            return false;
        }
        if (!known) {
            ports[(*count)++] = port;
        }
    }
    return true;
}

void net_egress_on_refused(void (*told)(void *context, const net_egress_refusal *refusal), void *context) {
    guard.told = told;
    guard.context = context;
}

/* Any thread. */
static bool deny(const net_egress_refusal *r, error *err) {
    log_warning("outgoing connection refused", LOG_TEXT("host", r->host), LOG_TEXT("address", r->address),
                LOG_U64("port", r->port), LOG_TEXT("reason", r->reason));
    bool at = r->address[0] != '\0' && !slice_equal(slice_of_text(r->address), slice_of_text(r->host));
    return error_set(err, ERROR_DENIED, "this program may not connect to %s%s%s%s, port %u: %s%s%s", r->host,
                     at ? " (" : "", at ? r->address : "", at ? ")" : "", r->port, r->reason,
                     guard.how_to_allow[0] == '\0' ? "" : "; ", guard.how_to_allow);
}

static bool refuse(const net_egress_refusal *r, error *err) {
    if (guard.told != NULL) {
        guard.told(guard.context, r);
    }
    return deny(r, err);
}

bool net_egress_names(const char *host, uint16_t port) {
    for (size_t i = 0; i < guard.count; i++) {
        if (egress_rule_may_concern(&guard.rules[i], slice_of_text(host), port)) {
            return true;
        }
    }
    return false;
}

bool net_egress_may_look_up(const char *host, uint16_t port, error *err) {
    return net_egress_names(host, port) ||
           refuse(&(net_egress_refusal){.host = host, .address = "", .port = port, .reason = unnamed}, err);
}

static bool check(const char *host, const struct sockaddr *to,
                  bool (*refused)(const net_egress_refusal *r, error *err), error *err) {
    egress_address address;
    uint16_t port = 0;
    char text[INET6_ADDRSTRLEN] = "?";
    if (!egress_address_of(to, &address, &port)) {
        return refused(&(net_egress_refusal){host, text, 0, never}, err);
    }
    for (size_t i = 0; i < guard.count; i++) {
        if (egress_rule_allows(&guard.rules[i], slice_of_text(host), &address, port)) {
            return true;
        }
    }
    const void *number = to->sa_family == AF_INET
                             ? (const void *)&((const struct sockaddr_in *)(const void *)to)->sin_addr
                             : (const void *)&((const struct sockaddr_in6 *)(const void *)to)->sin6_addr;
    (void)inet_ntop(to->sa_family, number, text, sizeof text);
    egress_class class = egress_classify(&address);
    const char *reason = class == EGRESS_NEVER ? never : class == EGRESS_PUBLIC ? is_public : unnamed;
    return refused(&(net_egress_refusal){host, text, port, reason}, err);
}

int net_egress_socket(const char *host, const struct sockaddr *address, error *err) {
    if (!check(host, address, refuse, err)) {
        return -1;
    }
    int descriptor = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        error_set_errno(err, ERROR_IO, errno, "cannot open a socket");
    }
    return descriptor;
}

bool net_egress_permits(const char *host, const struct sockaddr *address, error *err) {
    return check(host, address, deny, err);
}
